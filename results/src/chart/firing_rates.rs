//! How often neurons fire, layer by layer: one panel a model, one line a method.

use super::{Axis, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::{Contest, contests, methods};
use crate::counts::{Counts, layers};
use crate::read::Records;

pub(super) const CHART: Chart = Chart { id: "firing-rates", figure };

fn figure(records: &Records) -> Option<Figure> {
    let (methods, counts) = (methods(records), Counts::of(records));
    let contests = contests(records);
    let drawn: Vec<(String, Vec<Series>)> = contests
        .iter()
        .map(|contest| (contest.title(), series(contest, &counts, &methods)))
        .filter(|(_, series)| !series.is_empty())
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let points = drawn.iter().flat_map(|(_, series)| series).flat_map(|series| &series.points);
    let y = Axis::linear("spikes per neuron and step (%)", points.map(|(_, y)| *y), true);
    let panels = drawn.into_iter().map(|(title, series)| {
        // Networks differ in depth: each panel has an axis of its own.
        let deepest = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
        let x = Axis::linear("layer of neurons, from the input", deepest, true);
        Panel { title, x, series, guide: None }
    });
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Firing rate of each layer of neurons".to_owned(),
        about:
            "Over the test split, with the trained network. A layer near 0 hardly says anything to the next."
                .to_owned(),
        body: Body::Panels { y, panels: panels.collect() },
    })
}

/// A line for each entry whose spikes were counted, of its first seed.
fn series(contest: &Contest<'_>, counts: &Counts<'_>, methods: &[&str]) -> Vec<Series> {
    let mut lines = Vec::new();
    for entry in &contest.entries {
        let Some(rows) = counts.evaluations(entry).into_iter().next() else { continue };
        let rates = layers(&rows).iter().filter_map(|layer| layer.rate()).collect::<Vec<f64>>();
        let points: Vec<(f64, f64)> =
            rates.iter().enumerate().map(|(place, rate)| ((place + 1) as f64, rate * 100.0)).collect();
        if !points.is_empty() {
            let method = method_place(methods, entry.method);
            lines.push(Series { name: contest.label(entry), method, points, band: Vec::new() });
        }
    }
    lines
}
