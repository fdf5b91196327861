//! A campaign folder that is read from.

use crate::error::Error;
use crate::record::{CurvePoint, Environment, FidelityRow, LedgerRow, OpsRow, Row, SCHEMA, Trial};
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
    /// The machine; `None` if the campaign has no environment file.
    pub environment: Option<Environment>,
}

/// Reads a campaign folder; torn last lines and rows of unfinished or repeated attempts are left out.
pub fn read(dir: impl AsRef<Path>) -> Result<Records, Error> {
    let dir = dir.as_ref();
    let path = dir.join(Trial::FILE);
    if !path.exists() {
        return Err(Error::NoRecords { path });
    }
    let trials = trials(dir)?;
    let newest = trials.iter().map(|trial| (trial.trial.clone(), trial.attempt)).collect();
    Ok(Records {
        curve: details(dir, &newest)?,
        ledger: details(dir, &newest)?,
        ops: details(dir, &newest)?,
        fidelity: details(dir, &newest)?,
        environment: read_environment(dir)?,
        trials,
    })
}

/// The newest attempt at each trial.
pub(crate) fn trials(dir: &Path) -> Result<Vec<Trial>, Error> {
    let mut newest: Vec<Trial> = Vec::new();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for (line, row) in rows::read::<Trial>(dir)? {
        if row.schema != SCHEMA {
            let path = dir.join(Trial::FILE);
            return Err(Error::Schema { path, line, expected: SCHEMA, found: row.schema });
        }
        match place.get(&row.trial) {
            Some(&index) if newest[index].attempt <= row.attempt => newest[index] = row,
            Some(_) => {}
            None => {
                place.insert(row.trial.clone(), newest.len());
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
