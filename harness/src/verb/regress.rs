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
    /// Baseline to compare with, such as results/baselines/memory.csv.
    #[arg(long, value_name = "FILE.csv")]
    baseline: PathBuf,
    /// Write what was measured into the baseline instead.
    #[arg(long)]
    update: bool,
    /// Device to measure on. The baseline holds bytes of the processor, so on another device the laws alone are checked.
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
    let file = request.baseline.display().to_string();
    // Before anything is measured: a file that can't be read is told at once.
    let baseline = match results::read_baseline(&request.baseline) {
        Err(results::Error::Read { source, .. })
            if request.update && source.kind() == ErrorKind::NotFound =>
        {
            Vec::new()
        }
        read => read.map_err(Error::Baseline)?,
    };
    if !kernels::heap::is_counting() {
        return Err(Error::value("the heap", "counted, as it is in the harness program", "not counted"));
    }
    kernels::heap::keep_pages();
    let began = Instant::now();
    let found = regress::measure_all(&cells, request.device)?;
    let rows: Vec<MemoryRow> = found.iter().flat_map(regress::Found::rows).collect();
    let mut broken: Vec<String> = found.iter().flat_map(regress::broken_laws).collect();
    if !request.update && own {
        if let Some((line, foreign)) = baseline.iter().find(|(_, row)| !rows.iter().any(|r| r.same_cell(row)))
        {
            // A cell that could not be measured has no row here, and is told as broken.
            if broken.is_empty() {
                let expected = "a cell of the list; --update leaves it out".to_owned();
                let found = format!("{}, {}, T {}", foreign.network, foreign.method, foreign.steps_t);
                let path = request.baseline.clone();
                return Err(Error::Baseline(results::Error::Baseline { path, line: *line, expected, found }));
            }
        }
        let Comparison { broken: changed, notes } = regress::against(&rows, &baseline, &file);
        broken.extend(changed);
        for note in notes {
            writeln!(output, "note: {note}")?;
        }
    }
    if !broken.is_empty() {
        for line in &broken {
            writeln!(output, "{line}")?;
        }
        if request.update {
            writeln!(output, "{file} is left as it was: a baseline holds no broken law")?;
        }
        return Ok(ExitCode::FAILURE);
    }
    write!(output, "{}", regress::table(&found))?;
    let (set, seconds) = (kernels::instruction_set(), began.elapsed().as_secs_f64());
    let place = if own { set } else { request.device.id() };
    writeln!(output, "\n{} rows in {seconds:.0} s with {place}: every law holds", rows.len())?;
    if !own {
        return Ok(ExitCode::SUCCESS);
    }
    if request.update {
        return update(&request.baseline, rows, &baseline, output);
    }
    writeln!(output, "bytes are those of {file}")?;
    Ok(ExitCode::SUCCESS)
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
