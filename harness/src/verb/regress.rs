//! `regress`: the memory gate, measured and compared.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use results::MemoryRow;

use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::regress::{self, Cells, Comparison};

/// What to measure and what to compare with.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Request {
    /// Baseline to compare with, such as results/baselines/memory.csv. Without one the laws alone are checked.
    #[arg(long, value_name = "FILE.csv", required_if_eq("update", "true"))]
    baseline: Option<PathBuf>,
    /// Write what was measured into the baseline instead.
    #[arg(long)]
    update: bool,
    /// Device to measure on. The baseline holds bytes of the processor, so on another device the laws alone are checked: by
    /// the ledger, and by the device's own pool.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceKind,
    /// List of cells in place of the one that ships.
    #[arg(long, value_name = "FILE.toml")]
    cells: Option<PathBuf>,
}

pub(crate) fn regress(request: &Request, output: &mut dyn Write) -> Result<ExitCode> {
    let cells = match &request.cells {
        Some(path) => Cells::read(path, &registry::find)?,
        None => Cells::shipped(&registry::find)?,
    };
    request.device.check()?;
    let own = request.device == DeviceKind::Cpu;
    if request.update && !own {
        return Err(Error::value("--device", "cpu with --update", request.device.id()));
    }
    // Bytes of the processor say nothing of another device.
    let path = request.baseline.as_deref().filter(|_| own);
    // Before anything is measured: a file that can't be read is told at once.
    let baseline = path.map(|path| old(path, request.update)).transpose()?.unwrap_or_default();
    if !kernels::heap::is_counting() {
        return Err(Error::value("the heap", "counted, as it is in the harness program", "not counted"));
    }
    kernels::heap::keep_pages();
    let began = Instant::now();
    let found = regress::measure_all(&cells, request.device)?;
    let rows: Vec<MemoryRow> = found.iter().flat_map(regress::Found::rows).collect();
    let mut broken: Vec<String> = found.iter().flat_map(regress::broken_laws).collect();
    let on_pool: std::result::Result<Vec<_>, _> = found.iter().map(regress::broken_on_pool).collect();
    broken.extend(on_pool.clone().unwrap_or_default().into_iter().flatten());
    if let Some(path) = path.filter(|_| !request.update) {
        if let Some((line, foreign)) = baseline.iter().find(|(_, row)| !rows.iter().any(|r| r.same_cell(row)))
        {
            // A cell that could not be measured has no row here, and is told as broken.
            if broken.is_empty() {
                let expected = "a cell of the list; --update leaves it out".to_owned();
                let found = format!("{}, {}, T {}", foreign.network, foreign.method, foreign.steps_t);
                let (path, line) = (path.to_owned(), *line);
                return Err(Error::Baseline(results::Error::Baseline { path, line, expected, found }));
            }
        }
        let Comparison { broken: changed, notes } =
            regress::against(&rows, &baseline, &path.display().to_string());
        broken.extend(changed);
        for note in notes {
            writeln!(output, "note: {note}")?;
        }
    }
    if !broken.is_empty() {
        for line in &broken {
            writeln!(output, "{line}")?;
        }
        if let Some(path) = path.filter(|_| request.update) {
            writeln!(output, "{} is left as it was: a baseline holds no broken law", path.display())?;
        }
        return Ok(ExitCode::FAILURE);
    }
    write!(output, "{}", regress::table(&found))?;
    match on_pool {
        Ok(_) => writeln!(output, "\nthe pool: no law broken by its own counting, plan = ledger <= pool")?,
        Err(reason) => writeln!(output, "\nthe pool: not judged: {reason}")?,
    }
    let (set, seconds) = (kernels::instruction_set(), began.elapsed().as_secs_f64());
    let place = if own { set } else { request.device.id() };
    writeln!(output, "{} rows in {seconds:.0} s with {place}: every law holds", rows.len())?;
    match path {
        Some(path) if request.update => return update(path, rows, &baseline, output),
        Some(path) => writeln!(output, "bytes are those of {}", path.display())?,
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows of a baseline with their lines; one that is to be written may be missing.
fn old(path: &Path, to_be_written: bool) -> Result<Vec<(usize, MemoryRow)>> {
    match results::read_baseline(path) {
        Err(results::Error::Read { source, .. }) if to_be_written && source.kind() == ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        read => read.map_err(Error::Baseline),
    }
}

/// Writes the rows, and those of other instruction sets that still hold; tells what changed.
fn update(
    path: &Path,
    mut rows: Vec<MemoryRow>,
    old: &[(usize, MemoryRow)],
    output: &mut dyn Write,
) -> Result<ExitCode> {
    let same = |a: &MemoryRow, b: &MemoryRow| a.same_cell(b) && a.categories() == b.categories();
    let (own, others): (Vec<_>, Vec<_>) =
        old.iter().map(|(_, row)| row).partition(|row| row.instruction_set == kernels::instruction_set());
    let others_held: Vec<MemoryRow> = others
        .iter()
        .filter(|other| rows.iter().any(|row| same(row, other)))
        .map(|&row| row.clone())
        .collect();
    let (changed, dropped) =
        (rows.iter().filter(|row| !own.contains(row)).count(), others.len() - others_held.len());
    rows.extend(others_held);
    results::write_baseline(path, &rows).map_err(Error::Baseline)?;
    writeln!(output, "{} written: {changed} rows are new or changed", path.display())?;
    if dropped > 0 {
        writeln!(output, "{dropped} rows of other instruction sets left out: their bytes changed too")?;
    }
    if changed > 0 {
        writeln!(output, "name the cause in CHANGELOG.md")?;
    }
    Ok(ExitCode::SUCCESS)
}
