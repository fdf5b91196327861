//! Golden cases: one step of the authors' code, replayed here and compared tensor by tensor.
//!
//! A case is a folder with a `case.json` and one safetensors file a precision (`tests/golden` has some, with the format
//! described there). The network is built from the case's own sizes, takes the case's parameters and running
//! statistics by the authors' names, runs one step of the case's method, and evaluates before and after it.

mod case;
mod compare;
mod dialect;
mod neurons;
mod replay;

use std::io::Write;
use std::path::Path;

use candle_core::Device;
use case::{Case, Tensors};
use compare::{Compared, Comparison};
use results::Row;

use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::trial::operations;

/// Replays a case on a device and prints the comparison; whether every file of it agrees.
///
/// # Errors
/// When the case can't be read, names what nobody here knows, or does not fit the network it names.
pub(crate) fn probe(folder: &Path, each: bool, device: DeviceKind, output: &mut dyn Write) -> Result<bool> {
    let case = Case::read(folder)?;
    let device = device.open()?;
    writeln!(output, "case    {}", case.case)?;
    match &case.model {
        Some(model) => writeln!(output, "model   {model} = {}", dialect::model(&case)?.id)?,
        None => writeln!(output, "neurons {} variants", case.variants.len())?,
    }
    let mut passes = true;
    for path in case::tensor_files(folder)? {
        let file = Tensors::read(&path)?;
        let ours = match case.model {
            Some(_) => replay::replay(&case, &file, &device)?,
            None => neurons::replay(&case, &file, &device)?,
        };
        let ours = home(ours).map_err(|error| Error::Setting {
            place: path.display().to_string(),
            source: engine::Error::from(error),
        })?;
        let comparison = compare::compare(&case, &file, &ours).map_err(|error| Error::Document {
            place: path.display().to_string(),
            message: error.to_string(),
        })?;
        print(&path, &comparison, each, output)?;
        passes &= comparison.passes();
    }
    writeln!(output, "verdict {}", if passes { "agrees" } else { "DIFFERS" })?;
    Ok(passes)
}

/// Prints what an evaluation of each of a case's files computes: rows of `ops.csv`, whose key is the case.
///
/// # Errors
/// As those of [`probe`], and where an operation is met that no counter knows.
pub(crate) fn count(folder: &Path, device: DeviceKind, output: &mut dyn Write) -> Result<()> {
    let case = Case::read(folder)?;
    let device = device.open()?;
    let mut writer = csv::Writer::from_writer(output);
    for path in case::tensor_files(folder)? {
        let counts = replay::count(&case, &Tensors::read(&path)?, &device)?;
        for mut row in counts.iter().flat_map(operations::rows) {
            row.set_key(&case.case, 1);
            let failed = |error: csv::Error| Error::Text { what: "a count", message: error.to_string() };
            writer.serialize(row).map_err(failed)?;
        }
    }
    Ok(writer.flush()?)
}

/// What was found, on the host.
fn home(found: replay::Replayed) -> candle_core::Result<replay::Replayed> {
    found.into_iter().map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?))).collect()
}

fn print(path: &Path, comparison: &Comparison, each: bool, output: &mut dyn Write) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    writeln!(output, "\n{name}")?;
    writeln!(output, "  {:<20} {:>7} {:>10} {:>10}  worst tensor", "group", "tensors", "error", "allowed")?;
    for (group, all) in &comparison.groups {
        let Some(worst) = all.iter().max_by(|a, b| excess(a).total_cmp(&excess(b))) else { continue };
        let verdict = if all.iter().all(Compared::passes) { "" } else { "  DIFFERS" };
        writeln!(
            output,
            "  {group:<20} {:>7} {:>10.1e} {:>10.0e}  {}{verdict}",
            all.len(),
            worst.error,
            worst.bound,
            worst.name
        )?;
        for compared in all.iter().filter(|compared| each || !compared.passes()) {
            let problem = compared.problem.as_deref().unwrap_or_default();
            writeln!(output, "    {:>10.1e}  {}  {problem}", compared.error, compared.name)?;
        }
    }
    if !comparison.unknown.is_empty() {
        writeln!(output, "  not compared, of a kind nobody here knows: {}", comparison.unknown.join(", "))?;
    }
    Ok(())
}

/// How much of what is allowed is used up; above 1 is too much.
fn excess(compared: &Compared) -> f64 {
    match compared.bound {
        0.0 if compared.error == 0.0 => 0.0,
        bound => compared.error / bound,
    }
}
