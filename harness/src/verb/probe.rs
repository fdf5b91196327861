//! `probe CASE_DIR`: golden cases replayed and compared.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::Result;
use crate::probe;

pub(crate) fn probe(folders: &[PathBuf], each: bool, output: &mut dyn Write) -> Result<ExitCode> {
    let mut passes = true;
    for (place, folder) in folders.iter().enumerate() {
        if place > 0 {
            writeln!(output)?;
        }
        passes &= probe::probe(folder, each, output)?;
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
