//! What an extra step and an extra block cost: straight lines through measured bytes, with what they leave over.

use super::{Cell, Column, Grid, Group, Table};
use crate::fit::Fit;
use crate::quantity::{kib, mib};
use crate::read::Records;
use crate::record::ScalingRow;
use crate::sweep::{Along, Line, sweeps};

pub(super) const TABLE: Table = Table { id: "scaling", grid };

fn grid(records: &Records) -> Grid {
    let mut groups = Vec::new();
    for sweep in sweeps(records, Along::Steps) {
        for (along, words) in
            [(Along::Steps, "an extra time step"), (Along::Blocks, "an extra block a stage")]
        {
            let lines = sweep.lines(along);
            if !lines.is_empty() {
                let title = format!("{}: {words}", sweep.title());
                groups.push(Group { title, rows: lines.iter().map(row).collect() });
            }
        }
    }
    Grid {
        id: TABLE.id.to_owned(),
        title: "Bytes of an extra time step and of an extra block".to_owned(),
        caption: "Least-squares lines through the bytes of one training step: against T from 2 on, where the memory \
                  laws begin, and against the blocks of a stage. The largest residual says how straight it is."
            .to_owned(),
        columns: columns(),
        groups,
    }
}

fn columns() -> Vec<Column> {
    let law = "saved activations, states, traces, passing values and gradients of activations";
    let whole = "with parameters, their gradients, optimiser and batch, without workspace";
    let mut columns = vec![
        Column::words("method", "method", "The way of training."),
        Column::words("at", "at", "What the line leaves as it is: the blocks of a stage, or T."),
        Column::numbers("points", "points", "Measured points of the line."),
    ];
    for (name, what) in [("law", law), ("whole", whole)] {
        columns.extend([
            Column::numbers(
                &format!("{name}_slope_bytes"),
                &format!("{name}, KiB each"),
                &format!("What one more step or block adds: {what}."),
            ),
            Column::numbers(
                &format!("{name}_intercept_bytes"),
                &format!("{name} at 0, MiB"),
                &format!("Where the line begins: {what}."),
            ),
            Column::numbers(
                &format!("{name}_largest_residual_bytes"),
                &format!("{name} off by, KiB"),
                "Largest distance of a point from the line.",
            ),
        ]);
    }
    columns.push(Column::words("status", "status", "How the points ended, and why a cell is empty."));
    columns
}

/// A residual in KiB. Bytes are whole: what is less than half of one is the rounding of the fit.
fn whole_bytes(residual: f64) -> String {
    kib(if residual < 0.5 { 0.0 } else { residual })
}

fn row(line: &Line<'_>) -> Vec<Cell> {
    let status = line.status();
    let count = line.in_law(|row| row.law_bytes.map(|bytes| bytes as f64)).len();
    let reason = match (count, line.along) {
        (0 | 1, _) if status != "ok" => status.as_str(),
        (0 | 1, Along::Steps) => "a line needs two points with T of at least 2",
        (0 | 1, _) => "a line needs two points",
        _ => "any line meets two points",
    };
    let mut cells = vec![
        Cell::Text(line.method().to_owned()),
        Cell::Text(line.fixed().unwrap_or_default()),
        Cell::Number { text: count.to_string(), value: count as f64 },
    ];
    type Read = fn(&ScalingRow) -> Option<u64>;
    let sizes: [Read; 2] = [|row| row.law_bytes, |row| row.whole_bytes];
    for size in sizes {
        let fit = Fit::of(&line.in_law(|row| size(row).map(|bytes| bytes as f64)));
        cells.extend([
            Cell::number(fit.map(|fit| fit.slope), kib, reason),
            Cell::number(fit.map(|fit| fit.intercept), mib, reason),
            Cell::number(fit.and_then(|fit| fit.largest_residual), whole_bytes, reason),
        ]);
    }
    let noted = if count < 2 && status == "ok" { format!("ok: {reason}") } else { status.clone() };
    cells.push(Cell::Text(noted));
    cells
}
