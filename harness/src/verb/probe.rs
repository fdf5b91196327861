//! `probe CASE_DIR`: golden cases replayed and compared.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::device::DeviceKind;
use crate::error::Result;
use crate::probe;

pub(crate) fn probe(
    folders: &[PathBuf],
    each: bool,
    device: DeviceKind,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    device.check()?;
    let mut passes = true;
    for (place, folder) in folders.iter().enumerate() {
        if place > 0 {
            writeln!(output)?;
        }
        passes &= probe::probe(folder, each, device, output)?;
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
