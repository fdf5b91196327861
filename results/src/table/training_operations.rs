//! What a training step computes for one sample: forward, once more, and back; and what its traces and its update do.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::{Contest, Entry, contests};
use crate::counts::Counts;
use crate::quantity::{millions, times};
use crate::read::Records;
use crate::record::{OpsRow, Status};

pub(super) const TABLE: Table = Table { id: "training-operations", grid };

/// Parts of a training step, as rows name them.
const PARTS: [&str; 3] = ["forward", "recompute", "backward"];

fn grid(records: &Records) -> Grid {
    let counts = Counts::of(records);
    let groups = contests(records);
    let groups = groups.iter().filter_map(|contest| group(contest, &counts));
    Grid {
        id: TABLE.id.to_owned(),
        title: "Products of one training step".to_owned(),
        caption: "Millions of multiply-accumulates for one sample, from a plan of the step, as if every spike were a number: \
                  what a machine does that computes densely. Beside them the multiplications and additions of presynaptic \
                  traces, and of the optimiser, whose work is shared by the samples of a batch. Elementwise work on the way back \
                  is not in it."
            .to_owned(),
        columns: vec![
            Column::words("method", "method", "The way of training."),
            Column::numbers("steps_t", "T", "Number of time steps."),
            Column::numbers("forward_macs_per_sample", "forward, M", "The forward pass."),
            Column::numbers("recompute_macs_per_sample", "once more, M", "Forward work that is repeated on the way back."),
            Column::numbers("backward_macs_per_sample", "back, M", "Gradients of inputs and of weights."),
            Column::numbers("step_macs_per_sample", "step, M", "All three.").less_is_better(),
            Column::numbers("step_ratio", "step", "The step's products divided by those of the baseline method.").less_is_better(),
            Column::numbers("trace_operations_per_sample", "traces, M", "Multiplications and additions of presynaptic traces."),
            Column::numbers(
                "update_operations_per_sample",
                "update, M",
                "Multiplications and additions of the optimiser, divided by the samples of the batch. A method that updates at \
                 every step has T of them.",
            ),
            Column::words("status", "status", "How the trial ended, and why a cell is empty."),
        ],
        groups: groups.collect(),
    }
}

fn group(contest: &Contest<'_>, counts: &Counts<'_>) -> Option<Group> {
    let counted = contest.entries.iter().any(|entry| parts(entry, counts).is_some());
    let rows = || contest.entries.iter().map(|entry| row(contest, entry, counts)).collect();
    counted.then(|| Group { title: contest.title(), rows: rows() })
}

/// Products of each part; shapes are the same for every seed, so that of the first one that was counted.
fn parts(entry: &Entry<'_>, counts: &Counts<'_>) -> Option<[f64; 3]> {
    let measured = entry.trials.iter().filter(|trial| trial.status == Status::Ok);
    let rows =
        measured.map(|trial| counts.rows(trial)).find(|rows| rows.iter().any(|row| !row.is_evaluation()))?;
    let of = |part: &str| {
        let rows = rows.iter().filter(|row| row.during == part);
        // From 0.0: the sum of nothing is -0.0.
        rows.fold(0.0, |sum, row: &&OpsRow| sum + row.dense_macs_per_sample)
    };
    Some(PARTS.map(of))
}

/// Multiplications and additions of traces and of updates; nothing in records of programs that did not count updates, for they
/// had no traces either.
fn beside(entry: &Entry<'_>, counts: &Counts<'_>) -> Option<[f64; 2]> {
    let measured = entry.trials.iter().filter(|trial| trial.status == Status::Ok);
    let rows = measured
        .map(|trial| counts.rows(trial))
        .find(|rows| rows.iter().any(|row| row.during == "update"))?;
    let of = |holds: fn(&OpsRow) -> bool| {
        rows.iter()
            .filter(|row| holds(row))
            .try_fold(0.0, |sum, row| Some(sum + row.multiplies_per_sample? + row.adds_per_sample?))
    };
    Some([of(|row| row.kind == "trace")?, of(|row| row.during == "update")?])
}

fn row(contest: &Contest<'_>, entry: &Entry<'_>, counts: &Counts<'_>) -> Vec<Cell> {
    let found = parts(entry, counts);
    let base = contest.baseline(entry).and_then(|base| parts(base, counts));
    let whole = |parts: [f64; 3]| parts.iter().sum::<f64>();
    let why = entry.reason();
    let absent = if why == "ok" { "no operations were counted".to_owned() } else { why };
    let mut cells = vec![
        Cell::Text(contest.label(entry)),
        Cell::number(Some(f64::from(entry.steps_t)), |steps| format!("{steps}"), &absent),
    ];
    cells
        .extend((0..PARTS.len()).map(|part| Cell::number(found.map(|parts| parts[part]), millions, &absent)));
    let ratio =
        found.map(whole).zip(base.map(whole).filter(|base| *base > 0.0)).map(|(own, base)| own / base);
    cells.push(Cell::number(found.map(whole), millions, &absent));
    cells.push(Cell::number(ratio, times, &absent));
    let beside = beside(entry, counts);
    let uncounted = "the program that wrote these records did not count it";
    let absent = if found.is_some() { uncounted } else { absent.as_str() };
    cells.extend((0..2).map(|part| Cell::number(beside.map(|parts| parts[part]), millions, absent)));
    cells.push(Cell::Text(entry.status()));
    cells
}
