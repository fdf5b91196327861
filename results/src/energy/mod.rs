//! Energy of one inference, computed from operation counts when a report is made.
//!
//! A model is a file beside this one and its line in [`MODELS`]. It turns a row of counts (one layer in one step) into
//! picojoules; an inference is the sum over its rows, each counted once:
//!
//! ```text
//! E = sum over layers and steps of e(row)          pJ for one sample
//! ```
//!
//! Counts are of real spikes, so no model multiplies by a rate. None of these numbers is measured: they say what the
//! operations would cost on a circuit with these constants.

mod lemaire;
mod qann;
mod sop45;
mod synop;
mod yan;

pub(crate) use qann::footnote as qann_footnote;
pub use qann::{activation_bits, ratio as qann_ratio};
pub(crate) use sop45::products_pj;

use crate::record::OpsRow;

/// Joules in a picojoule.
pub const JOULES_PER_PJ: f64 = 1e-12;

/// A way to turn counts into energy.
#[derive(Clone, Copy, Debug)]
pub struct EnergyModel {
    /// Id, as reports print it.
    pub id: &'static str,
    /// Version; grows when the same counts give another number.
    pub version: u32,
    /// Where its constants are from.
    pub source: &'static str,
    /// What it counts and what it leaves out.
    pub assumes: &'static str,
    /// Energy of a row in pJ; nothing where the row lacks a count that the model asks for.
    pub row: fn(&OpsRow) -> Option<f64>,
}

impl EnergyModel {
    /// Energy of one sample in pJ, from the rows of its evaluation.
    ///
    /// # Errors
    /// With the reason why there is no number.
    pub fn energy(&self, rows: &[&OpsRow]) -> Result<f64, String> {
        let Some(rows) = evaluation(rows) else { return Err(NO_COUNTS.to_owned()) };
        rows.iter().try_fold(0.0, |sum, row| match (self.row)(row) {
            Some(energy) => Ok(sum + energy),
            None => Err(format!("{} lacks a count at step {}", row.layer, row.step)),
        })
    }

    /// What a reader must know, in a sentence or two.
    pub fn footnote(&self) -> String {
        format!("{} v{}: {} {}", self.id, self.version, self.assumes, self.source)
    }
}

/// Why there is no energy where no operation was counted.
pub(crate) const NO_COUNTS: &str = "no operations were counted";

/// The rows of the evaluation; nothing where there are none.
pub(crate) fn evaluation<'a>(rows: &[&'a OpsRow]) -> Option<Vec<&'a OpsRow>> {
    let rows: Vec<&OpsRow> = rows.iter().copied().filter(|row| row.is_evaluation()).collect();
    (!rows.is_empty()).then_some(rows)
}

/// Whether a norm is no work of its own: right behind weights its factor and shift are put into them.
pub(crate) fn is_folded(row: &OpsRow) -> bool {
    row.kind == "norm" && row.reads == "weighted"
}

/// Every model, in the order in which reports show them.
pub static MODELS: &[EnergyModel] = &[
    sop45::FP32,
    sop45::FP32_PAPERS,
    sop45::FP32_ALL,
    sop45::FP16,
    sop45::INT8,
    synop::SYNOP_77FJ,
    lemaire::MODEL,
    yan::MODEL,
];

/// A model by id.
#[must_use]
pub fn find(id: &str) -> Option<&'static EnergyModel> {
    MODELS.iter().find(|model| model.id == id)
}

#[cfg(test)]
mod tests;
