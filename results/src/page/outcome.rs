//! What trials and points have in common for a reader: how they ended.

use crate::contest::noted;
use crate::read::Records;
use crate::record::Status;

/// How a trial or a point ended.
pub(super) struct Outcome<'a> {
    /// Key of the trial; of a point what it shares with those of the same line.
    pub(super) key: String,
    pub(super) suite: &'a str,
    pub(super) campaign: &'a str,
    pub(super) status: Status,
    pub(super) note: &'a str,
    pub(super) dirty: bool,
    pub(super) started_utc: &'a str,
}

impl Outcome<'_> {
    /// The status with its note.
    pub(super) fn verdict(&self) -> String {
        format!("{}{}", self.status, noted(self.note))
    }
}

/// Every trial, then every point, in the order of the records.
pub(super) fn outcomes(records: &Records) -> Vec<Outcome<'_>> {
    let trials = records.trials.iter().map(|row| Outcome {
        key: row.trial.clone(),
        suite: &row.suite,
        campaign: &row.campaign,
        status: row.status,
        note: &row.note,
        dirty: row.dirty,
        started_utc: &row.started_utc,
    });
    let scaling = records.scaling.iter().map(|row| Outcome {
        key: [row.suite.as_str(), &row.sweep, &row.method].join("/"),
        suite: &row.suite,
        campaign: &row.campaign,
        status: row.status,
        note: &row.note,
        dirty: row.dirty,
        started_utc: &row.started_utc,
    });
    let inference = records.inference.iter().map(|row| Outcome {
        key: [row.suite.as_str(), &row.sweep, &row.step_width].join("/"),
        suite: &row.suite,
        campaign: &row.campaign,
        status: row.status,
        note: &row.note,
        dirty: row.dirty,
        started_utc: &row.started_utc,
    });
    trials.chain(scaling).chain(inference).collect()
}
