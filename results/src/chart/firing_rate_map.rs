//! How often neurons fire, layer by layer and step by step: one group a model, one map a method.

use super::{Axis, Body, Chart, Figure, HeatGroup, HeatMap};
use crate::contest::{Contest, Entry, contests};
use crate::counts::{Counts, Layer, layers};
use crate::read::Records;

const LABEL: &str = "spikes per neuron (%)";

pub(super) const CHART: Chart = Chart { id: "firing-rate-map", figure };

fn figure(records: &Records) -> Option<Figure> {
    let counts = Counts::of(records);
    let groups: Vec<HeatGroup> =
        contests(records).iter().flat_map(|contest| contest_groups(contest, &counts)).collect();
    let rates =
        || groups.iter().flat_map(|group| &group.maps).flat_map(|map| map.cells.iter().flatten().flatten());
    rates().next()?;
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Firing rate of each layer of neurons at each time step".to_owned(),
        about: "Over the test split, with the trained network of the first seed; layers from the input down, time to the right."
            .to_owned(),
        body: Body::Heat { value: Axis::linear(LABEL, rates().copied(), true), groups },
    })
}

/// The maps of a contest; those of entries with the same layers stand beside one another.
fn contest_groups(contest: &Contest<'_>, counts: &Counts<'_>) -> Vec<HeatGroup> {
    let mut groups: Vec<HeatGroup> = Vec::new();
    for entry in &contest.entries {
        let Some((rows, map)) = map(contest, entry, counts) else { continue };
        match groups.iter_mut().find(|group| group.rows == rows) {
            Some(group) => group.maps.push(map),
            None => groups.push(HeatGroup { title: contest.title(), rows, maps: vec![map] }),
        }
    }
    groups
}

/// The names of an entry's layers of neurons, and their rates.
fn map(contest: &Contest<'_>, entry: &Entry<'_>, counts: &Counts<'_>) -> Option<(Vec<String>, HeatMap)> {
    let rows = counts.evaluations(entry).into_iter().next()?;
    let neurons: Vec<Layer<'_>> =
        layers(&rows).into_iter().filter(|layer| layer.spikes_per_neuron().is_some()).collect();
    // Layers that run once for all steps have no map of them.
    let steps =
        neurons.iter().flat_map(|layer| &layer.rows).map(|row| row.step).max().filter(|steps| *steps > 0)?;
    let cells = neurons.iter().map(|layer| (1..=steps).map(|step| rate(layer, step)).collect()).collect();
    let columns = (1..=steps).map(|step| step.to_string()).collect();
    let names = neurons.iter().map(|layer| layer.name.to_owned()).collect();
    Some((names, HeatMap { name: contest.label(entry), columns, cells }))
}

/// Percent of a layer's neurons that fire in a step.
fn rate(layer: &Layer<'_>, step: u32) -> Option<f64> {
    let row = layer.rows.iter().find(|row| row.step == step)?;
    row.spikes_per_sample.map(|spikes| 100.0 * spikes / row.neurons as f64)
}
