//! How right each layer's gradient is: one panel a model, one line a method.

use super::{Axis, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::{Contest, contests, methods};
use crate::read::Records;
use crate::record::{FidelityRow, Status};
use std::collections::BTreeMap;

pub(super) const CHART: Chart = Chart { id: "fidelity-layers", figure };

/// The axis reaches down to here at least.
const NEAR: f64 = 0.9;

fn figure(records: &Records) -> Option<Figure> {
    let mut by_trial: BTreeMap<&str, Vec<&FidelityRow>> = BTreeMap::new();
    for row in &records.fidelity {
        by_trial.entry(&row.trial).or_default().push(row);
    }
    let methods = methods(records);
    let contests = contests(records);
    let drawn: Vec<(String, Vec<Series>)> = contests
        .iter()
        .map(|contest| (contest.title(), series(contest, &by_trial, &methods)))
        .filter(|(_, series)| !series.is_empty())
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let points = drawn.iter().flat_map(|(_, series)| series).flat_map(|series| &series.points);
    let cosines: Vec<f64> = points.map(|(_, y)| *y).collect();
    // Rounding errors of exact methods alone would fill the axis and need twelve digits.
    let at_least = cosines.iter().all(|cosine| *cosine > NEAR).then_some(NEAR);
    let mut y = Axis::linear("gradient cosine", cosines.into_iter().chain(at_least), false);
    // Room above for markers, and no number that a cosine can't be.
    y.ticks.retain(|(at, _)| *at <= 1.0 + f64::EPSILON);
    let panels = drawn.into_iter().map(|(title, series)| {
        let deepest = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
        let x = Axis::linear("layer of weights, from the input", deepest, true);
        Panel { title, x, series, guide: None }
    });
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Gradient of each layer beside the exact one".to_owned(),
        about: "Cosine of the angle to backpropagation through time, on the first batch before training. 1 is the same direction."
            .to_owned(),
        body: Body::Panels { y, panels: panels.collect() },
    })
}

/// A line for each entry whose gradients were compared, of its first seed.
fn series(contest: &Contest<'_>, rows: &BTreeMap<&str, Vec<&FidelityRow>>, methods: &[&str]) -> Vec<Series> {
    let mut lines = Vec::new();
    for entry in &contest.entries {
        let ended = entry.trials.iter().filter(|trial| trial.status == Status::Ok);
        let Some(rows) = ended.filter_map(|trial| rows.get(trial.trial.as_str())).next() else { continue };
        let cosines = rows.iter().enumerate();
        let points: Vec<(f64, f64)> =
            cosines.filter_map(|(place, row)| Some(((place + 1) as f64, row.gradient_cosine?))).collect();
        if !points.is_empty() {
            let method = method_place(methods, entry.method);
            lines.push(Series { name: contest.label(entry), method, points, band: Vec::new() });
        }
    }
    lines
}
