//! Ratios of training times that papers report, beside those measured of the same pairs.

use super::{Cell, Column, Grid, Group, Table};
use crate::published::{Bound, Ratio, Side, times as reported};
use crate::quantity::{three_digits, times};
use crate::read::Records;
use crate::record::{ScalingRow, Status};
use std::cmp::Reverse;

pub(super) const TABLE: Table = Table { id: "published", grid };

fn grid(records: &Records) -> Grid {
    let groups = reported().into_iter().filter_map(|(paper, time)| {
        let rows: Vec<Vec<Cell>> = pairs(records, &time).into_iter().map(|pair| row(&time, pair)).collect();
        (!rows.is_empty()).then(|| Group { title: format!("{}: {paper}", time.id), rows })
    });
    Grid {
        id: TABLE.id.to_owned(),
        title: "Training times beside those that papers report".to_owned(),
        caption: "The time of the first divided by that of the second, each of the fastest timed step and for one image, at \
                  the measured T that is nearest to the paper's. Ratios alone can be compared: machine, precision and \
                  batch are others."
            .to_owned(),
        columns: columns(),
        groups: groups.collect(),
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::words("of", "time of", "What is divided: method, network, factor on its published channels."),
        Column::words("to", "divided by that of", "What it is divided by."),
        Column::words("image", "image", "Shape of an image."),
        Column::numbers("steps_t", "T", "Number of time steps."),
        Column::numbers("batch", "batch", "Samples in the batch."),
        Column::numbers("of_seconds_per_sample", "first, ms", "Time of a training step for one image."),
        Column::numbers("to_seconds_per_sample", "second, ms", "The same of what it is divided by."),
        Column::numbers("measured_ratio", "measured", "The first divided by the second."),
        Column::numbers("published_ratio", "published", "The same in the paper."),
        Column::words("source", "source", "Where the paper says so."),
        Column::words(
            "differs",
            "what differs there",
            "What is not the same in the paper, beside the shapes.",
        ),
    ]
}

type Pair<'a> = (&'a ScalingRow, &'a ScalingRow);

/// For each two networks that fit the most telling pair of points, in the order of the records.
fn pairs<'a>(records: &'a Records, time: &Ratio) -> Vec<Pair<'a>> {
    let measured = |side: &Side| -> Vec<&'a ScalingRow> {
        let fits = |row: &&ScalingRow| {
            let model = side.model.as_ref().is_none_or(|model| *model == row.model);
            model && row.method == side.method && row.status == Status::Ok && seconds(row).is_some()
        };
        records.scaling.iter().filter(fits).collect()
    };
    let (firsts, seconds) = (measured(&time.of), measured(&time.to));
    let mut best: Vec<Pair<'a>> = Vec::new();
    for of in firsts {
        for &to in seconds.iter().filter(|to| comparable(time, of, to)) {
            let same = |pair: &&mut Pair<'_>| pair.0.sweep == of.sweep && pair.1.sweep == to.sweep;
            match best.iter_mut().find(same) {
                Some(pair) if order(time, of) < order(time, pair.0) => *pair = (of, to),
                Some(_) => {}
                None => best.push((of, to)),
            }
        }
    }
    best
}

/// Whether the two differ in method alone, or in network too where the paper's do.
fn comparable(time: &Ratio, of: &ScalingRow, to: &ScalingRow) -> bool {
    let place = |row: &ScalingRow| {
        let numbers = (row.image.clone(), row.dtype.clone());
        (row.suite.clone(), row.steps_t, row.batch, numbers, row.threads)
    };
    let network = |row: &ScalingRow| (row.sweep.clone(), row.sweep_rev, row.blocks);
    let one = time.of.model == time.to.model;
    place(of) == place(to) && of.width == to.width && (!one || network(of) == network(to))
}

/// Smaller is more telling: the T nearest to the paper's, then the larger batch, then the deeper network.
fn order(time: &Ratio, row: &ScalingRow) -> (u32, Reverse<u32>, Reverse<Option<u32>>) {
    (row.steps_t.abs_diff(time.steps_t), Reverse(row.batch), Reverse(row.blocks))
}

/// Seconds of a step for one image.
fn seconds(row: &ScalingRow) -> Option<f64> {
    row.step_seconds_min.filter(|seconds| *seconds > 0.0).map(|seconds| seconds / f64::from(row.batch))
}

fn row(time: &Ratio, (of, to): Pair<'_>) -> Vec<Cell> {
    let words = |row: &ScalingRow| {
        let blocks = row.blocks.map(|blocks| format!(", {blocks} a stage")).unwrap_or_default();
        format!("{} on {}{blocks}, width {}", row.method, row.model, row.width)
    };
    let count = |value: u32| Cell::Number { text: value.to_string(), value: f64::from(value) };
    let each = |row| Cell::number(seconds(row), |seconds| three_digits(seconds * 1e3), "not measured");
    let ratio = seconds(of).zip(seconds(to)).map(|(of, to)| of / to);
    let published = match time.bound {
        Bound::Exact => format!("{}×", time.ratio.text),
        Bound::Below => format!("below {}×", time.ratio.text),
        Bound::About => format!("about {}×", time.ratio.text),
    };
    vec![
        Cell::Text(words(of)),
        Cell::Text(words(to)),
        Cell::Text(of.image.replace('x', "×")),
        count(of.steps_t),
        count(of.batch),
        each(of),
        each(to),
        Cell::number(ratio, times, "not measured"),
        Cell::Number { text: published, value: time.ratio.value },
        Cell::Text(format!("{}: {}", time.tag.word(), time.source)),
        Cell::Text(time.differs.clone()),
    ]
}
