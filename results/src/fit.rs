//! A straight line through measured points.

/// The line `intercept + slope x` with the least sum of squared residuals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    /// Rise for one more x.
    pub(crate) slope: f64,
    /// Height at x = 0.
    pub(crate) intercept: f64,
    /// Largest distance of a point from the line, along y; `None` for two points, which any line meets.
    pub(crate) largest_residual: Option<f64>,
}

impl Fit {
    /// Fits points (x, y); `None` for fewer than two different x.
    #[must_use]
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Fit> {
        let (&(first, start), count) = (points.first()?, points.len() as f64);
        // Counted from the first point, so that equal heights give a slope of exactly 0.
        let moved = || points.iter().map(|(x, y)| (x - first, y - start));
        let (across, up) = moved().fold((0.0, 0.0), |(across, up), (x, y)| (across + x, up + y));
        let (across, up) = (across / count, up / count);
        let (mut squares, mut products) = (0.0, 0.0);
        for (x, y) in moved() {
            squares += (x - across) * (x - across);
            products += (x - across) * (y - up);
        }
        if squares == 0.0 {
            return None;
        }
        let slope = products / squares;
        let intercept = start + up - slope * (first + across);
        let off = moved().map(|(x, y)| (y - up - slope * (x - across)).abs()).fold(0.0, f64::max);
        Some(Fit { slope, intercept, largest_residual: (points.len() > 2).then_some(off) })
    }
}

#[cfg(test)]
mod tests {
    use super::Fit;

    #[test]
    fn a_line_is_found_to_the_bit_and_a_flat_one_has_no_slope() {
        let line = Fit::of(&[(2.0, 13.0), (4.0, 19.0), (6.0, 25.0)]);
        assert_eq!(line, Some(Fit { slope: 3.0, intercept: 7.0, largest_residual: Some(0.0) }));
        let flat = Fit::of(&[(2.0, 0.1), (3.0, 0.1), (32.0, 0.1)]);
        assert_eq!(flat, Some(Fit { slope: 0.0, intercept: 0.1, largest_residual: Some(0.0) }));
    }

    #[test]
    fn residuals_are_those_worked_out_by_hand() {
        // Means 2 and 3; slope 4 / 2; the line 2x - 1 passes 1, 3, 5 where 2, 1, 6 stand.
        let found = Fit::of(&[(1.0, 2.0), (2.0, 1.0), (3.0, 6.0)]);
        assert_eq!(found, Some(Fit { slope: 2.0, intercept: -1.0, largest_residual: Some(2.0) }));
    }

    #[test]
    fn two_points_leave_no_residual_and_one_no_line() {
        let found = Fit::of(&[(1.0, 2.0), (3.0, 6.0)]);
        assert_eq!(found, Some(Fit { slope: 2.0, intercept: 0.0, largest_residual: None }));
        assert_eq!(Fit::of(&[(1.0, 2.0), (1.0, 6.0)]), None);
        assert_eq!(Fit::of(&[]), None);
    }
}
