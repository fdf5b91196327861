//! How memory grows along a sweep: one panel a network, one line a method; against T and against blocks.

use super::{Axis, Body, Chart, Figure, Panel, Series, method_place};
use crate::contest::methods;
use crate::quantity::MIB;
use crate::read::Records;
use crate::sweep::{Along, Line, sweeps, usual};

pub(super) const AGAINST_STEPS: Chart = Chart { id: "scaling-steps", figure: |r| figure(r, Along::Steps) };
pub(super) const AGAINST_BLOCKS: Chart = Chart { id: "scaling-blocks", figure: |r| figure(r, Along::Blocks) };

fn figure(records: &Records, along: Along) -> Option<Figure> {
    let methods = methods(records);
    let panels: Vec<Panel> = sweeps(records)
        .iter()
        .filter_map(|sweep| panel(sweep.title(), &sweep.lines(along), along, &methods))
        .collect();
    if panels.is_empty() {
        return None;
    }
    let heights = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let y = Axis::log2("bytes of the laws in a step (MiB)", heights.map(|(_, y)| *y));
    let (id, title, about) = match along {
        Along::Steps => (
            AGAINST_STEPS.id,
            "Memory of one training step against T",
            "Flat is better: an extra time step costs nothing. Both axes count doublings.",
        ),
        Along::Blocks => (
            AGAINST_BLOCKS.id,
            "Memory of one training step against the blocks of a stage",
            "Flat is better: an extra block costs nothing. Both axes count doublings.",
        ),
    };
    Some(Figure {
        id: id.to_owned(),
        title: title.to_owned(),
        about: about.to_owned(),
        body: Body::Panels { y, panels },
    })
}

/// A sweep's panel; `None` if no method of it was measured.
fn panel(title: String, lines: &[Line<'_>], along: Along, methods: &[&str]) -> Option<Panel> {
    let measured: Vec<&Line<'_>> = lines.iter().filter(|line| line.farthest().is_some()).collect();
    let usual = usual(&measured);
    let series: Vec<Series> = lines
        .iter()
        .filter_map(|line| {
            let points = line.measured(|row| row.law_bytes.map(|bytes| bytes as f64 / MIB));
            // A size of 0 has no place on an axis of doublings.
            let points: Vec<(f64, f64)> = points.into_iter().filter(|(_, size)| *size > 0.0).collect();
            let place = method_place(methods, line.method());
            // A method without time may stand at another T than the others.
            let name = match line.fixed().filter(|fixed| Some(fixed) != usual.as_ref()) {
                Some(fixed) => format!("{}, {fixed}", line.method()),
                None => line.method().to_owned(),
            };
            (!points.is_empty()).then_some(Series { name, method: place, points })
        })
        .collect();
    let places = series.iter().flat_map(|series| &series.points).map(|(place, _)| *place);
    let label = match along {
        Along::Steps => "time steps T",
        Along::Blocks => "blocks of a stage",
    };
    let label = usual.map_or_else(|| label.to_owned(), |usual| format!("{label} ({usual})"));
    let x = Axis::log2(&label, places).with_margins();
    (!series.is_empty()).then_some(Panel { title, x, series })
}
