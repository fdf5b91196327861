//! A campaign folder that is read from.

use crate::error::{Error, of_version};
use crate::record::{
    CurvePoint, Environment, FidelityRow, FrameRow, Head, InferenceRow, LedgerRow, MeterRow, OpsRow,
    READ_SCHEMAS, Row, SCHEMA, ScalingRow, Trial,
};
use crate::rows;
use crate::store::read_environment;
use std::collections::BTreeMap;
use std::path::Path;

/// The records of a campaign: of each trial its newest attempt, and the detail rows of just that attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// One row a trial, in the order in which the trials were first finished.
    pub trials: Vec<Trial>,
    /// Learning curves.
    pub curve: Vec<CurvePoint>,
    /// Memory ledgers.
    pub ledger: Vec<LedgerRow>,
    /// Operation counts.
    pub ops: Vec<OpsRow>,
    /// How right the gradients were, layer by layer.
    pub fidelity: Vec<FidelityRow>,
    /// What the machine's energy meter counted.
    pub meter: Vec<MeterRow>,
    /// What networks saw, of sets with a frame for every step.
    pub frames: Vec<FrameRow>,
    /// One row a point of a sweep, in the order in which the points were first finished.
    pub scaling: Vec<ScalingRow>,
    /// One row a point of an inference sweep, in the same order.
    pub inference: Vec<InferenceRow>,
    /// The machine; `None` if the campaign has no environment file.
    pub environment: Option<Environment>,
}

impl Records {
    /// Whether there is neither a trial nor a point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trials.is_empty() && self.scaling.is_empty() && self.inference.is_empty()
    }
}

/// Reads a campaign folder; torn last lines and rows of unfinished or repeated attempts are left out.
pub fn read(dir: impl AsRef<Path>) -> Result<Records, Error> {
    let dir = dir.as_ref();
    if ![Trial::FILE, ScalingRow::FILE, InferenceRow::FILE].iter().any(|file| dir.join(file).exists()) {
        return Err(Error::NoRecords { path: dir.join(Trial::FILE) });
    }
    let trials: Vec<Trial> = newest(dir, READ_SCHEMAS)?;
    let attempts = trials.iter().map(|trial| (trial.trial.clone(), trial.attempt)).collect();
    Ok(Records {
        curve: details(dir, &attempts)?,
        ledger: details(dir, &attempts)?,
        ops: details(dir, &attempts)?,
        fidelity: details(dir, &attempts)?,
        meter: details(dir, &attempts)?,
        frames: details(dir, &attempts)?,
        scaling: newest(dir, READ_SCHEMAS)?,
        inference: newest(dir, READ_SCHEMAS)?,
        environment: read_environment(dir)?,
        trials,
    })
}

/// The newest attempt at each trial or point, of rows in these versions of the format alone.
pub(crate) fn newest<R: Head>(dir: &Path, versions: &[u32]) -> Result<Vec<R>, Error> {
    let mut newest: Vec<R> = Vec::new();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for (line, row) in rows::read::<R>(dir)? {
        if !versions.contains(&row.schema()) {
            let path = dir.join(R::FILE);
            return Err(of_version(path, line, SCHEMA, row.schema()));
        }
        match place.get(row.trial()) {
            Some(&index) if newest[index].attempt() <= row.attempt() => newest[index] = row,
            Some(_) => {}
            None => {
                place.insert(row.trial().to_owned(), newest.len());
                newest.push(row);
            }
        }
    }
    Ok(newest)
}

fn details<R: Row>(dir: &Path, newest: &BTreeMap<String, u32>) -> Result<Vec<R>, Error> {
    let rows = rows::read::<R>(dir)?.into_iter().map(|(_, row)| row);
    Ok(rows.filter(|row: &R| newest.get(row.trial()) == Some(&row.attempt())).collect())
}
