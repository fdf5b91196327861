//! The rows of a campaign, one flat wire struct a file.
//!
//! Units are part of a column's name. An empty cell means "not measured"; the trial's `note` says why. Nothing
//! is nested, because a row must be readable by any program that reads CSV.

mod curve;
mod environment;
mod fidelity;
mod frame;
mod inference;
mod ledger;
mod meter;
mod ops;
mod scaling;
mod status;
mod trial;

pub use curve::CurvePoint;
pub use environment::Environment;
pub use fidelity::FidelityRow;
pub use frame::FrameRow;
pub use inference::InferenceRow;
pub use ledger::LedgerRow;
pub use meter::MeterRow;
pub use ops::OpsRow;
pub use scaling::ScalingRow;
pub use status::Status;
pub use trial::Trial;

/// The version of the record format, written into every trial row.
///
/// It grows by one whenever a column is added, removed, renamed or changes its meaning. A folder of another
/// version is refused, never guessed at.
pub const SCHEMA: u32 = 4;

/// The versions that are read, as far as their columns are these: trials since 3, points of sweeps since 2. Version 3 had
/// no `meter.csv` and another `ops.csv`, which nothing wrote to.
pub const READ_SCHEMAS: &[u32] = &[2, 3, SCHEMA];

/// What every row file has in common: a name on disk and the key that joins it to its trial.
pub trait Row: serde::Serialize + serde::de::DeserializeOwned + Clone {
    /// The file's name inside a campaign folder.
    const FILE: &'static str;
    /// The columns in the order in which they are written.
    const COLUMNS: &'static [&'static str];
    /// The trial this row belongs to.
    fn trial(&self) -> &str;
    /// The attempt at that trial, counted from 1.
    fn attempt(&self) -> u32;
    /// Sets the join key; the store calls it, so a detail row can't be filed under another trial.
    fn set_key(&mut self, trial: &str, attempt: u32);
}

/// A row that stands by itself: it says what was run and how that ended, and detail rows may be joined to it.
pub trait Head: Row {
    /// The version of the record format that it was written in.
    fn schema(&self) -> u32;
    /// Hash of the resolved configuration.
    fn config_hash(&self) -> &str;
    /// How it ended.
    fn status(&self) -> Status;
    /// Sets the version and the folder's name; the store calls it.
    fn set_origin(&mut self, schema: u32, campaign: &str);
}

/// The same columns in every table of such rows.
macro_rules! head {
    ($($row:ty),+) => {$(
        impl Head for $row {
            fn schema(&self) -> u32 {
                self.schema
            }

            fn config_hash(&self) -> &str {
                &self.config_hash
            }

            fn status(&self) -> Status {
                self.status
            }

            fn set_origin(&mut self, schema: u32, campaign: &str) {
                self.schema = schema;
                self.campaign = campaign.to_owned();
            }
        }
    )+};
}
head!(Trial, ScalingRow, InferenceRow);
