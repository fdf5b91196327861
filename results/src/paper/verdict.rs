//! What a measured number says of a published one.

use crate::published::{Bound, Figure, Tag};
use crate::quantity::signed;
use std::fmt;

/// A published number with what is needed to judge by it.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) figure: Figure,
    pub(super) bound: Bound,
    pub(super) tag: Tag,
    /// Whether digits may have been cut off rather than rounded, as in counts that are printed in millions.
    pub(super) may_be_cut: bool,
}

/// A measured number, in the unit of the published one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub(super) value: f64,
    /// What it may be from and up to; nothing where it is exact, or where nobody knows.
    pub(super) interval: Option<(f64, f64)>,
}

/// What is said of energy where nothing was trained.
const UNTRAINED: &str = "rates not trained: not comparable";

/// What can be said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The measured number is the published one as far as its digits go, or keeps to its bound.
    Match,
    /// It is not, but its interval holds the published one.
    WithinNoise,
    /// Neither: by how much more, as a share of the published number.
    Off(f64),
    /// Both are there, and a difference would say nothing, because of this.
    NotComparable(String),
    /// The network was not trained, so its firing rates are not those of the paper: the rate at which it would hold.
    Untrained(Option<String>),
    /// There is no measured number: what is missing, and the command that fills it.
    NotMeasured { missing: String, command: Option<String> },
}

impl Published {
    /// As tables print it.
    pub(super) fn text(&self) -> String {
        let number = grouped(&self.figure.text);
        match self.bound {
            Bound::Exact => number,
            Bound::Below => format!("below {number}"),
            Bound::About => format!("about {number}"),
        }
    }

    /// Judges a measured number.
    pub(super) fn judge(&self, measured: Measured) -> Verdict {
        let published = self.figure.value;
        // One part in a million of a unit is the rounding of a binary fraction.
        let rounding = self.figure.rounding() * (1.0 + 1e-6);
        let above = if self.may_be_cut { 2.0 * rounding } else { rounding };
        let fits = |value: f64| match self.bound {
            Bound::Below => value < published,
            Bound::Exact => (-rounding..=above).contains(&(value - published)),
            Bound::About => (value / published - 1.0).abs() <= 0.1,
        };
        let holds = |(low, high): (f64, f64)| match self.bound {
            Bound::Below => low < published,
            Bound::Exact | Bound::About => (low..=high).contains(&published) || fits(low) || fits(high),
        };
        if fits(measured.value) {
            Verdict::Match
        } else if measured.interval.is_some_and(holds) {
            Verdict::WithinNoise
        } else {
            Verdict::Off(measured.value / published - 1.0)
        }
    }
}

impl Verdict {
    /// As tables print it; what was read in a note alone is no gate.
    pub(super) fn words(&self, tag: Option<Tag>) -> String {
        let judged = matches!(self, Verdict::Match | Verdict::WithinNoise | Verdict::Off(_));
        match tag {
            Some(tag) if judged && !tag.is_gate() => format!("{self}; a note, no gate"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Match => f.write_str("match"),
            Verdict::WithinNoise => f.write_str("within noise"),
            Verdict::Off(share) => write!(f, "off by {} %", signed(100.0 * share, 1)),
            Verdict::NotComparable(because) => write!(f, "not comparable because {because}"),
            Verdict::Untrained(Some(holds)) => write!(f, "{UNTRAINED}; {holds}"),
            Verdict::Untrained(None) => f.write_str(UNTRAINED),
            Verdict::NotMeasured { missing, command: Some(command) } => {
                write!(f, "not measured: {missing}; {command}")
            }
            Verdict::NotMeasured { missing, command: None } => write!(f, "not measured: {missing}"),
        }
    }
}

/// A whole number of more than four digits in groups of three; others as they are.
pub(super) fn grouped(text: &str) -> String {
    if text.len() < 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut grouped = String::with_capacity(text.len() + text.len() / 3);
    for (place, digit) in text.chars().enumerate() {
        if place > 0 && (text.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::{Measured, Published, Verdict, grouped};
    use crate::published::{Bound, Figure, Tag};

    fn published(text: &str, bound: Bound) -> Published {
        Published {
            figure: Figure::try_from(text.to_owned()).unwrap(),
            bound,
            tag: Tag::Log,
            may_be_cut: false,
        }
    }

    fn verdict(text: &str, bound: Bound, value: f64, interval: Option<(f64, f64)>) -> Verdict {
        published(text, bound).judge(Measured { value, interval })
    }

    fn is_off(text: &str, bound: Bound, value: f64, interval: Option<(f64, f64)>) -> bool {
        matches!(verdict(text, bound, value, interval), Verdict::Off(_))
    }

    #[test]
    fn a_match_is_the_same_to_the_printed_digits() {
        assert_eq!(verdict("8.6", Bound::Exact, 8.649, None), Verdict::Match);
        assert_eq!(verdict("8.6", Bound::Exact, 8.55, None), Verdict::Match);
        assert!(is_off("8.6", Bound::Exact, 8.66, None));
        assert!(is_off("8.60", Bound::Exact, 8.64, None));
        assert_eq!(verdict("29787312", Bound::Exact, 29_787_312.0, None), Verdict::Match);
        assert!(is_off("29787312", Bound::Exact, 29_787_313.0, None));
    }

    #[test]
    fn digits_may_be_cut_off_where_that_is_said() {
        let rounded = published("29.68", Bound::Exact);
        let cut = Published { may_be_cut: true, ..rounded.clone() };
        let measured = |value| Measured { value, interval: None };
        assert_eq!(cut.judge(measured(29.689_896)), Verdict::Match);
        assert!(matches!(rounded.judge(measured(29.689_896)), Verdict::Off(_)));
        assert!(matches!(cut.judge(measured(29.691)), Verdict::Off(_)));
        assert!(matches!(cut.judge(measured(29.674)), Verdict::Off(_)));
    }

    #[test]
    fn noise_is_what_the_interval_holds() {
        assert_eq!(verdict("93.73", Bound::Exact, 93.4, Some((92.9, 93.9))), Verdict::WithinNoise);
        assert!(is_off("93.73", Bound::Exact, 93.4, Some((93.1, 93.7))));
    }

    #[test]
    fn bounds_are_kept_or_not() {
        assert_eq!(verdict("0.50", Bound::Below, 0.49, None), Verdict::Match);
        assert_eq!(verdict("0.50", Bound::Below, 0.52, Some((0.48, 0.56))), Verdict::WithinNoise);
        assert!(is_off("0.50", Bound::Below, 0.91, Some((0.88, 0.95))));
        assert_eq!(verdict("20", Bound::About, 21.9, None), Verdict::Match);
        assert!(is_off("20", Bound::About, 11.0, None));
    }

    #[test]
    fn a_note_is_no_gate() {
        let off = verdict("8.6", Bound::Exact, 8.7, None);
        assert_eq!(off.words(Some(Tag::Note)), "off by +1.2 %; a note, no gate");
        assert_eq!(off.words(Some(Tag::SecondHand)), "off by +1.2 %");
        let apart = Verdict::NotComparable("T = 8".to_owned());
        assert_eq!(apart.words(Some(Tag::Note)), "not comparable because T = 8");
    }

    #[test]
    fn long_counts_are_read_in_groups() {
        assert_eq!(
            ["29787312", "1000", "85.7", "124000"].map(grouped),
            ["29,787,312", "1000", "85.7", "124,000"]
        );
    }
}
