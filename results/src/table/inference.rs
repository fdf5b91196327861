//! What one image costs a network against T, and how that compares with the T of the paper.

use super::{Cell, Column, Grid, Group, Table};
use crate::quantity::{kib, millions, percent, three_digits, times};
use crate::read::Records;
use crate::record::{InferenceRow, Status};
use crate::sweep::{inferences, numbers, verdict};

pub(super) const TABLE: Table = Table { id: "inference", grid };

fn grid(records: &Records) -> Grid {
    Grid {
        id: TABLE.id.to_owned(),
        title: "Inference of one image against T".to_owned(),
        caption: "Ratios are to the T of the paper, where both kinds of width are one network; constant in T is what the \
                  paper claims. Inputs are noise and weights are initial: rates of spikes are not those of a trained \
                  network."
            .to_owned(),
        columns: columns(),
        groups: inferences(records).iter().map(|line| group(line)).collect(),
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::numbers("steps_t", "T", "Number of time steps."),
        Column::numbers("parameters", "parameters, M", "Scalars that a trained network reads, in millions."),
        Column::numbers(
            "dense_macs_per_sample",
            "dense MACs, M",
            "Multiply-accumulates with every input dense, in millions.",
        ),
        Column::numbers(
            "dense_ratio",
            "dense",
            "Dense multiply-accumulates divided by those at the paper's T.",
        ),
        Column::numbers(
            "macs_per_sample",
            "MACs, M",
            "Multiply-accumulates where the input is no spike, in millions.",
        ),
        Column::numbers("acs_per_sample", "ACs, M", "Accumulates caused by a spike, in millions."),
        Column::numbers(
            "operations_ratio",
            "operations",
            "MACs and ACs together divided by those at the paper's T.",
        ),
        Column::numbers("firing_rate", "firing rate, %", "Spikes per neuron and step."),
        Column::numbers("seconds_per_sample_median", "time, ms", "Median wall time of one image, in ms."),
        Column::numbers("time_ratio", "time", "Time divided by that at the paper's T."),
        Column::numbers(
            "law_bytes_per_sample",
            "peak, KiB",
            "Peak of what an evaluation holds beside parameters and batch, an image.",
        ),
        Column::numbers("peak_ratio", "peak", "Peak divided by that at the paper's T."),
        Column::words("status", "status", "How the point ended, and why a cell is empty."),
    ]
}

fn group(line: &[&InferenceRow]) -> Group {
    let title = line.first().map_or_else(String::new, |row| {
        let image = row.image.replace('x', "×");
        let numbers = numbers(&row.dtype);
        format!("{}, {} widths, {image}, batch {}{numbers}", row.sweep, row.step_width, row.batch)
    });
    let paper = line.iter().find(|row| row.steps_t == row.published_steps_t).copied();
    Group { title, rows: line.iter().map(|row| cells(row, paper)).collect() }
}

/// All operations of one image.
pub(crate) fn operations(row: &InferenceRow) -> Option<f64> {
    Some(row.macs_per_sample? + row.acs_per_sample?)
}

fn cells(row: &InferenceRow, paper: Option<&InferenceRow>) -> Vec<Cell> {
    let status = verdict(row.status, &row.note);
    let reason = if row.status == Status::Ok { "not measured at the paper's T" } else { &status };
    type Read = fn(&InferenceRow) -> Option<f64>;
    let ratio = |read: Read| {
        let own = read(row).zip(paper.and_then(read)).filter(|(_, paper)| *paper > 0.0);
        Cell::number(own.map(|(own, paper)| own / paper), times, reason)
    };
    let number = |value: Option<f64>, text: fn(f64) -> String| Cell::number(value, text, reason);
    vec![
        Cell::Number { text: row.steps_t.to_string(), value: f64::from(row.steps_t) },
        number(row.parameters.map(|count| count as f64), millions),
        number(row.dense_macs_per_sample, millions),
        ratio(|row| row.dense_macs_per_sample),
        number(row.macs_per_sample, millions),
        number(row.acs_per_sample, millions),
        ratio(operations),
        number(row.firing_rate, percent),
        number(row.seconds_per_sample_median, |seconds| three_digits(seconds * 1e3)),
        ratio(|row| row.seconds_per_sample_median),
        number(row.law_bytes_per_sample, kib),
        ratio(|row| row.law_bytes_per_sample),
        Cell::Text(status),
    ]
}
