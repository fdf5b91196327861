//! What a meter of the machine counted.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `meter.csv`: the energy that a meter counted while a trial did one kind of thing.
///
/// The meter counts the machine, whatever runs on it; what it counts at rest is kept beside, to be taken off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// The meter.
    pub meter: String,
    /// What was done: `evaluation` or `training`.
    pub doing: String,
    /// Samples that were gone through.
    pub samples: u64,
    /// Wall time of it, in seconds.
    pub seconds: f64,
    /// Energy that the meter counted, in joules.
    pub joules: Option<f64>,
    /// Power that the meter counted while the trial waited, in watts.
    pub idle_watts: Option<f64>,
    /// Why a cell is empty.
    pub note: String,
}

impl MeterRow {
    /// Joules of one sample above those of the machine at rest.
    ///
    /// # Errors
    /// With the reason why there is no number.
    pub fn joules_per_sample(&self) -> Result<f64, String> {
        match self.joules.zip(self.idle_watts) {
            Some((joules, watts)) if self.samples > 0 => {
                Ok((joules - watts * self.seconds) / self.samples as f64)
            }
            _ => Err(self.note.clone()),
        }
    }
}

impl Row for MeterRow {
    const FILE: &'static str = "meter.csv";
    const COLUMNS: &'static [&'static str] =
        &["trial", "attempt", "meter", "doing", "samples", "seconds", "joules", "idle_watts", "note"];

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
