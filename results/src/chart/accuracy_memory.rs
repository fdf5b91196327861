//! What a method reaches against the memory it takes: one panel a model, one point a method.

use super::{Axis, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::{Contest, contests, methods};
use crate::quantity::MIB;
use crate::read::Records;

pub(super) const CHART: Chart = Chart { id: "accuracy-memory", figure };

fn figure(records: &Records) -> Option<Figure> {
    let methods = methods(records);
    let panels: Vec<Panel> =
        contests(records).iter().filter_map(|contest| panel(contest, &methods)).collect();
    if panels.is_empty() {
        return None;
    }
    let heights = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let y = Axis::linear("test top-1, last epoch (%)", heights.map(|(_, y)| *y), false);
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Accuracy against peak memory of one training step".to_owned(),
        about: "Up and to the left is better. One panel a model: methods compare inside a panel.".to_owned(),
        body: Body::Panels { y, panels },
    })
}

/// A contest's panel; `None` if no method of it has both numbers.
fn panel(contest: &Contest<'_>, methods: &[&str]) -> Option<Panel> {
    let mut series = Vec::new();
    for entry in &contest.entries {
        let bytes = entry.highest(|trial| trial.peak_step_bytes);
        let top1 = entry.mean(|trial| trial.top1_last).filter(|top1| top1.is_finite());
        if let Some((bytes, top1)) = bytes.zip(top1) {
            series.push(Series {
                name: contest.label(entry),
                method: method_place(methods, entry.method),
                points: vec![(bytes as f64 / MIB, top1 * 100.0)],
                band: Vec::new(),
            });
        }
    }
    let widths = series.iter().flat_map(|series| &series.points).map(|(x, _)| *x);
    let x = Axis::linear("peak memory of a step (MiB)", widths, true);
    (!series.is_empty()).then(|| Panel { title: contest.title(), x, series, guide: None })
}
