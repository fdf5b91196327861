//! A table as aligned plain text for a terminal.

use crate::table::{Align, Grid};
use std::fmt::Write;

/// Renders a table as aligned plain text: columns two spaces apart, no boxes, a heading a group.
pub fn terminal(grid: &Grid) -> String {
    let width_of = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = grid.columns.iter().map(|column| width_of(&column.title)).collect();
    for row in grid.groups.iter().flat_map(|group| &group.rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = width_of(cell.display()).max(*width);
        }
    }
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for ((cell, column), &width) in cells.iter().zip(&grid.columns).zip(&widths) {
            let _ = match column.align {
                Align::Left | Align::Prose => write!(text, "  {cell:<width$}"),
                Align::Right => write!(text, "  {cell:>width$}"),
            };
        }
        text.trim_end().to_owned()
    };
    let mut text = format!("{}\n", grid.title);
    for group in &grid.groups {
        let _ = writeln!(text, "\n{}", group.title);
        let _ = writeln!(text, "{}", line(grid.columns.iter().map(|column| column.title.as_str()).collect()));
        for row in &group.rows {
            let _ = writeln!(text, "{}", line(row.iter().map(|cell| cell.display()).collect()));
        }
    }
    text
}
