//! How far a measured number may be from what it stands for: 95 % intervals.
//!
//! ```text
//! several seeds   mean ± t(n - 1) s / sqrt(n)                                      Student's t
//! one run         (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)         Wilson, 1927
//! two methods     the first line for differences, seed by seed
//! ```
//!
//! A Wilson interval knows of the test samples alone: another seed may leave it.

/// Two-sided probability that an interval leaves out.
const LEFT_OUT: f64 = 0.05;
/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// Steps of bisection: one for each bit of a number's fraction, and as many to come down from the first bracket.
const BISECTIONS: usize = 128;

/// A number with what it may be from and up to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// The number.
    pub(crate) middle: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

impl Interval {
    /// The mean of values with its 95 % t-interval; nothing for fewer than two.
    pub(crate) fn of_mean(values: &[f64]) -> Option<Interval> {
        if values.len() < 2 {
            return None;
        }
        let count = values.len() as f64;
        let middle = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
        let half = t_quantile(values.len() - 1) * (squares / (count - 1.0) / count).sqrt();
        Some(Interval { middle, low: middle - half, high: middle + half })
    }

    /// A share of `trials` with its 95 % Wilson interval; nothing without trials.
    pub(crate) fn of_share(share: f64, trials: u64) -> Option<Interval> {
        if trials == 0 {
            return None;
        }
        let n = trials as f64;
        let squared = Z * Z / n;
        let middle = (share + squared / 2.0) / (1.0 + squared);
        let half = Z * (share * (1.0 - share) / n + squared / (4.0 * n)).sqrt() / (1.0 + squared);
        // At 0 and 1 an end is the share itself, up to rounding.
        let (low, high) = ((middle - half).clamp(0.0, share), (middle + half).clamp(share, 1.0));
        Some(Interval { middle: share, low, high })
    }

    /// The mean difference of pairs with its 95 % t-interval; nothing for fewer than two.
    pub(crate) fn of_differences(pairs: &[(f64, f64)]) -> Option<Interval> {
        let differences: Vec<f64> = pairs.iter().map(|(own, other)| own - other).collect();
        Interval::of_mean(&differences)
    }

    /// The same in another unit.
    pub(crate) fn scaled(self, factor: f64) -> Interval {
        Interval { middle: self.middle * factor, low: self.low * factor, high: self.high * factor }
    }

    /// Half its width.
    pub(crate) fn half(self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// The t for which |t| is exceeded with a probability of 5 %.
fn t_quantile(freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while within(high, freedom) < 1.0 - LEFT_OUT {
        high *= 2.0;
    }
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if within(middle, freedom) < 1.0 - LEFT_OUT {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that |t| is not exceeded: finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and
/// 26.7.4), with `theta = atan(t / sqrt(freedom))`.
fn within(t: f64, freedom: usize) -> f64 {
    let theta = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = if odd { (cos, 0.0) } else { (1.0, 0.0) };
    // Powers of the cosine up to freedom - 2, two at a time.
    let mut power = if odd { 1 } else { 0 };
    while power + 2 <= freedom {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    if odd { (theta + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::{Interval, t_quantile};

    fn is_close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    /// Printed tables of Student's t, two-sided 95 %, to three digits behind the point.
    #[test]
    fn quantiles_are_those_of_printed_tables() {
        let table = [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (6, 2.447),
            (7, 2.365),
            (8, 2.306),
            (9, 2.262),
            (10, 2.228),
            (15, 2.131),
            (20, 2.086),
            (29, 2.045),
            (30, 2.042),
            (60, 2.000),
            (120, 1.980),
        ];
        for (freedom, expected) in table {
            is_close(t_quantile(freedom), expected, 0.0005);
        }
    }

    #[test]
    fn a_mean_has_the_interval_worked_out_by_hand() {
        // Mean 3, variance 10 / 4, standard error sqrt(2.5 / 5) = 0.70711; 2.776 of them.
        let found = Interval::of_mean(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(found.middle, 3.0);
        is_close(found.half(), 2.776_445 * 0.5f64.sqrt(), 1e-5);
        assert_eq!(Interval::of_mean(&[1.0]), None);
        // Equal seeds leave no doubt that a mean could tell of.
        assert_eq!(Interval::of_mean(&[2.0, 2.0]), Some(Interval { middle: 2.0, low: 2.0, high: 2.0 }));
    }

    /// Newcombe 1998 (Statistics in Medicine 17), table I: the score method without correction.
    #[test]
    fn shares_have_the_intervals_of_newcombes_table() {
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found =
                Interval::of_share(f64::from(hits) / f64::from(trials), u64::from(trials as u32)).unwrap();
            is_close(found.low, low, 5e-5);
            is_close(found.high, high, 5e-5);
        }
        let all = Interval::of_share(1.0, 20).unwrap();
        assert_eq!(all.high, 1.0);
        is_close(all.low, 1.0 - 0.1611, 5e-5);
        assert_eq!(Interval::of_share(0.5, 0), None);
    }

    #[test]
    fn pairs_are_told_apart_where_means_are_not() {
        let own = [0.80, 0.85, 0.90];
        let other = [0.79, 0.84, 0.88];
        let pairs: Vec<(f64, f64)> = own.into_iter().zip(other).collect();
        let found = Interval::of_differences(&pairs).unwrap();
        // Differences 0.01, 0.01, 0.02: mean 0.013333, s = 0.0057735, t(2) = 4.303.
        is_close(found.middle, 0.013_333, 1e-6);
        is_close(found.half(), 4.302_653 * 0.005_773_5 / 3f64.sqrt(), 1e-6);
        assert!(Interval::of_mean(&own).unwrap().low < Interval::of_mean(&other).unwrap().high);
        assert_eq!(found.scaled(100.0).middle, 100.0 * found.middle);
    }
}
