//! A line of a paper's table: what is published, what was measured, and what that says.

use super::verdict::{Measured, Published, Verdict, grouped};
use crate::quantity::signed;
use crate::table::{Cell, Column};

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What it is of.
    pub(super) row: String,
    /// The quantity with its unit.
    pub(super) quantity: String,
    /// Digits behind the point, where no published number says how many.
    pub(super) decimals: usize,
    pub(super) steps_t: Option<u32>,
    /// Where the published number was read.
    pub(super) source: String,
    /// What is known of the published run.
    pub(super) setup: String,
    /// Nothing where no source that could be read states it.
    pub(super) published: Option<Published>,
    pub(super) finding: Finding,
}

/// What the records say of a published number.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// In the unit of the published number; nothing where no such number was measured.
    pub(super) measured: Option<Measured>,
    /// What the interval is; empty where there is none.
    pub(super) spread: String,
    /// What was measured, on what.
    pub(super) how: String,
    /// Why nothing can be judged; nothing where it can.
    pub(super) obstacle: Option<Verdict>,
}

impl Finding {
    /// Nothing was measured.
    pub(super) fn missing(missing: impl Into<String>, command: Option<String>) -> Finding {
        let missing = missing.into();
        let obstacle = Some(Verdict::NotMeasured { missing, command });
        Finding { measured: None, spread: String::new(), how: String::new(), obstacle }
    }
}

/// The columns of every paper's table.
pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::prose("row", "row", "What the paper's number is of."),
        Column::words("quantity", "quantity", "What was measured, with its unit."),
        Column::numbers("steps_t", "T", "Number of time steps in the paper."),
        Column::numbers("published", "published", "The published number, as printed."),
        Column::numbers("measured", "measured", "The same, from the records."),
        Column::numbers("delta", "Δ", "Measured minus published, where the two compare."),
        Column::prose(
            "interval",
            "interval",
            "What the measured number may be from and up to, and how that was found.",
        ),
        Column::prose(
            "verdict",
            "verdict",
            "match: the same to the published digits, or the bound is kept; within noise: the interval holds the published \
             number; off: neither, and by how much of the published number; or why nothing can be said, and what would fill the cell.",
        ),
        Column::prose(
            "how",
            "measured with",
            "What the measured number is of: method, network, device, type of the numbers, batch.",
        ),
        Column::prose("setup", "published with", "What is known of the published run."),
        Column::prose(
            "source",
            "source",
            "Where the published number was read, and how sure that is: log, code, abstract, read-me, another paper's table \
             and second hand may judge a measured number; a note may not.",
        ),
    ]
}

impl Line {
    /// What is said of it.
    pub(super) fn verdict(&self) -> Verdict {
        match (&self.finding.obstacle, &self.published, self.finding.measured) {
            (Some(obstacle), ..) => obstacle.clone(),
            (None, Some(published), Some(measured)) => published.judge(measured),
            (None, None, _) => {
                Verdict::NotComparable("no source that could be read states the paper's number".to_owned())
            }
            (None, _, None) => {
                Verdict::NotMeasured { missing: "nothing was measured".to_owned(), command: None }
            }
        }
    }

    /// Its cells.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let (published, found) = (self.published.as_ref(), &self.finding);
        let decimals = published.map_or(self.decimals, |published| published.figure.decimals);
        let number = |value: f64| grouped(&format!("{value:.decimals$}"));
        let (verdict, unread) = (self.verdict(), "no source that could be read states it");
        let words = verdict.words(published.map(|published| published.tag));
        let judged = matches!(verdict, Verdict::Match | Verdict::WithinNoise | Verdict::Off(_));
        let delta = published
            .zip(found.measured)
            .filter(|_| judged)
            .map(|(published, measured)| measured.value - published.figure.value);
        let text = |words: &str, reason: &str| match words {
            "" => Cell::Missing(reason.to_owned()),
            _ => Cell::Text(words.to_owned()),
        };
        let interval = found
            .measured
            .and_then(|measured| measured.interval)
            .map(|(low, high)| format!("{} to {} ({})", number(low), number(high), found.spread));
        let exact = if found.measured.is_some() { found.spread.clone() } else { String::new() };
        vec![
            Cell::Text(self.row.clone()),
            Cell::Text(self.quantity.clone()),
            Cell::number(self.steps_t.map(f64::from), |steps| format!("{steps}"), "no source tells"),
            match published {
                Some(published) => Cell::Number { text: published.text(), value: published.figure.value },
                None => Cell::Missing(unread.to_owned()),
            },
            Cell::number(found.measured.map(|measured| measured.value), number, &words),
            Cell::number(delta, |delta| signed(delta, decimals), "nothing to compare"),
            text(&interval.unwrap_or(exact), "no interval is known"),
            Cell::Text(words.clone()),
            text(&found.how, &words),
            text(&self.setup, "no source tells"),
            text(&self.source, unread),
        ]
    }
}
