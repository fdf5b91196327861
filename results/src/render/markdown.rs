//! A table as Markdown.

use crate::table::{Align, Grid};
use std::fmt::Write;

/// Renders a table as Markdown, one table a group, with the command that makes it again.
pub fn markdown(grid: &Grid, command: &str) -> String {
    let mut text = format!("<!-- Generated; do not edit. To make it again: {} -->\n", comment(command));
    let _ = writeln!(text, "\n## {}\n\n{}", escape(&grid.title), escape(&grid.caption));
    let head: Vec<String> = grid.columns.iter().map(|column| escape(&column.title)).collect();
    let rule: Vec<&str> = grid
        .columns
        .iter()
        .map(|column| match column.align {
            Align::Left | Align::Prose => ":---",
            Align::Right => "---:",
        })
        .collect();
    for group in &grid.groups {
        let _ = writeln!(text, "\n### {}\n", escape(&group.title));
        let _ = writeln!(text, "| {} |\n| {} |", head.join(" | "), rule.join(" | "));
        for row in &group.rows {
            let cells: Vec<String> = row.iter().map(|cell| escape(cell.display())).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// Keeps a cell one cell, and markup inside a note plain text.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '|' | '*' | '_' | '`' | '\\' | '[' | ']' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\r' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A comment may not hold the mark that ends it: a backslash parts the dashes, which a shell reads the same.
fn comment(command: &str) -> String {
    command.replace("-->", "--\\>")
}
