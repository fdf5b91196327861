//! Whether the time of a step rises in proportion to T and to the batch, or less, or more.

use super::{Cell, Column, Grid, Group, Table};
use crate::quantity::three_digits;
use crate::read::Records;
use crate::rise::{EXPONENT, Rise, WORST};
use crate::sweep::{Along, Line, sweeps};

pub(super) const TABLE: Table = Table { id: "time-rise", grid };

fn grid(records: &Records) -> Grid {
    let mut groups = Vec::new();
    for (along, words) in [(Along::Steps, "against T"), (Along::Batch, "against the batch")] {
        for sweep in sweeps(records, along) {
            let lines = sweep.lines(along);
            if !lines.is_empty() {
                let title = format!("{}: {words}", sweep.title());
                groups.push(Group { title, rows: lines.iter().map(row).collect() });
            }
        }
    }
    Grid {
        id: TABLE.id.to_owned(),
        title: "How the time of a training step rises".to_owned(),
        caption: format!(
            "Of the fastest timed steps, which other work on the machine disturbs least; against T from 2 on. Linear or \
             better: no doubling takes more than {:.1} times as long, and the exponent is at most {EXPONENT}.",
            2.0 * WORST
        ),
        columns: columns(),
        groups,
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::words("method", "method", "The way of training."),
        Column::words("at", "at", "What the line leaves as it is: T, or the blocks of a stage."),
        Column::numbers("points", "points", "Measured points of the line."),
        Column::numbers(
            "fixed_seconds",
            "paid once, ms",
            "Where the fitted line begins, at 0 steps or samples.",
        ),
        Column::numbers("each_seconds", "each, ms", "What one more step or sample adds to the fitted line."),
        Column::numbers(
            "largest_residual_seconds",
            "off by, ms",
            "Largest distance of a point from the fitted line.",
        ),
        Column::numbers(
            "exponent",
            "exponent",
            "Slope of the logarithms: 1 is in proportion, below it something is paid once.",
        ),
        Column::numbers(
            "worst_doubling_ratio",
            "worst doubling",
            "Largest t(2x) / 2 t(x): above 1, twice as much takes more than twice as long.",
        ),
        Column::words("verdict", "verdict", "Whether it is linear or better, and if not, where."),
        Column::words("status", "status", "How the points ended, and why a cell is empty."),
    ]
}

fn row(line: &Line<'_>) -> Vec<Cell> {
    let points = line.in_law(|row| row.step_seconds_min.filter(|seconds| *seconds > 0.0));
    let (rise, status) = (Rise::of(&points), line.status());
    let reason = if status == "ok" { "a line needs two points" } else { &status };
    let milliseconds = |seconds: f64| {
        // No clock tells less than a nanosecond: that is the rounding of the fit.
        let seconds = if seconds.abs() < 1e-9 { 0.0 } else { seconds };
        let text = three_digits(seconds.abs() * 1e3);
        if seconds < 0.0 { format!("−{text}") } else { text }
    };
    let number = |value: Option<f64>, text: fn(f64) -> String| Cell::number(value, text, reason);
    let two = |value: f64| format!("{value:.2}");
    let verdict = match rise.map(|rise| rise.verdict()) {
        Some(Ok(())) => Cell::Text("linear or better".to_owned()),
        Some(Err(words)) => Cell::Text(format!("worse: {words}")),
        None => Cell::Missing(reason.to_owned()),
    };
    vec![
        Cell::Text(line.method().to_owned()),
        Cell::Text(line.fixed().unwrap_or_default()),
        Cell::Number { text: points.len().to_string(), value: points.len() as f64 },
        number(rise.map(|rise| rise.line.intercept), milliseconds),
        number(rise.map(|rise| rise.line.slope), milliseconds),
        Cell::number(
            rise.and_then(|rise| rise.line.largest_residual),
            milliseconds,
            if rise.is_some() { "any line meets two points" } else { reason },
        ),
        number(rise.map(|rise| rise.exponent), two),
        Cell::number(
            rise.and_then(|rise| rise.worst).map(|(ratio, _)| ratio),
            two,
            if rise.is_some() { "no place is twice another" } else { reason },
        ),
        verdict,
        Cell::Text(status.clone()),
    ]
}
