//! Numbers as people read them: one unit a kind, a fixed number of decimals, so that columns line up.

/// Bytes in a mebibyte.
pub(crate) const MIB: f64 = 1_048_576.0;
/// Bytes in a kibibyte.
pub(crate) const KIB: f64 = 1024.0;

/// A fraction as percent, without the sign: `0.8532` is `85.32`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2}", fraction * 100.0)
}

/// A difference of fractions in points, with its sign: `-0.0153` is `−1.53`.
pub(crate) fn points(difference: f64) -> String {
    signed(difference * 100.0, 2)
}

/// A number of bytes in MiB.
pub(crate) fn mib(bytes: f64) -> String {
    // A fit may miss 0 from below by less than is shown.
    let mib = bytes / MIB;
    format!("{:.2}", if mib.abs() < 0.005 { 0.0 } else { mib })
}

/// A number of bytes in KiB.
pub(crate) fn kib(bytes: f64) -> String {
    if bytes == 0.0 { "0".to_owned() } else { signed_plain(bytes / KIB, 2) }
}

/// A number of things in millions: `1234567.0` is `1.235`.
pub(crate) fn millions(count: f64) -> String {
    format!("{:.3}", count / 1e6)
}

/// A number that is not negative with three digits that say something, more before the point: `45.7`, `0.0312`, `1234`.
pub(crate) fn three_digits(value: f64) -> String {
    let before = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let decimals = (2.0 - before).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A ratio: `0.5` is `0.50×`.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}×")
}

/// A cosine: `0.98765` is `0.9877`.
pub(crate) fn cosine(cosine: f64) -> String {
    signed_plain(cosine, 4)
}

/// The unit that a column of durations is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Milliseconds,
    Seconds,
}

impl TimeUnit {
    /// Milliseconds, until the longest duration passes ten seconds.
    pub(crate) fn for_longest(seconds: f64) -> Self {
        if seconds < 10.0 { TimeUnit::Milliseconds } else { TimeUnit::Seconds }
    }

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            TimeUnit::Milliseconds => "ms",
            TimeUnit::Seconds => "s",
        }
    }

    /// A duration in this unit.
    pub(crate) fn value(self, seconds: f64) -> f64 {
        match self {
            TimeUnit::Milliseconds => seconds * 1000.0,
            TimeUnit::Seconds => seconds,
        }
    }

    /// A median with its spread: `12.3 ± 0.1`.
    pub(crate) fn spread(self, median: f64, deviation: Option<f64>) -> String {
        let median = format!("{:.1}", self.value(median));
        match deviation {
            Some(deviation) => format!("{median} ± {:.1}", self.value(deviation)),
            None => median,
        }
    }
}

/// A number with a plus or a true minus sign; what rounds to zero has none.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = signed_plain(value, decimals);
    if value > 0.0 && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
        format!("+{text}")
    } else {
        text
    }
}

fn signed_plain(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let rounds_to_zero = !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if value < 0.0 && !rounds_to_zero { format!("−{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_say_something_whatever_the_size() {
        let told = [45.678, 0.031_24, 1234.4, 0.0].map(three_digits);
        assert_eq!(told, ["45.7", "0.0312", "1234", "0.00"]);
    }

    #[test]
    fn differences_carry_a_sign_unless_they_round_to_zero() {
        assert_eq!(points(-0.0153), "−1.53");
        assert_eq!(points(0.0153), "+1.53");
        assert_eq!(points(-0.000_001), "0.00");
        assert_eq!(kib(0.0), "0");
        assert_eq!(kib(-2048.0), "−2.00");
    }

    #[test]
    fn long_durations_are_told_in_seconds() {
        assert_eq!(TimeUnit::for_longest(0.5).spread(0.5, Some(0.01)), "500.0 ± 10.0");
        assert_eq!(TimeUnit::for_longest(12.0).spread(12.0, None), "12.0");
    }
}
