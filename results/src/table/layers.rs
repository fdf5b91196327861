//! Layer by layer: what one inference computes, how often neurons fire, what it costs.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::contests;
use crate::counts::{Counts, Layer, layers, total};
use crate::energy::{JOULES_PER_PJ, find};
use crate::quantity::{percent, three_digits};
use crate::read::Records;
use crate::record::OpsRow;

pub(super) const TABLE: Table = Table { id: "layers", grid };

/// The model of the last column.
const MODEL: &str = "sop45-fp32";

fn grid(records: &Records) -> Grid {
    let counts = Counts::of(records);
    let mut groups = Vec::new();
    for contest in contests(records) {
        for entry in &contest.entries {
            // One seed stands for all: layers differ by less than methods do, and the sums are in the other tables.
            let Some(rows) = counts.evaluations(entry).into_iter().next() else { continue };
            groups.push(Group {
                title: format!("{}: {}, T = {}", contest.title(), contest.label(entry), entry.steps_t),
                rows: layers(&rows).iter().map(row).collect(),
            });
        }
    }
    Grid {
        id: TABLE.id.to_owned(),
        title: "Operations layer by layer".to_owned(),
        caption: "For one sample of the test split, all steps added up, of the first seed; thousands of operations.".to_owned(),
        columns: columns(),
        groups,
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::words("layer", "layer", "Name of the layer."),
        Column::words("kind", "kind", "Which work."),
        Column::words("reads", "reads", "What the layer reads: why it multiplies, or that it need not."),
        Column::numbers(
            "steps",
            "steps",
            "Time steps in which it is computed; 1 for what is constant in time.",
        ),
        Column::numbers("weights", "weights", "Scalars of its weights and biases."),
        Column::numbers("neurons", "neurons", "Neurons or rectified units of one sample."),
        Column::numbers(
            "dense_macs_per_sample",
            "dense MACs, k",
            "Multiply-accumulates as if every input were a number.",
        ),
        Column::numbers("macs_per_sample", "MACs, k", "Multiply-accumulates where the input is no spike."),
        Column::numbers("acs_per_sample", "ACs, k", "Accumulates caused by a spike."),
        Column::numbers(
            "others_per_sample",
            "others, k",
            "Multiplications, additions and comparisons beside those.",
        ),
        Column::numbers("firing_rate", "rate, %", "Spikes per neuron and step."),
        Column::numbers("spikes_per_neuron", "spikes/neuron", "Spikes a neuron fires for one sample."),
        Column::numbers("energy_joules", "energy, µJ", "Energy of the layer under sop45-fp32."),
    ]
}

fn row(layer: &Layer<'_>) -> Vec<Cell> {
    let first = layer.rows.first();
    let plain = |count: Option<u64>, why: &str| {
        Cell::number(
            count.filter(|count| *count > 0).map(|count| count as f64),
            |count| format!("{count}"),
            why,
        )
    };
    let thousands = |count: f64| three_digits(count / 1e3);
    let sum =
        |count: fn(&OpsRow) -> Option<f64>| Cell::number(total(&layer.rows, count), thousands, "not counted");
    let others =
        |row: &OpsRow| Some(row.multiplies_per_sample? + row.adds_per_sample? + row.compares_per_sample?);
    let energy = find(MODEL).and_then(|model| total(&layer.rows, model.row));
    let silent = "no neurons that spike";
    vec![
        Cell::Text(layer.name.to_owned()),
        Cell::Text(layer.kind.to_owned()),
        Cell::Text(layer.reads.to_owned()),
        Cell::number(Some(layer.rows.len() as f64), |steps| format!("{steps}"), ""),
        plain(first.map(|row| row.weights), "no weights"),
        plain(first.map(|row| row.neurons), "no neurons"),
        sum(|row| Some(row.dense_macs_per_sample)),
        sum(|row| row.macs_per_sample),
        sum(|row| row.acs_per_sample),
        sum(others),
        Cell::number(layer.rate(), percent, silent),
        Cell::number(layer.spikes_per_neuron(), three_digits, silent),
        match energy {
            Some(pj) => {
                let joules = pj * JOULES_PER_PJ;
                Cell::Number { text: three_digits(joules * 1e6), value: joules }
            }
            None => Cell::Missing("not counted".to_owned()),
        },
    ]
}
