//! How accuracy grows with the epochs: one panel a model, one line a method, over several seeds with a band.

use super::{Axis, Band, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::{Contest, Entry, contests, methods};
use crate::read::Records;
use crate::record::{CurvePoint, Status};
use crate::statistics::Interval;
use std::collections::BTreeMap;

pub(super) const CHART: Chart = Chart { id: "learning-curves", figure };

fn figure(records: &Records) -> Option<Figure> {
    let (methods, epochs) = (methods(records), Epochs::of(records));
    let contests = contests(records);
    let drawn: Vec<(String, Vec<Series>)> = contests
        .iter()
        .map(|contest| (contest.title(), series(contest, &epochs, &methods)))
        .filter(|(_, series)| !series.is_empty())
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let all = || drawn.iter().flat_map(|(_, series)| series);
    let ends = all().flat_map(|series| &series.band).flat_map(|band| [band.low, band.high]);
    let values = all().flat_map(|series| &series.points).map(|(_, y)| *y).chain(ends);
    let y = Axis::linear("test top-1 (%)", values, false);
    let banded = all().any(|series| !series.band.is_empty());
    let panels = drawn.into_iter().map(|(title, series)| {
        let last = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x).fold(0.0, f64::max);
        // Whole epochs alone are marked: there is no half one.
        let mut x = Axis::linear("epoch", [last], true).ending_at(last);
        x.ticks.retain(|(at, _)| at.fract() == 0.0);
        Panel { title, x, series, guide: None }
    });
    let about = "Test accuracy of the trained parameters after each epoch.";
    let over = " The line is the mean over seeds, the band its 95 % t-interval.";
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Accuracy against epochs".to_owned(),
        about: format!("{about}{}", if banded { over } else { " One seed: no spread is known." }),
        body: Body::Panels { y, panels: panels.collect() },
    })
}

/// The rows that sum up an epoch, by trial.
struct Epochs<'r> {
    by_trial: BTreeMap<&'r str, Vec<&'r CurvePoint>>,
}

impl<'r> Epochs<'r> {
    fn of(records: &'r Records) -> Self {
        let mut by_trial: BTreeMap<&str, Vec<&CurvePoint>> = BTreeMap::new();
        for row in records.curve.iter().filter(|row| row.step.is_none() && row.test_top1.is_some()) {
            by_trial.entry(&row.trial).or_default().push(row);
        }
        Self { by_trial }
    }

    /// Accuracy in percent by epoch, for each seed of an entry that came to its end.
    fn accuracies(&self, entry: &Entry<'_>) -> Vec<BTreeMap<u32, f64>> {
        let ended = entry.trials.iter().filter(|trial| trial.status == Status::Ok);
        let rows = ended.filter_map(|trial| self.by_trial.get(trial.trial.as_str()));
        rows.map(|rows| rows.iter().filter_map(|row| Some((row.epoch, row.test_top1? * 100.0))).collect())
            .collect()
    }
}

fn series(contest: &Contest<'_>, epochs: &Epochs<'_>, methods: &[&str]) -> Vec<Series> {
    let mut lines = Vec::new();
    for entry in &contest.entries {
        let seeds = epochs.accuracies(entry);
        let Some(first) = seeds.first() else { continue };
        let (mut points, mut band) = (Vec::new(), Vec::new());
        for epoch in first.keys() {
            // A mean over other seeds than those of the epoch before would be a step that nobody took.
            let values: Vec<f64> = seeds.iter().filter_map(|seed| seed.get(epoch).copied()).collect();
            if values.len() < seeds.len() {
                continue;
            }
            let x = f64::from(*epoch);
            points.push((x, values.iter().sum::<f64>() / values.len() as f64));
            band.extend(Interval::of_mean(&values).map(|over| Band { x, low: over.low, high: over.high }));
        }
        if !points.is_empty() {
            let method = method_place(methods, entry.method);
            lines.push(Series { name: contest.label(entry), method, points, band });
        }
    }
    lines
}
