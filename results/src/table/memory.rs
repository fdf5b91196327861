//! Memory against T: the peak of one training step at each probed T, and what an extra step costs.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::{Contest, Growth, contests};
use crate::quantity::{kib, mib};
use crate::read::Records;
use std::collections::BTreeSet;

pub(super) const TABLE: Table = Table { id: "memory", grid };

fn grid(records: &Records) -> Grid {
    let probed: BTreeSet<u32> = records.ledger.iter().map(|row| row.probe_t).collect();
    let mut columns = vec![Column::words("method", "method", "The way of training.")];
    columns.extend(probed.iter().map(|steps| {
        Column::numbers(
            &format!("bytes_t{steps}"),
            &format!("T = {steps}, MiB"),
            &format!("Peak memory of one training step at T = {steps} above what lives between steps."),
        )
        .less_is_better()
    }));
    columns.push(Column::numbers(
        "bytes_per_extra_step",
        "extra step, KiB",
        "What one more time step adds to the peak, from the smallest probed T of at least 2 to the largest.",
    ).less_is_better());
    columns.push(Column::numbers(
        "kept_bytes_per_extra_step",
        "kept, KiB",
        "The same without workspace: saved activations, neuron state, traces and gradients of activations. The \
         methods' memory laws are about this number.",
    ).less_is_better());
    let groups = contests(records).iter().filter_map(|contest| group(contest, records, &probed)).collect();
    Grid {
        id: TABLE.id.to_owned(),
        title: "Memory of one training step against the number of time steps".to_owned(),
        caption: "A method whose memory does not grow with T costs 0 per extra step.".to_owned(),
        columns,
        groups,
    }
}

/// A contest's rows; `None` if nothing of it was probed.
fn group(contest: &Contest<'_>, records: &Records, probed: &BTreeSet<u32>) -> Option<Group> {
    let mut rows = Vec::new();
    for entry in &contest.entries {
        let growth = Growth::of(entry, &records.ledger);
        if growth.peak.is_empty() {
            continue;
        }
        let mut cells = vec![Cell::Text(contest.label(entry))];
        cells.extend(probed.iter().map(|steps| {
            let bytes = growth.peak.get(steps).map(|bytes| *bytes as f64);
            Cell::number(bytes, mib, "not probed at this T")
        }));
        let alone = "needs two probes with T of at least 2";
        cells.push(Cell::number(Growth::slope(&growth.peak), kib, alone));
        cells.push(Cell::number(Growth::slope(&growth.kept), kib, alone));
        rows.push(cells);
    }
    (!rows.is_empty()).then(|| Group { title: contest.title(), rows })
}
