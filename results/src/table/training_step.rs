//! One training step of networks that were measured at one T and one depth: what it holds, and what it takes.

use super::{Cell, Column, Grid, Group, Table};
use crate::quantity::{mib, three_digits};
use crate::read::Records;
use crate::record::{ScalingRow, Status};
use crate::sweep::{Along, sweeps, verdict};

pub(super) const TABLE: Table = Table { id: "training-step", grid };

fn grid(records: &Records) -> Grid {
    let columns = vec![
        Column::words("method", "method", "The way of training."),
        Column::numbers("steps_t", "T", "Time steps."),
        Column::numbers(
            "bytes_per_sample",
            "MB/img",
            "Peak of everything that a step holds, workspace included, divided by the batch; 1 MB is 1,000,000 bytes.",
        ).less_is_better(),
        Column::numbers(
            "whole_bytes",
            "peak step, MiB",
            "Peak of everything that a step holds, without workspace.",
        ).less_is_better(),
        Column::numbers("step_seconds_median", "step, ms", "Median wall time: forward, backward and update.").less_is_better(),
        Column::words("status", "status", "How the point ended, and why a cell is empty."),
    ];
    // Where a line was measured, the tables along it show its points.
    let single = sweeps(records, Along::Batch).into_iter().filter(|sweep| {
        [Along::Steps, Along::Blocks, Along::Batch].into_iter().all(|along| sweep.lines(along).is_empty())
    });
    let groups = single.map(|sweep| Group {
        title: sweep.title(),
        rows: sweep.points.iter().map(|row| cells(row)).collect(),
    });
    Grid {
        id: TABLE.id.to_owned(),
        title: "Memory and time of one training step".to_owned(),
        caption: "Nothing was trained: inputs are noise, and no accuracy belongs to these rows.".to_owned(),
        columns,
        groups: groups.collect(),
    }
}

fn cells(row: &ScalingRow) -> Vec<Cell> {
    let verdict = verdict(row.status, &row.note);
    let number = |value: Option<f64>, text: fn(f64) -> String| match value {
        Some(value) => Cell::Number { text: text(value), value },
        None if row.status == Status::Ok => Cell::Missing("not measured".to_owned()),
        None => Cell::Missing(verdict.clone()),
    };
    let whole = row.whole_bytes.map(|bytes| bytes as f64);
    let all =
        whole.zip(row.workspace_bytes).map(|(whole, room)| (whole + room as f64) / f64::from(row.batch));
    vec![
        Cell::Text(row.method.clone()),
        number(Some(f64::from(row.steps_t)), |steps| format!("{steps}")),
        number(all, |bytes| three_digits(bytes / 1e6)),
        number(whole, mib),
        number(row.step_seconds_median, |seconds| three_digits(seconds * 1e3)),
        Cell::Text(verdict.clone()),
    ]
}
