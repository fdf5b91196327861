//! `self-test`: the kernels of a device beside the processor's.

use std::io::Write;
use std::process::ExitCode;

use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::selftest;
use crate::trial::STACK_BYTES;

/// Prints a line a kind; exit code 1 where one differs.
pub(crate) fn selftest(device: DeviceKind, output: &mut dyn Write) -> Result<ExitCode> {
    device.check()?;
    let pool = kernels::threads::pool(1, STACK_BYTES)
        .map_err(|error| Error::value("threads", "a number that the system can start", error))?;
    let mut text = Vec::new();
    let passes = pool.install(|| selftest::run(device, &mut text))?;
    output.write_all(&text)?;
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
