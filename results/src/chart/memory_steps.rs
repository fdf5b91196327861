//! How memory grows with the number of time steps: one panel a model, one line a method.

use super::{Axis, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::{Contest, Growth, contests, methods};
use crate::quantity::MIB;
use crate::read::Records;

pub(super) const CHART: Chart = Chart { id: "memory-steps", figure };

fn figure(records: &Records) -> Option<Figure> {
    let methods = methods(records);
    let x = Axis::log2("time steps T", records.ledger.iter().map(|row| f64::from(row.probe_t)));
    let panels: Vec<Panel> =
        contests(records).iter().filter_map(|contest| panel(contest, records, &methods, &x)).collect();
    if panels.is_empty() {
        return None;
    }
    let heights = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let y = Axis::log2("peak memory of a step (MiB)", heights.map(|(_, y)| *y));
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Memory of one training step against the number of time steps".to_owned(),
        about: "Flat is better: an extra time step costs nothing. Both axes count doublings.".to_owned(),
        body: Body::Panels { y, panels },
    })
}

/// A contest's panel; `None` if nothing of it was probed.
fn panel(contest: &Contest<'_>, records: &Records, methods: &[&str], x: &Axis) -> Option<Panel> {
    let mut series = Vec::new();
    for entry in &contest.entries {
        let peak = Growth::of(entry, &records.ledger).peak;
        // A size of 0 has no place on an axis of doublings.
        let drawn = peak.iter().filter(|(_, bytes)| **bytes > 0);
        let points: Vec<(f64, f64)> =
            drawn.map(|(steps, bytes)| (f64::from(*steps), *bytes as f64 / MIB)).collect();
        if !points.is_empty() {
            let method = method_place(methods, entry.method);
            series.push(Series { name: contest.label(entry), method, points, band: Vec::new() });
        }
    }
    (!series.is_empty()).then(|| Panel { title: contest.title(), x: x.clone(), series, guide: None })
}
