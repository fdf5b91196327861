//! Median and spread of timed steps.

use serde::{Deserialize, Serialize};

/// What the clock said of several equal steps, in seconds; nothing where none was timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Median.
    pub median: Option<f64>,
    /// Median absolute deviation.
    pub mad: Option<f64>,
    /// Fastest.
    pub min: Option<f64>,
    /// How many there were.
    pub count: u64,
}

impl Spread {
    pub(crate) fn of(seconds: &[f64]) -> Self {
        let middle = median(seconds);
        Self {
            median: middle,
            mad: middle.and_then(|middle| {
                median(&seconds.iter().map(|step| (step - middle).abs()).collect::<Vec<_>>())
            }),
            min: seconds.iter().copied().min_by(f64::total_cmp),
            count: seconds.len() as u64,
        }
    }
}

/// The middle one, or the mean of the two in the middle; nothing of nothing.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}
