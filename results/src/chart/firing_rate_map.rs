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
    let (mut names, mut cells): (Vec<String>, Vec<Vec<Option<f64>>>) = (Vec::new(), Vec::new());
    for layer in &neurons {
        let name = row_name(layer);
        let rates = (1..=steps).map(|step| rate(layer, step));
        match names.iter().position(|known| known == name) {
            Some(row) => cells[row].iter_mut().zip(rates).for_each(|(cell, rate)| *cell = cell.or(rate)),
            None => {
                names.push(name.to_owned());
                cells.push(rates.collect());
            }
        }
    }
    let columns = (1..=steps).map(|step| step.to_string()).collect();
    Some((names, HeatMap { name: contest.label(entry), columns, cells }))
}

/// The name of a layer's row. A network with weights of their own at every step has a layer for each, `step3.block`: they share
/// a row, `block`.
fn row_name<'l>(layer: &Layer<'l>) -> &'l str {
    let own = match layer.rows.as_slice() {
        [row] if row.step > 0 => layer.name.strip_prefix(&format!("step{}.", row.step - 1)),
        _ => None,
    };
    own.unwrap_or(layer.name)
}

/// Percent of a layer's neurons that fire in a step.
fn rate(layer: &Layer<'_>, step: u32) -> Option<f64> {
    let row = layer.rows.iter().find(|row| row.step == step)?;
    row.spikes_per_sample.map(|spikes| 100.0 * spikes / row.neurons as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OpsRow;

    #[test]
    fn layers_of_one_step_share_a_row_with_those_of_the_others() {
        let at = |step: u32| OpsRow { step, ..OpsRow::default() };
        let (first, second, third) = (at(1), at(2), at(3));
        let layer = |name, rows| Layer { name, kind: "neuron", reads: "normalised", rows };
        assert_eq!(row_name(&layer("step1.block.spike", vec![&second])), "block.spike");
        // Another step's number is a part of the name, and so is any of a layer that has all steps.
        assert_eq!(row_name(&layer("step1.block.spike", vec![&third])), "step1.block.spike");
        assert_eq!(row_name(&layer("step0.block", vec![&first, &second])), "step0.block");
        assert_eq!(row_name(&layer("block", vec![&first])), "block");
    }
}
