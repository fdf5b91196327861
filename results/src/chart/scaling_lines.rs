//! How memory and time grow along a sweep: one panel a network, one line a method; against T, blocks and batches.

use super::{Axis, Body, Chart, Figure, Guide, Panel, Series, method_place};
use crate::contest::methods;
use crate::quantity::MIB;
use crate::read::Records;
use crate::record::ScalingRow;
use crate::sweep::{Along, Line, Sweep, sweeps, usual};

pub(super) const AGAINST_STEPS: Chart = Chart { id: STEPS.id, figure: |records| STEPS.figure(records) };
pub(super) const AGAINST_BLOCKS: Chart = Chart { id: BLOCKS.id, figure: |records| BLOCKS.figure(records) };
pub(super) const TIME_AGAINST_STEPS: Chart =
    Chart { id: TIME_STEPS.id, figure: |records| TIME_STEPS.figure(records) };
pub(super) const TIME_AGAINST_BATCH: Chart =
    Chart { id: TIME_BATCH.id, figure: |records| TIME_BATCH.figure(records) };

/// What a chart of this kind shows.
struct Shown {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    along: Along,
    /// What the heights are, with their unit.
    height: &'static str,
    value: fn(&ScalingRow) -> Option<f64>,
    /// Whether a dashed line shows what growing in proportion would be.
    guided: bool,
}

const STEPS: Shown = Shown {
    id: "scaling-steps",
    title: "Memory of one training step against T",
    about: "Flat is better: an extra time step costs nothing. Both axes count doublings.",
    along: Along::Steps,
    height: "bytes of the laws in a step (MiB)",
    value: |row| row.law_bytes.map(|bytes| bytes as f64 / MIB),
    guided: false,
};

const BLOCKS: Shown = Shown {
    id: "scaling-blocks",
    title: "Memory of one training step against the blocks of a stage",
    about: "Flat is better: an extra block costs nothing. Both axes count doublings.",
    along: Along::Blocks,
    ..STEPS
};

const TIME_STEPS: Shown = Shown {
    id: "scaling-time-steps",
    title: "Time of one training step against T",
    about: "Both axes count doublings. Along the dashed line twice the T takes twice the time; flatter is better.",
    along: Along::Steps,
    height: "fastest timed step (ms)",
    value: |row| row.step_seconds_min.map(|seconds| seconds * 1e3),
    guided: true,
};

const TIME_BATCH: Shown = Shown {
    id: "scaling-time-batch",
    title: "Time of one training step against the batch",
    about: "Both axes count doublings. Along the dashed line twice the samples take twice the time; flatter is better.",
    along: Along::Batch,
    ..TIME_STEPS
};

impl Shown {
    fn figure(&self, records: &Records) -> Option<Figure> {
        let methods = methods(records);
        let panels: Vec<Panel> =
            sweeps(records, self.along).iter().filter_map(|sweep| self.panel(sweep, &methods)).collect();
        if panels.is_empty() {
            return None;
        }
        let points = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
        let guides = panels.iter().flat_map(|panel| &panel.guide).flat_map(|guide| &guide.ends);
        let y = Axis::log2(self.height, points.chain(guides).map(|(_, y)| *y));
        Some(Figure {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            about: self.about.to_owned(),
            body: Body::Panels { y, panels },
        })
    }

    /// A sweep's panel; `None` if no method of it was measured.
    fn panel(&self, sweep: &Sweep<'_>, methods: &[&str]) -> Option<Panel> {
        let lines = sweep.lines(self.along);
        let measured: Vec<&Line<'_>> = lines.iter().filter(|line| line.farthest().is_some()).collect();
        let usual = usual(&measured);
        let series: Vec<Series> = lines
            .iter()
            .filter_map(|line| {
                // A height of 0 has no place on an axis of doublings.
                let points: Vec<(f64, f64)> =
                    line.measured(self.value).into_iter().filter(|(_, height)| *height > 0.0).collect();
                let place = method_place(methods, line.method());
                // A method without time may stand at another T than the others.
                let name = match line.fixed().filter(|fixed| Some(fixed) != usual.as_ref()) {
                    Some(fixed) => format!("{}, {fixed}", line.method()),
                    None => line.method().to_owned(),
                };
                (!points.is_empty()).then_some(Series { name, method: place, points, band: Vec::new() })
            })
            .collect();
        let places = series.iter().flat_map(|series| &series.points).map(|(place, _)| *place);
        let label = self.along.label();
        let label = usual.map_or_else(|| label.to_owned(), |usual| format!("{label} ({usual})"));
        let x = Axis::log2(&label, places).with_margins();
        let guide = self.guided.then(|| proportional(&series)).flatten();
        (!series.is_empty()).then_some(Panel { title: sweep.title(), x, series, guide })
    }
}

/// What growing in proportion from its first point on would be, for the exact method or else the first line.
fn proportional(series: &[Series]) -> Option<Guide> {
    let lines = || series.iter().filter(|series| series.points.len() > 1);
    let line = lines().find(|series| series.name == "stbp").or_else(|| lines().next())?;
    let (first, last) = (line.points.first()?, line.points.last()?);
    Some(Guide { name: "linear".to_owned(), ends: [*first, (last.0, first.1 * last.0 / first.0)] })
}
