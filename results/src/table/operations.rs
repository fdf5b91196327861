//! What one inference computes: all kinds of operations, and which layers multiply and why.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::{Contest, Entry, contests};
use crate::counts::{Counts, firing_rate, layers, mean, total};
use crate::quantity::{millions, percent, three_digits};
use crate::read::Records;
use crate::record::OpsRow;

pub(super) const TABLE: Table = Table { id: "operations", grid };

type Count = (&'static str, &'static str, &'static str, fn(&OpsRow) -> Option<f64>);

/// Counts that are summed over layers and steps: key, heading, meaning.
const COUNTS: [Count; 8] = [
    (
        "dense_macs_per_sample",
        "dense MACs, M",
        "Multiply-accumulates as if every input were a number, in millions.",
        |row| Some(row.dense_macs_per_sample),
    ),
    ("macs_per_sample", "MACs, M", "Multiply-accumulates where the input is no spike, in millions.", |row| {
        row.macs_per_sample
    }),
    (
        "acs_per_sample",
        "ACs, M",
        "Accumulates caused by a spike: how many outputs read it, borders and strides as they are; in millions.",
        |row| row.acs_per_sample,
    ),
    (
        "multiplies_per_sample",
        "multiplies, M",
        "Multiplications of leaks, norms, factors and means, in millions.",
        |row| row.multiplies_per_sample,
    ),
    (
        "adds_per_sample",
        "adds, M",
        "Additions of biases, currents, soft resets and shortcuts, in millions.",
        |row| row.adds_per_sample,
    ),
    (
        "compares_per_sample",
        "compares, M",
        "Comparisons of thresholds, maxima and rectified units, in millions.",
        |row| row.compares_per_sample,
    ),
    (
        "inputs_per_sample",
        "read, M",
        "Values that all layers read, each once a layer and step, in millions.",
        |row| row.inputs_per_sample,
    ),
    ("outputs_per_sample", "written, M", "Values that all layers make, in millions.", |row| {
        row.outputs_per_sample
    }),
];

fn grid(records: &Records) -> Grid {
    let counts = Counts::of(records);
    let groups = contests(records);
    let groups = groups.iter().filter_map(|contest| group(contest, &counts));
    Grid {
        id: TABLE.id.to_owned(),
        title: "Operations of one inference".to_owned(),
        caption: "For one sample, counted over the test split with the trained network. What is constant in time is computed \
                  once and counted once."
            .to_owned(),
        columns: columns(),
        groups: groups.collect(),
    }
}

fn columns() -> Vec<Column> {
    let mut columns = vec![
        Column::words("method", "method", "The way of training."),
        Column::numbers("steps_t", "T", "Number of time steps."),
        Column::numbers("firing_rate", "rate, %", "Spikes per neuron and step."),
        Column::numbers(
            "spikes_per_neuron",
            "spikes/neuron",
            "Spikes a neuron fires for one sample, all steps.",
        ),
    ];
    columns.extend(COUNTS.iter().map(|(key, title, about, _)| Column::numbers(key, title, about)));
    columns.extend([
        Column::words(
            "multiplying_layers",
            "layers that multiply",
            "Layers of weights or products whose input is no spike, with what they read.",
        ),
        Column::words("status", "status", "How the trial ended, and why a cell is empty."),
    ]);
    columns
}

fn group(contest: &Contest<'_>, counts: &Counts<'_>) -> Option<Group> {
    let counted = contest.entries.iter().any(|entry| !counts.evaluations(entry).is_empty());
    let rows = || contest.entries.iter().map(|entry| row(contest, entry, counts)).collect();
    counted.then(|| Group { title: contest.title(), rows: rows() })
}

fn row(contest: &Contest<'_>, entry: &Entry<'_>, counts: &Counts<'_>) -> Vec<Cell> {
    let seeds = counts.evaluations(entry);
    let why = entry.reason();
    let absent = if why == "ok" { "no operations were counted".to_owned() } else { why };
    let cell = |found: Option<Result<f64, String>>, text: fn(f64) -> String| match found {
        Some(Ok(value)) => Cell::Number { text: text(value), value },
        Some(Err(reason)) => Cell::Missing(reason),
        None => Cell::Missing(absent.clone()),
    };
    let silent = || "nothing spikes here".to_owned();
    let rate = mean(seeds.iter().map(|rows| firing_rate(rows).ok_or_else(silent)));
    let steps = f64::from(entry.steps_t);
    let spikes = rate.clone().map(|rate| rate.map(|rate| rate * steps));
    let mut cells = vec![
        Cell::Text(contest.label(entry)),
        Cell::number(Some(steps), |steps| format!("{steps}"), &absent),
        cell(rate, percent),
        cell(spikes, three_digits),
    ];
    cells.extend(COUNTS.iter().map(|(key, _, _, count)| {
        let lacking = || format!("a layer lacks {key}");
        cell(mean(seeds.iter().map(|rows| total(rows, count).ok_or_else(lacking))), millions)
    }));
    cells.push(match seeds.first() {
        Some(rows) => Cell::Text(multiplying(rows)),
        None => Cell::Missing(absent.clone()),
    });
    cells.push(Cell::Text(entry.status()));
    cells
}

/// Which layers multiply and why, as `conv1 (images), fc (spike-means)`; of many with one reason, how many.
fn multiplying(rows: &[&OpsRow]) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for layer in layers(rows) {
        let multiplies = layer.rows.iter().any(|row| row.has_products() && row.macs_per_sample > Some(0.0));
        if !multiplies {
            continue;
        }
        match reasons.iter_mut().find(|(reads, _)| *reads == layer.reads) {
            Some((_, names)) => names.push(layer.name),
            None => reasons.push((layer.reads, vec![layer.name])),
        }
    }
    let told = reasons.iter().map(|(reads, names)| match names.as_slice() {
        [first, .., last] if names.len() > 3 => format!("{} from {first} to {last} ({reads})", names.len()),
        few => format!("{} ({reads})", few.join(" + ")),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}
