//! Panels of points or lines, side by side over a shared vertical axis.

use super::labels::{self, Frame};
use super::layout::{LABEL, MARGIN, TICK, WIDTH, line};
use super::scene::{Anchor, Ink, Place, Shape, Text, marker, text_width};
use crate::chart::{Axis, Guide, Panel, Series};

/// Panels in a row.
const IN_A_ROW: usize = 3;
/// Height of a panel's plot.
const PLOT: f64 = 270.0;
/// Space for the vertical axis' label and ticks, left of a row.
const SIDE: f64 = 54.0;
/// Space between two panels of a row.
const GAP: f64 = 32.0;
/// Space for a panel's heading.
const HEAD: f64 = 24.0;
/// Space for the horizontal axis' ticks and label.
const FOOT: f64 = 46.0;
/// Space between two rows.
const BETWEEN: f64 = 20.0;
/// Radius of a marker, and of those of a line that would be hidden by markers of that size.
const RADIUS: f64 = 5.0;
const SMALL: f64 = 2.5;
/// Points of a line with markers of full size, and of one with markers at all.
const FEW: usize = 12;
const MANY: usize = 40;
/// Distance between a line's end and its label.
const LEADER: f64 = 16.0;

/// Draws the panels below a height and returns the height below them.
pub(super) fn draw(shapes: &mut Vec<Shape>, top: f64, y: &Axis, panels: &[Panel]) -> f64 {
    // Four panels fill two rows of two; other numbers fill rows as they come.
    let columns = if panels.len() == 4 { 2 } else { panels.len().clamp(1, IN_A_ROW) };
    let width =
        |columns: usize| (WIDTH - 2.0 * MARGIN - SIDE - GAP * (columns as f64 - 1.0)) / columns as f64;
    let room = label_room(panels);
    // Long labels would leave less than half of a narrow panel to its lines.
    let columns = if columns > 2 && room > width(columns) / 2.0 { 2 } else { columns };
    let width = width(columns);
    let mut bottom = top;
    for (index, panel) in panels.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let left = MARGIN + SIDE + column as f64 * (width + GAP);
        let above = top + row as f64 * (HEAD + PLOT + FOOT + BETWEEN) + HEAD;
        let plot = Frame { left, top: above, right: left + width - room, bottom: above + PLOT };
        draw_panel(shapes, plot, y, panel, column == 0);
        bottom = plot.bottom + FOOT;
    }
    bottom
}

/// Space right of the plots for the labels at the lines' ends; points carry their labels with them.
fn label_room(panels: &[Panel]) -> f64 {
    let lines = panels.iter().flat_map(|panel| &panel.series).filter(|series| series.points.len() > 1);
    let names = lines.map(|series| &series.name);
    let names = names.chain(panels.iter().flat_map(|panel| &panel.guide).map(|guide| &guide.name));
    let widest = names.map(|name| text_width(name, LABEL)).fold(0.0, f64::max);
    if widest > 0.0 { widest + LEADER + RADIUS } else { 0.0 }
}

fn draw_panel(shapes: &mut Vec<Shape>, plot: Frame, y: &Axis, panel: &Panel, outermost: bool) {
    let at = |(x, height): (f64, f64)| -> Place {
        let across = plot.left + panel.x.place(x) * (plot.right - plot.left);
        (across, plot.bottom - y.place(height) * (plot.bottom - plot.top))
    };
    let heading = (plot.left, plot.top - 14.0);
    shapes.push(Text::new(heading, &panel.title, LABEL, Ink::Letter).bold().into());
    draw_axes(shapes, plot, y, panel, outermost);

    let (lines, points): (Vec<&Series>, Vec<&Series>) =
        panel.series.iter().partition(|series| series.points.len() > 1);
    if let Some(guide) = &panel.guide {
        dashes(shapes, guide, at);
    }
    for series in panel.series.iter().filter(|series| series.band.len() > 1) {
        let upper = series.band.iter().map(|band| (band.x, band.high.min(y.high)));
        let lower = series.band.iter().rev().map(|band| (band.x, band.low.max(y.low)));
        shapes.push(Shape::Veil {
            points: upper.chain(lower).map(at).collect(),
            ink: Ink::Method(series.method),
        });
    }
    for (index, series) in panel.series.iter().enumerate().filter(|(_, series)| series.points.len() > 1) {
        let points = series.points.iter().copied().map(at).collect();
        let width = if is_hidden(panel, index, at) { 5.0 } else { 2.0 };
        shapes.push(Shape::Line { points, ink: Ink::Method(series.method), width });
    }
    let named = label_points(shapes, plot, &points, &path(&lines, at), at);
    for (index, series) in panel.series.iter().enumerate() {
        let own = if series.points.len() > FEW { SMALL } else { RADIUS };
        let radius = if is_hidden(panel, index, at) { own + 3.5 * own / RADIUS } else { own };
        for point in series.points.iter().filter(|_| series.points.len() <= MANY) {
            shapes.extend(marker(series.method, at(*point), radius));
        }
    }
    shapes.extend(named);
    let ends = lines.iter().filter_map(|series| Some((series.name.as_str(), at(*series.points.last()?))));
    let guide = panel.guide.iter().map(|guide| (guide.name.as_str(), at(guide.ends[1])));
    label_ends(shapes, plot, &ends.chain(guide).collect::<Vec<_>>());
}

/// Draws a guide: short strokes along the straight line between its ends.
fn dashes(shapes: &mut Vec<Shape>, guide: &Guide, at: impl Fn((f64, f64)) -> Place) {
    const STROKE: f64 = 6.0;
    const BREAK: f64 = 4.0;
    let [from, to] = guide.ends.map(at);
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let point = |distance: f64| {
        let share = distance.min(length) / length;
        (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
    };
    let strokes = (length / (STROKE + BREAK)).ceil() as u32;
    for start in (0..strokes).map(|stroke| f64::from(stroke) * (STROKE + BREAK)) {
        shapes.push(line(point(start), point(start + STROKE), Ink::Axis, 1.5));
    }
}

/// Places along lines, a few pixels apart.
fn path(lines: &[&Series], at: impl Fn((f64, f64)) -> Place) -> Vec<Place> {
    let mut path = Vec::new();
    for pair in lines.iter().flat_map(|series| series.points.windows(2)) {
        let (from, to) = (at(pair[0]), at(pair[1]));
        let count = ((to.0 - from.0).hypot(to.1 - from.1) / 8.0).ceil().max(1.0);
        path.extend((0..=count as u32).map(|step| {
            let share = f64::from(step) / count;
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        }));
    }
    path
}

/// Whether a series that is drawn later covers this one wholly: it is drawn bigger then, to stick out.
fn is_hidden(panel: &Panel, index: usize, at: impl Fn((f64, f64)) -> Place) -> bool {
    let own = &panel.series[index].points;
    panel.series[index + 1..].iter().any(|other| {
        own.iter().all(|point| {
            let (x, y) = at(*point);
            other.points.iter().any(|point| {
                let (across, height) = at(*point);
                (x - across).abs() < 2.0 && (y - height).abs() < 2.0
            })
        })
    })
}

fn draw_axes(shapes: &mut Vec<Shape>, plot: Frame, y: &Axis, panel: &Panel, outermost: bool) {
    for (value, text) in &y.ticks {
        let height = plot.bottom - y.place(*value) * (plot.bottom - plot.top);
        shapes.push(line((plot.left, height), (plot.right, height), Ink::Grid, 1.0));
        if outermost {
            let tick = Text::new((plot.left - 8.0, height), text, TICK, Ink::Muted);
            shapes.push(tick.anchored(Anchor::End).into());
        }
    }
    for (value, text) in &panel.x.ticks {
        let across = plot.left + panel.x.place(*value) * (plot.right - plot.left);
        shapes.push(line((across, plot.top), (across, plot.bottom), Ink::Grid, 1.0));
        let tick = Text::new((across, plot.bottom + 14.0), text, TICK, Ink::Muted);
        shapes.push(tick.anchored(Anchor::Middle).into());
    }
    shapes.push(line((plot.left, plot.bottom), (plot.right, plot.bottom), Ink::Axis, 1.0));
    let middle = ((plot.left + plot.right) / 2.0, plot.bottom + 34.0);
    let label = Text::new(middle, &panel.x.label, LABEL, Ink::Muted);
    shapes.push(label.anchored(Anchor::Middle).into());
    if outermost {
        let middle = (MARGIN + 6.0, (plot.top + plot.bottom) / 2.0);
        let label = Text::new(middle, &y.label, LABEL, Ink::Muted);
        shapes.push(label.anchored(Anchor::Middle).upwards().into());
    }
}

/// Labels lines at their right ends, with leaders to where they were moved apart.
fn label_ends(shapes: &mut Vec<Shape>, plot: Frame, ends: &[(&str, Place)]) {
    let wanted: Vec<f64> = ends.iter().map(|(_, (_, height))| *height).collect();
    for ((name, end), height) in ends.iter().zip(labels::spread(&wanted, plot.top, plot.bottom)) {
        let start = (plot.right + LEADER, height);
        let from = (end.0 + RADIUS + 2.0, end.1);
        shapes.push(line(from, (start.0 - 3.0, height), Ink::Axis, 0.8));
        shapes.push(Text::new(start, name, LABEL, Ink::Letter).into());
    }
}

/// Draws the leaders of the labels of lone points and returns the labels, which belong above the markers.
fn label_points(
    shapes: &mut Vec<Shape>,
    plot: Frame,
    points: &[&Series],
    others: &[Place],
    at: impl Fn((f64, f64)) -> Place,
) -> Vec<Shape> {
    let named: Vec<(Place, String)> =
        points.iter().filter_map(|series| Some((at(*series.points.first()?), series.name.clone()))).collect();
    let inside = Frame { left: plot.left + 4.0, right: plot.right - 4.0, ..plot };
    let mut texts = Vec::new();
    for ((_, name), label) in named.iter().zip(labels::place(&named, others, inside)) {
        if let Some((from, to)) = label.leader {
            shapes.push(line(from, to, Ink::Axis, 0.8));
        }
        texts.push(Text::new(label.start(), name, LABEL, Ink::Letter).into());
    }
    texts
}
