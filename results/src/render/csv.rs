//! A table as CSV: exact values, for programs.

use crate::table::{Cell, Grid};

/// Renders a table as CSV with exact values; the first column names the group, a missing cell is empty.
pub fn csv(grid: &Grid) -> String {
    let mut text = String::from("group");
    for column in &grid.columns {
        text.push(',');
        text.push_str(&field(&column.key));
    }
    text.push('\n');
    for group in &grid.groups {
        for row in &group.rows {
            text.push_str(&field(&group.title));
            for cell in row {
                text.push(',');
                match cell {
                    Cell::Text(word) => text.push_str(&field(word)),
                    Cell::Number { value, .. } => text.push_str(&value.to_string()),
                    Cell::Missing(_) => {}
                }
            }
            text.push('\n');
        }
    }
    text
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"").replace(['\n', '\r'], " "))
    } else {
        text.to_owned()
    }
}
