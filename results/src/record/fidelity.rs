//! How right a layer's gradient was.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `fidelity.csv`: a layer's parameter gradient beside that of exact backpropagation through time, on the
/// same batch and the same parameters.
///
/// Both numbers are empty where either gradient is zero: what has no length has no direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FidelityRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// Name of the layer: that of its parameters without the last part.
    pub layer: String,
    /// Cosine of the angle between the two gradients, in [-1, 1].
    pub gradient_cosine: Option<f64>,
    /// Length of the method's gradient divided by that of the exact one.
    pub gradient_norm_ratio: Option<f64>,
}

impl Row for FidelityRow {
    const FILE: &'static str = "fidelity.csv";
    const COLUMNS: &'static [&'static str] =
        &["trial", "attempt", "layer", "gradient_cosine", "gradient_norm_ratio"];

    fn trial(&self) -> &str {
        &self.trial
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn set_key(&mut self, trial: &str, attempt: u32) {
        self.trial = trial.to_owned();
        self.attempt = attempt;
    }
}
