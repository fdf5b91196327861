//! Where the bytes of one training step went.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `ledger.csv`: the bytes of one category in one phase of a step probed at T = `probe_t`.
///
/// The bytes of a phase are taken at the moment when the phase's total peaks, so the categories of a phase add
/// up to a size that existed, not to a sum of peaks of different moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// Number of time steps T of the probed training step.
    pub probe_t: u32,
    /// Phase of the step: `forward`, `backward` or `update`.
    pub phase: String,
    /// What the bytes hold, or [`LedgerRow::TOTAL`].
    pub category: String,
    /// Live bytes.
    pub bytes: u64,
}

impl LedgerRow {
    /// The category of a row that holds the phase's peak as the allocator saw it, above what lives between
    /// steps; where it is missing, the step's categories are summed.
    pub const TOTAL: &'static str = "total";

    /// The category of what the allocator counted in a step and the engine did not book.
    pub const UNATTRIBUTED: &'static str = "unattributed";

    /// The category of scratch memory, taken once an operation; it depends on the thread count, so the memory
    /// laws leave it out.
    pub const WORKSPACE: &'static str = "workspace";

    /// The category of what an accelerator's pool holds without using it.
    pub const POOL: &'static str = "pool";

    /// The category of an accelerator's memory outside of its pool: the driver, its libraries, other processes.
    pub const OUTSIDE: &'static str = "outside";

    /// Categories that live between steps, or are held without being used: no part of a step's own memory.
    pub const BETWEEN_STEPS: &'static [&'static str] =
        &["parameters", "gradients", "optimiser", "average", "input", Self::POOL, Self::OUTSIDE];
}

impl Row for LedgerRow {
    const FILE: &'static str = "ledger.csv";
    const COLUMNS: &'static [&'static str] = &["trial", "attempt", "probe_t", "phase", "category", "bytes"];

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
