//! Energy of one inference under each model, side by side and never measured.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::{Contest, Entry, contests};
use crate::counts::{Counts, firing_rate, mean, total};
use crate::energy::{EnergyModel, JOULES_PER_PJ, MODELS, NO_COUNTS, qann_footnote, qann_ratio};
use crate::quantity::{millions, percent, three_digits, times};
use crate::read::Records;
use crate::record::{MeterRow, Status};

pub(super) const TABLE: Table = Table { id: "energy", grid };

/// Why a cell holds no joules of a meter where there is no row of one.
const NO_METER: &str = "no energy meter was read";

fn grid(records: &Records) -> Grid {
    let counts = Counts::of(records);
    let groups = contests(records);
    let groups = groups.iter().filter_map(|contest| group(contest, &counts, &records.meter));
    let footnotes: Vec<String> =
        MODELS.iter().map(|model| model.footnote()).chain([qann_footnote()]).collect();
    Grid {
        id: TABLE.id.to_owned(),
        title: "Energy of one inference, by model".to_owned(),
        caption: format!(
            "Computed from operations counted over the test split with the trained network, not measured; µJ for one \
             sample. Accuracy stands beside, as a network that learned nothing may spike as rarely as it likes. {}",
            footnotes.join(" ")
        ),
        columns: columns(),
        groups: groups.collect(),
    }
}

fn columns() -> Vec<Column> {
    let mut columns = vec![
        Column::words("method", "method", "The way of training."),
        Column::numbers("steps_t", "T", "Number of time steps."),
        Column::numbers("top1_last", "top-1 last, %", "Test accuracy after the last epoch.").more_is_better(),
        Column::numbers("firing_rate", "rate, %", "Spikes per neuron and step."),
        Column::numbers(
            "macs_per_sample",
            "MACs, M",
            "Multiply-accumulates where the input is no spike, in millions.",
        ),
        Column::numbers("acs_per_sample", "ACs, M", "Accumulates caused by a spike, in millions."),
    ];
    columns.extend(MODELS.iter().map(|model| {
        let key = format!("{}_v{}_joules", model.id.replace('-', "_"), model.version);
        Column::numbers(&key, &format!("{}, µJ", model.id), &model.footnote()).less_is_better()
    }));
    columns.extend([
        Column::numbers("qann_ratio", "qann-ratio", &qann_footnote()),
        Column::numbers(
            "measured_joules",
            "measured, µJ",
            "Energy of an inference as the machine's own meter counts it, less that of the machine at rest.",
        )
        .less_is_better(),
        Column::words("status", "status", "How the trial ended, and why a cell is empty."),
    ]);
    columns
}

/// A contest's rows; `None` if nothing of it was counted.
fn group(contest: &Contest<'_>, counts: &Counts<'_>, meter: &[MeterRow]) -> Option<Group> {
    let counted = contest.entries.iter().any(|entry| !counts.evaluations(entry).is_empty());
    let rows = || contest.entries.iter().map(|entry| row(contest, entry, counts, meter)).collect();
    counted.then(|| Group { title: contest.title(), rows: rows() })
}

fn row(contest: &Contest<'_>, entry: &Entry<'_>, counts: &Counts<'_>, meter: &[MeterRow]) -> Vec<Cell> {
    let seeds = counts.evaluations(entry);
    let why = entry.reason();
    let absent = if why == "ok" { NO_COUNTS.to_owned() } else { why };
    let cell = |found: Option<Result<f64, String>>, text: fn(f64) -> String| match found {
        Some(Ok(value)) => Cell::Number { text: text(value), value },
        Some(Err(reason)) => Cell::Missing(reason),
        None => Cell::Missing(absent.clone()),
    };
    let sum = |count: fn(&crate::record::OpsRow) -> Option<f64>| {
        mean(seeds.iter().map(|rows| total(rows, count).ok_or_else(|| NO_COUNTS.to_owned())))
    };
    let rate =
        mean(seeds.iter().map(|rows| firing_rate(rows).ok_or_else(|| "nothing spikes here".to_owned())));
    let mut cells = vec![
        Cell::Text(contest.label(entry)),
        Cell::number(Some(f64::from(entry.steps_t)), |steps| format!("{steps}"), &absent),
        Cell::number(entry.mean(|trial| trial.top1_last), percent, &absent),
        cell(rate, percent),
        cell(sum(|row| row.macs_per_sample), millions),
        cell(sum(|row| row.acs_per_sample), millions),
    ];
    // Joules are told in µJ.
    let joules = |found: Option<Result<f64, String>>| match found {
        Some(Ok(joules)) => Cell::Number { text: three_digits(joules * 1e6), value: joules },
        other => cell(other, three_digits),
    };
    let modelled = |model: &EnergyModel| {
        mean(seeds.iter().map(|rows| model.energy(rows).map(|energy| energy * JOULES_PER_PJ)))
    };
    cells.extend(MODELS.iter().map(|model| joules(modelled(model))));
    cells.push(cell(mean(seeds.iter().map(|rows| qann_ratio(rows, entry.steps_t))), times));
    cells.push(match mean(evaluations(entry, meter).map(MeterRow::joules_per_sample)) {
        None => Cell::Missing(NO_METER.to_owned()),
        found => joules(found),
    });
    cells.push(Cell::Text(entry.status()));
    cells
}

/// What the meter counted in the evaluations of each measured seed.
fn evaluations<'m>(entry: &Entry<'_>, meter: &'m [MeterRow]) -> impl Iterator<Item = &'m MeterRow> {
    let keys: Vec<String> = entry
        .trials
        .iter()
        .filter(|trial| trial.status == Status::Ok)
        .map(|trial| trial.trial.clone())
        .collect();
    meter.iter().filter(move |row| row.doing == "evaluation" && keys.contains(&row.trial))
}
