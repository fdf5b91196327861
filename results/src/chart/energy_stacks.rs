//! What the energy of an inference is for: one stack a method, one group a model, one part a kind of layer.

use super::{Axis, Body, Chart, Figure, Stack, StackGroup};
use crate::contest::{Contest, Entry, contests};
use crate::counts::{Counts, mean};
use crate::energy::{self, EnergyModel};
use crate::read::Records;
use crate::record::OpsRow;

const LABEL: &str = "energy of one inference (µJ)";
/// The energy model: the one that leaves nothing out that is computed.
const MODEL: &str = "sop45-fp32-all";
const MICROJOULES_PER_PJ: f64 = 1e-6;

pub(super) const CHART: Chart = Chart { id: "energy-stacks", figure };

/// A kind of layer: its name, and which rows it has. Greys first: what is no weight and no neuron.
type Part = (&'static str, fn(&OpsRow) -> bool);
const PARTS: [Part; 9] = [
    ("norms", |row| row.kind == "norm"),
    ("pools", |row| row.kind == "pool"),
    ("shortcuts", |row| row.kind == "sum"),
    ("factors and carried values", |row| matches!(row.kind.as_str(), "scale" | "carry")),
    ("weights that multiply", |row| is_weights(row) && row.reads != "spikes"),
    ("weights behind spikes", |row| is_weights(row) && row.reads == "spikes"),
    ("neurons", |row| row.kind == "neuron"),
    ("rectified units", |row| row.kind == "rectifier"),
    ("attention", |row| row.kind == "product"),
];

fn is_weights(row: &OpsRow) -> bool {
    matches!(row.kind.as_str(), "convolution" | "linear")
}

fn figure(records: &Records) -> Option<Figure> {
    let (counts, model) = (Counts::of(records), energy::find(MODEL)?);
    let contests = contests(records);
    let groups: Vec<StackGroup> =
        contests.iter().filter_map(|contest| group(contest, &counts, model)).collect();
    if groups.is_empty() {
        return None;
    }
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "What the energy of one inference is for".to_owned(),
        about: format!("Computed by {MODEL} from counted operations of the trained network, not measured."),
        body: Body::Stacks {
            label: LABEL.to_owned(),
            parts: PARTS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            groups,
        },
    })
}

fn group(contest: &Contest<'_>, counts: &Counts<'_>, model: &EnergyModel) -> Option<StackGroup> {
    let stacks: Vec<Stack> =
        contest.entries.iter().filter_map(|entry| stack(contest, entry, counts, model)).collect();
    let longest = stacks.iter().map(|stack| stack.values.iter().sum::<f64>()).fold(0.0, f64::max);
    let x = Axis::linear(LABEL, [longest], true).ending_at(longest);
    (!stacks.is_empty()).then_some(StackGroup { title: contest.title(), x, stacks })
}

/// The mean over the seeds that were counted; `None` where a row is of no kind that a part has, or lacks a count.
fn stack(
    contest: &Contest<'_>,
    entry: &Entry<'_>,
    counts: &Counts<'_>,
    model: &EnergyModel,
) -> Option<Stack> {
    let seeds = counts.evaluations(entry);
    if seeds.iter().flatten().any(|row| !PARTS.iter().any(|(_, holds)| holds(row))) {
        return None;
    }
    let of_part = |holds: fn(&OpsRow) -> bool| {
        let sums = seeds.iter().map(|rows| {
            let rows = rows.iter().filter(|row| holds(row));
            let sum: Option<f64> = rows.map(|row| (model.row)(row)).sum();
            sum.map(|picojoules| picojoules * MICROJOULES_PER_PJ).ok_or_else(String::new)
        });
        mean(sums)?.ok()
    };
    let values: Option<Vec<f64>> = PARTS.iter().map(|(_, holds)| of_part(*holds)).collect();
    let values = values?;
    let text = format!("{:.2}", values.iter().sum::<f64>());
    Some(Stack { name: contest.label(entry), values, text })
}
