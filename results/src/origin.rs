//! What an output was made from: a command and a set of records. Every output says both, so that a reader can make it again
//! and see that nothing but these records went in.

use crate::error::Error;
use crate::record::{
    CurvePoint, Environment, FidelityRow, FrameRow, InferenceRow, LedgerRow, MeterRow, OpsRow, Row,
    ScalingRow, Trial,
};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The files of a campaign, in the order in which they are summed.
const FILES: [&str; 10] = [
    Trial::FILE,
    CurvePoint::FILE,
    LedgerRow::FILE,
    OpsRow::FILE,
    FidelityRow::FILE,
    MeterRow::FILE,
    FrameRow::FILE,
    ScalingRow::FILE,
    InferenceRow::FILE,
    Environment::FILE,
];

/// Hex digits that are shown of a sum: nobody forges a table, and a line stays short.
const SHOWN: usize = 12;

/// The command that makes an output again, and the records that it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What a reader types.
    pub command: String,
    /// The folder's name, and the first digits of the sum of all its bytes: one other byte, and every output says so.
    pub records: String,
}

impl Origin {
    /// The origin of what a command makes from a campaign folder.
    ///
    /// # Errors
    /// Where a file of the folder can't be read.
    pub fn new(dir: &Path, command: &str) -> Result<Origin, Error> {
        let mut sum = Sha256::new();
        for file in FILES {
            let path = dir.join(file);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    // Names and lengths are summed too: bytes that move to another file are another set.
                    sum.update(format!("{file} {}\n", bytes.len()));
                    sum.update(&bytes);
                }
                Err(source) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Read { path, source }),
            }
        }
        let digits: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let name =
            crate::store::name_of(dir).map_err(|source| Error::Read { path: dir.to_owned(), source })?;
        Ok(Origin { command: command.to_owned(), records: format!("{name} (SHA-256 {})", &digits[..SHOWN]) })
    }
}
