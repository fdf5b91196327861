//! `probe CASE_DIR`: golden cases replayed and compared, or counted.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::device::DeviceKind;
use crate::error::Result;
use crate::probe;

pub(crate) fn probe(
    folders: &[PathBuf],
    each: bool,
    operations: bool,
    device: DeviceKind,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    device.check()?;
    let mut passes = true;
    for (place, folder) in folders.iter().enumerate() {
        if place > 0 {
            writeln!(output)?;
        }
        if operations {
            probe::count(folder, device, output)?;
            continue;
        }
        passes &= probe::probe(folder, each, device, output)?;
    }
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
