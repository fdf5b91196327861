//! What one image costs against T, relative to the T of the paper: operations, time, memory.

use super::{Axis, Body, Chart, Figure, Panel, Series};
use crate::read::Records;
use crate::record::{InferenceRow, Status};
use crate::sweep::inferences;
use crate::table::operations;
use std::collections::BTreeSet;

pub(super) const CHART: Chart = Chart { id: "inference-steps", figure };

type Read = fn(&InferenceRow) -> Option<f64>;

const PANELS: [(&str, Read); 3] = [
    ("operations (MACs and ACs)", operations),
    ("time", |row| row.seconds_per_sample_median),
    ("peak memory beside parameters", |row| row.law_bytes_per_sample),
];

fn figure(records: &Records) -> Option<Figure> {
    let lines = inferences(records);
    let steps = records.inference.iter().map(|row| f64::from(row.steps_t));
    let x = Axis::log2("time steps T", steps).with_margins();
    let panels: Vec<Panel> = PANELS
        .iter()
        .filter_map(|(title, read)| {
            let series: Vec<Series> = lines.iter().filter_map(|line| series(records, line, *read)).collect();
            (!series.is_empty()).then(|| Panel {
                title: (*title).to_owned(),
                x: x.clone(),
                series,
                guide: None,
            })
        })
        .collect();
    if panels.is_empty() {
        return None;
    }
    let heights = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let y = Axis::log2("one image, relative to the paper's T", heights.map(|(_, y)| *y));
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Inference of one image against T".to_owned(),
        about: "Flat is what the paper claims: divided widths share one network's cost among all steps."
            .to_owned(),
        body: Body::Panels { y, panels },
    })
}

/// The line of one kind of width; `None` where the paper's T was not measured, or no other: a point is no line.
fn series(records: &Records, line: &[&InferenceRow], read: Read) -> Option<Series> {
    let measured = || line.iter().filter(|row| row.status == Status::Ok);
    let first = line.first()?;
    let paper = measured().find(|row| row.steps_t == row.published_steps_t).and_then(|row| read(row))?;
    let relative = |row: &&&InferenceRow| Some((f64::from(row.steps_t), read(row)? / paper));
    let points: Vec<(f64, f64)> = measured()
        .filter_map(|row| relative(&row))
        .filter(|(_, ratio)| ratio.is_finite() && *ratio > 0.0)
        .collect();
    let widths: BTreeSet<&str> = records.inference.iter().map(|row| row.step_width.as_str()).collect();
    let networks: BTreeSet<&str> = records.inference.iter().map(|row| row.sweep.as_str()).collect();
    // A colour for each kind of width, not of the methods' order: no method is shown here.
    let place = widths.iter().position(|width| *width == first.step_width).unwrap_or(0);
    let name = if networks.len() > 1 {
        format!("{}, {}", first.step_width, first.sweep)
    } else {
        first.step_width.clone()
    };
    (points.len() > 1).then_some(Series { name, method: place, points, band: Vec::new() })
}
