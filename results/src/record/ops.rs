//! What one layer computed in one time step.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `ops.csv`: the operation counts of one layer in one time step, mean over the counted samples.
///
/// Operations are recorded, not joules: a better energy model then needs no new run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// Name of the layer.
    pub layer: String,
    /// Time step, counted from 1; 0 for work that happens once for all steps.
    pub step: u32,
    /// Multiply-accumulates of one sample.
    pub macs_per_sample: Option<f64>,
    /// Accumulates caused by a spike, of one sample.
    pub acs_per_sample: Option<f64>,
    /// Spikes the layer fired for one sample.
    pub spikes_per_sample: Option<f64>,
    /// Neurons in the layer.
    pub neurons: Option<u64>,
}

impl Row for OpsRow {
    const FILE: &'static str = "ops.csv";
    const COLUMNS: &'static [&'static str] = &[
        "trial",
        "attempt",
        "layer",
        "step",
        "macs_per_sample",
        "acs_per_sample",
        "spikes_per_sample",
        "neurons",
    ];

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
