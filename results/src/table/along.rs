//! Tables with a column for each place along T, blocks or batches, and a row for each method.

use super::{Cell, Column, Grid, Group};
use crate::read::Records;
use crate::record::{ScalingRow, Status};
use crate::sweep::{Along, Line, sweeps, verdict};
use std::collections::BTreeSet;

/// What such a table shows.
pub(super) struct Shown {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) caption: &'static str,
    pub(super) along: Along,
    /// What a cell's number is, with its unit last, as the key of a CSV column.
    pub(super) key: &'static str,
    /// What a cell's number is, in a sentence that ends before the place.
    pub(super) about: &'static str,
    /// A point's number: as people read it, and exact.
    pub(super) cell: fn(&ScalingRow) -> Option<(String, f64)>,
}

impl Shown {
    /// The table; without groups where nothing was swept.
    pub(super) fn grid(&self, records: &Records) -> Grid {
        let sweeps = sweeps(records, self.along);
        let lines: Vec<(String, Vec<Line<'_>>)> =
            sweeps.iter().map(|sweep| (sweep.title(), sweep.lines(self.along))).collect();
        let points = lines.iter().flat_map(|(_, lines)| lines).flat_map(|line| &line.points);
        let places: BTreeSet<u32> = points.filter_map(|row| self.along.place(row)).collect();
        let mut columns = vec![
            Column::words("method", "method", "The way of training."),
            Column::words("at", "at", "What the line leaves as it is: the blocks of a stage, or T."),
        ];
        columns.extend(places.iter().map(|place| {
            let (key, title) = match self.along {
                Along::Steps => (format!("{}_t{place}", self.key), format!("T = {place}")),
                Along::Blocks => (format!("{}_b{place}", self.key), format!("{place} a stage")),
                Along::Batch => (format!("{}_n{place}", self.key), format!("batch {place}")),
            };
            Column::numbers(&key, &title, &format!("{} at {title}.", self.about)).less_is_better()
        }));
        columns.push(Column::words("status", "status", "How the points ended, and why a cell is empty."));
        let swept = lines.into_iter().filter(|(_, lines)| !lines.is_empty());
        let groups = swept.map(|(title, lines)| {
            let rows = lines.iter().map(|line| self.row(line, &places)).collect();
            Group { title, rows }
        });
        Grid {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            caption: self.caption.to_owned(),
            columns,
            groups: groups.collect(),
        }
    }

    fn row(&self, line: &Line<'_>, places: &BTreeSet<u32>) -> Vec<Cell> {
        let mut cells =
            vec![Cell::Text(line.method().to_owned()), Cell::Text(line.fixed().unwrap_or_default())];
        cells.extend(places.iter().map(|place| {
            let row = line.points.iter().find(|row| self.along.place(row) == Some(*place));
            let Some(row) = row else { return Cell::Missing("no point of this method".to_owned()) };
            match (self.cell)(row) {
                Some((text, value)) => Cell::Number { text, value },
                None if row.status == Status::Ok => Cell::Missing("not measured".to_owned()),
                None => Cell::Missing(verdict(row.status, &row.note)),
            }
        }));
        let status = line.status();
        let few = line.points.len() < places.len();
        // A method without time has a T of its own, and a sweep the blocks that it asks for.
        cells.push(Cell::Text(if few && status == "ok" {
            "ok: no points elsewhere".to_owned()
        } else {
            status
        }));
        cells
    }
}
