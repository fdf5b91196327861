//! How measurements are told: two tables for people, or one line a method for programs.

use std::io::Write;

use engine::ledger::Category;

use super::step::{COLUMNS, Step, mib, reasons, table};
use crate::error::{Error, Result};
use crate::measurement::Measurement;

/// What became of a method.
pub(crate) struct Line {
    pub(crate) id: &'static str,
    /// T, which is a method's own where it has no time.
    pub(crate) steps: usize,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// It ran; `planned` is the forecast's peak in bytes.
    Measured { planned: usize, measured: Box<Measurement> },
    /// It can't train the network, and why.
    Unsupported(String),
    /// It should have run, and why it did not.
    Failed(String),
}

/// The ledger's table, the process's table, and what is to be said.
pub(crate) fn for_people(lines: &[Line], train_steps: usize, output: &mut dyn Write) -> Result<()> {
    let texts = |first: &str, others: &[&str]| {
        std::iter::once(first).chain(others.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut ledger = vec![texts("most, MiB", &COLUMNS.map(|(_, name)| name))];
    let mut whole = vec![texts(
        "MiB",
        &["saved after forward", "plan", "ledger", "heap", "heap / plan", "heap grew", "resident grew"],
    )];
    whole[0].extend(["s a step", "firing rate"].map(str::to_owned));
    let mut told = Vec::new();
    for line in lines {
        match &line.outcome {
            Outcome::Measured { planned, measured } => {
                let most = COLUMNS.map(|(category, _)| mib(measured.most[category as usize] as f64));
                ledger.push(std::iter::once(line.id.to_owned()).chain(most).collect());
                whole.push(process(line.id, *planned, measured));
                if !measured.note.is_empty() {
                    told.push((line.id, format!("note: {}", measured.note)));
                }
            }
            Outcome::Unsupported(reason) => told.push((line.id, format!("can't: {reason}"))),
            Outcome::Failed(reason) => told.push((line.id, format!("failed: {reason}"))),
        }
    }
    if ledger.len() > 1 {
        table(&ledger, output)?;
        writeln!(output)?;
        table(&whole, output)?;
        let timed = train_steps - 1;
        writeln!(
            output,
            "\n{train_steps} steps, the first to warm up; time is the median of {}",
            if timed == 1 { "the other one".to_owned() } else { format!("the other {timed}") }
        )?;
    }
    reasons(&told, output)
}

fn process(id: &str, planned: usize, measured: &Measurement) -> Vec<String> {
    let none = || "-".to_owned();
    let size = |bytes: Option<usize>| bytes.map_or_else(none, |bytes| mib(bytes as f64));
    vec![
        id.to_owned(),
        mib(measured.saved_after_forward as f64),
        mib(planned as f64),
        mib(measured.ledger_peak as f64),
        size(measured.heap_peak),
        to_plan(planned, measured).map_or_else(none, |ratio| format!("{ratio:.3}")),
        size(measured.heap_growth),
        size(measured.resident_growth),
        measured.step_seconds.map_or_else(none, |seconds| format!("{seconds:.3}")),
        measured.firing_rate.map_or_else(none, |rate| format!("{rate:.3}")),
    ]
}

/// The heap's peak divided by the plan's.
fn to_plan(planned: usize, measured: &Measurement) -> Option<f64> {
    measured.heap_peak.map(|peak| peak as f64 / planned as f64)
}

/// A header and a line a method. What is not known is an empty cell, with the reason in the last one.
pub(crate) fn comma_separated(
    step: &Step,
    train_steps: usize,
    lines: &[Line],
    output: &mut dyn Write,
) -> Result<()> {
    let failed = |error: csv::Error| Error::Text { what: "measurements", message: error.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (index, line) in lines.iter().enumerate() {
        let cells = cells(step, train_steps, line);
        if index == 0 {
            writer.write_record(cells.iter().map(|(name, _)| name)).map_err(failed)?;
        }
        writer.write_record(cells.iter().map(|(_, value)| value)).map_err(failed)?;
    }
    let text = writer
        .into_inner()
        .map_err(|error| Error::Text { what: "measurements", message: error.to_string() })?;
    output.write_all(&text)?;
    Ok(())
}

/// The cells of a line with the names of their columns, the same ones for every line.
fn cells(step: &Step, train_steps: usize, line: &Line) -> Vec<(String, String)> {
    let spec = &step.setup.network;
    let [c, h, w] = spec.image;
    let (status, note, planned, measured) = match &line.outcome {
        Outcome::Measured { planned, measured } => {
            ("ok", measured.note.as_str(), Some(*planned), Some(&**measured))
        }
        Outcome::Unsupported(reason) => ("unsupported", reason.as_str(), None, None),
        Outcome::Failed(reason) => ("failed", reason.as_str(), None, None),
    };
    let number = |value: Option<usize>| value.map(|value| value.to_string()).unwrap_or_default();
    let real = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let of = |value: fn(&Measurement) -> usize| number(measured.map(value));
    let mut cells = vec![
        ("model", step.setup.entry.id.to_owned()),
        ("method", line.id.to_owned()),
        ("steps_t", line.steps.to_string()),
        ("batch", step.batch.to_string()),
        ("image", format!("{c}x{h}x{w}")),
        ("classes", spec.classes.to_string()),
        ("width", spec.width.to_string()),
        ("dtype", step.dtype().to_owned()),
        ("threads", step.threads.to_string()),
        ("train_steps", train_steps.to_string()),
        ("status", status.to_owned()),
        ("saved_after_forward_bytes", of(|measured| measured.saved_after_forward)),
        ("planned_peak_bytes", number(planned)),
        ("ledger_peak_bytes", of(|measured| measured.ledger_peak)),
        ("heap_peak_bytes", number(measured.and_then(|measured| measured.heap_peak))),
        (
            "heap_to_plan",
            real(planned.zip(measured).and_then(|(planned, measured)| to_plan(planned, measured))),
        ),
        ("heap_growth_bytes", number(measured.and_then(|measured| measured.heap_growth))),
        ("resident_growth_bytes", number(measured.and_then(|measured| measured.resident_growth))),
        ("step_seconds", real(measured.and_then(|measured| measured.step_seconds))),
        ("fastest_step_seconds", real(measured.and_then(|measured| measured.fastest_step_seconds))),
        ("firing_rate", real(measured.and_then(|measured| measured.firing_rate))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    cells.extend(Category::ALL.map(|category| {
        let most = number(measured.map(|measured| measured.most[category as usize]));
        (format!("most_{}_bytes", category.id().replace('-', "_")), most)
    }));
    cells.push(("note".to_owned(), note.to_owned()));
    cells
}
