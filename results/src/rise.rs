//! How a time rises along an axis: a straight line through it, its exponent, and whether any doubling costs more than
//! twice.
//!
//! ```text
//! t(x) = fixed + each * x            least squares
//! log t(x) = c + exponent * log x    least squares; 1 is in proportion, 2 is squared
//! worst = max over x of t(2x) / (2 t(x))    1 is in proportion, below 1 something is paid once
//! ```

use crate::fit::Fit;

/// How far above 1 the worst doubling may be: what timing a few steps leaves uncertain.
pub(crate) const WORST: f64 = 1.1;
/// How far above 1 the exponent may be. It averages over all points, so it is known better than one doubling.
pub(crate) const EXPONENT: f64 = 1.05;

/// The rise of a time along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rise {
    /// The straight line.
    pub(crate) line: Fit,
    pub(crate) exponent: f64,
    /// The worst doubling, with the place that it ends at; `None` where no place is twice another.
    pub(crate) worst: Option<(f64, f64)>,
}

impl Rise {
    /// The rise of points (place, seconds), all above 0, by rising place; `None` for fewer than two places.
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Rise> {
        let logs: Vec<(f64, f64)> = points.iter().map(|(x, t)| (x.ln(), t.ln())).collect();
        let at = |place: f64| points.iter().find(|(x, _)| *x == place).map(|(_, t)| *t);
        // The first of equally bad ones.
        let doublings = points.iter().rev().filter_map(|(x, t)| Some((at(2.0 * x)? / (2.0 * t), 2.0 * x)));
        Some(Rise {
            line: Fit::of(points)?,
            exponent: Fit::of(&logs)?.slope,
            worst: doublings.max_by(|a, b| a.0.total_cmp(&b.0)),
        })
    }

    /// Whether it rises in proportion or less; else why not.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        match self.worst {
            Some((worst, place)) if worst > WORST => {
                Err(format!("{:.2} times as long at {place} as at {}", 2.0 * worst, place / 2.0))
            }
            _ if self.exponent > EXPONENT => Err(format!("rises with the power {:.2}", self.exponent)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rise;

    const PLACES: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

    fn rise(time: impl Fn(f64) -> f64) -> Rise {
        Rise::of(&PLACES.map(|x| (x, time(x)))).unwrap()
    }

    #[test]
    fn a_line_is_found_and_what_is_paid_once_is_no_fault() {
        let proportional = rise(|x| 3.0 * x);
        assert!((proportional.exponent - 1.0).abs() < 1e-12);
        assert_eq!(proportional.worst.map(|(worst, _)| worst), Some(1.0));
        let paid_once = rise(|x| 5.0 + 2.0 * x);
        assert!((paid_once.line.slope - 2.0).abs() < 1e-9 && (paid_once.line.intercept - 5.0).abs() < 1e-9);
        assert!(paid_once.exponent < 1.0);
        for fine in [proportional, paid_once, rise(|_| 1.0)] {
            assert_eq!(fine.verdict(), Ok(()));
        }
    }

    #[test]
    fn more_than_in_proportion_is_told_from_it() {
        // A square, a logarithm on top, one step that falls out of a cache, and a creep that no doubling shows.
        assert!(rise(|x| x * x).verdict().is_err_and(|words| words == "4.00 times as long at 2 as at 1"));
        assert!(rise(|x| x * (1.0 + x.log2())).verdict().is_err());
        let steep = rise(|x| if x < 16.0 { x } else { 1.3 * x });
        assert_eq!(steep.verdict(), Err("2.60 times as long at 16 as at 8".to_owned()));
        let creeping = rise(|x| x.powf(1.1));
        assert_eq!(creeping.verdict(), Err("rises with the power 1.10".to_owned()));
    }

    #[test]
    fn places_without_a_double_are_judged_by_the_exponent_alone() {
        let found = Rise::of(&[(2.0, 2.0), (3.0, 6.0)]).unwrap();
        assert!(found.worst.is_none() && found.verdict().is_err());
        assert_eq!(Rise::of(&[(2.0, 2.0)]), None);
    }
}
