//! What one layer computed in one time step.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `ops.csv`: the operation counts of one layer in one time step, mean over the counted samples.
///
/// Operations are recorded, not joules: a better energy model then needs no new run. A layer of weights has `macs` or
/// `acs`, never both; `reads` says why. Counts of accumulates are empty where no spike was seen: in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// When: `evaluation`, or of a training step `forward`, `recompute` or `backward`.
    pub during: String,
    /// Name of the layer.
    pub layer: String,
    /// Kind of work.
    pub kind: String,
    /// What the layer reads.
    pub reads: String,
    /// Time step, counted from 1; 0 for work that happens once for all steps.
    pub step: u32,
    /// Scalars of the layer's weights and biases.
    pub weights: u64,
    /// Neurons in the layer.
    pub neurons: u64,
    /// Multiply-accumulates of one sample with every input a number.
    pub dense_macs_per_sample: f64,
    /// Multiply-accumulates of one sample where the input is no spike.
    pub macs_per_sample: Option<f64>,
    /// Accumulates caused by a spike, of one sample.
    pub acs_per_sample: Option<f64>,
    /// What papers count in place of `macs_per_sample` where weights read other weights' outputs.
    pub chained_acs_per_sample: Option<f64>,
    /// Multiplications of one sample beside those.
    pub multiplies_per_sample: Option<f64>,
    /// Additions and subtractions of one sample beside those.
    pub adds_per_sample: Option<f64>,
    /// Comparisons of one sample.
    pub compares_per_sample: Option<f64>,
    /// Values read for one sample.
    pub inputs_per_sample: Option<f64>,
    /// Spikes among them.
    pub input_spikes_per_sample: Option<f64>,
    /// Values made for one sample.
    pub outputs_per_sample: Option<f64>,
    /// Spikes the layer fired for one sample.
    pub spikes_per_sample: Option<f64>,
}

impl OpsRow {
    /// The value of `during` for rows of an evaluation.
    pub const EVALUATION: &'static str = "evaluation";

    /// Whether the row is of an evaluation.
    pub fn is_evaluation(&self) -> bool {
        self.during == Self::EVALUATION
    }

    /// Whether the row is of a layer that has weights or multiplies activations.
    pub fn has_products(&self) -> bool {
        ["convolution", "linear", "product"].contains(&self.kind.as_str())
    }
}

impl Row for OpsRow {
    const FILE: &'static str = "ops.csv";
    const COLUMNS: &'static [&'static str] = &[
        "trial",
        "attempt",
        "during",
        "layer",
        "kind",
        "reads",
        "step",
        "weights",
        "neurons",
        "dense_macs_per_sample",
        "macs_per_sample",
        "acs_per_sample",
        "chained_acs_per_sample",
        "multiplies_per_sample",
        "adds_per_sample",
        "compares_per_sample",
        "inputs_per_sample",
        "input_spikes_per_sample",
        "outputs_per_sample",
        "spikes_per_sample",
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
