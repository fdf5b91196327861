//! How a trial learned, epoch by epoch.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `curve.csv`: the state of learning at the end of an epoch, or at a step inside it.
///
/// There is no clock in it: two runs with the same seed write the same bytes, whatever the thread count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// Epoch, counted from 1; 0 where a weights file was evaluated alone.
    pub epoch: u32,
    /// Optimiser step since the start of training; empty for a row that sums up an epoch.
    pub step: Option<u64>,
    /// Mean training loss.
    pub train_loss: Option<f64>,
    /// Training top-1 accuracy, as a fraction in [0, 1].
    pub train_top1: Option<f64>,
    /// Test top-1 accuracy, as a fraction in [0, 1].
    pub test_top1: Option<f64>,
    /// Test top-1 accuracy of the averaged parameters, as a fraction in [0, 1]; empty where the recipe keeps no
    /// average.
    pub test_top1_average: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: Option<f64>,
}

impl Row for CurvePoint {
    const FILE: &'static str = "curve.csv";
    const COLUMNS: &'static [&'static str] = &[
        "trial",
        "attempt",
        "epoch",
        "step",
        "train_loss",
        "train_top1",
        "test_top1",
        "test_top1_average",
        "learning_rate",
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
