//! Time of a training step by each method, divided by that of exact backpropagation through time on the same network.

use super::{Cell, Column, Grid, Group, Table};
use crate::quantity::times;
use crate::read::Records;
use crate::record::{ScalingRow, Status};
use crate::sweep::{Along, Line, sweeps, verdict};
use std::collections::BTreeSet;

pub(super) const TABLE: Table = Table { id: "relative-time", grid };

/// What all others are compared with.
const EXACT: &str = "stbp";

fn grid(records: &Records) -> Grid {
    let sweeps = sweeps(records, Along::Steps);
    let lines: Vec<(String, Vec<Line<'_>>)> =
        sweeps.iter().map(|sweep| (sweep.title(), sweep.lines(Along::Steps))).collect();
    let points = lines.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points);
    let places: BTreeSet<u32> = points.map(|row| row.steps_t).collect();
    let mut columns = vec![Column::words("method", "method", "The way of training.")];
    columns.extend(places.iter().map(|place| {
        let (key, title) = (format!("seconds_ratio_t{place}"), format!("T = {place}"));
        Column::numbers(&key, &title, &format!("Time of a step divided by that of {EXACT} at {title}."))
            .less_is_better()
    }));
    columns.push(
        Column::numbers(
            "law_bytes_ratio",
            "memory",
            &format!("Bytes of the laws divided by those of {EXACT}, at the largest T that both have."),
        )
        .less_is_better(),
    );
    let groups = lines.into_iter().filter_map(|(title, lines)| {
        let exact = lines.iter().find(|line| line.method() == EXACT)?;
        let others = lines.iter().filter(|line| line.method() != EXACT);
        let rows: Vec<Vec<Cell>> = others.map(|line| row(line, exact, &places)).collect();
        (!rows.is_empty()).then_some(Group { title, rows })
    });
    Grid {
        id: TABLE.id.to_owned(),
        title: format!("Time of one training step, relative to {EXACT}"),
        caption: "Ratios of the fastest timed steps, which other work on the machine disturbs least, on the same \
                  network, batch and T; below 1 is faster. Papers' own ratios stand in the table of published ones."
            .to_owned(),
        columns,
        groups: groups.collect(),
    }
}

fn row(line: &Line<'_>, exact: &Line<'_>, places: &BTreeSet<u32>) -> Vec<Cell> {
    let at =
        |line: &Line<'_>, place: u32| line.points.iter().copied().find(|row| row.steps_t == place).cloned();
    type Read = fn(&ScalingRow) -> Option<f64>;
    let ratio = |place: u32, read: Read| -> Result<f64, String> {
        let [own, exact] = [line, exact].map(|line| at(line, place));
        let (Some(own), Some(exact)) = (own, exact) else { return Err("no point of this method".to_owned()) };
        for row in [&own, &exact] {
            if row.status != Status::Ok {
                return Err(verdict(row.status, &row.note));
            }
        }
        match (read(&own), read(&exact).filter(|exact| *exact > 0.0)) {
            (Some(own), Some(exact)) => Ok(own / exact),
            _ => Err("not measured".to_owned()),
        }
    };
    let cell = |found: Result<f64, String>| match found {
        Ok(ratio) => Cell::Number { text: times(ratio), value: ratio },
        Err(reason) => Cell::Missing(reason),
    };
    let mut cells = vec![Cell::Text(line.method().to_owned())];
    cells.extend(places.iter().map(|place| cell(ratio(*place, |row| row.step_seconds_min))));
    let memory: Read = |row| row.law_bytes.map(|bytes| bytes as f64);
    let largest = places.iter().rev().map(|place| ratio(*place, memory)).find(Result::is_ok);
    cells.push(cell(largest.unwrap_or_else(|| Err("no place where both were measured".to_owned()))));
    cells
}
