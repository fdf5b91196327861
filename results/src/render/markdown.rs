//! A table as Markdown.

use crate::origin::Origin;
use crate::table::{Align, Grid};
use std::fmt::Write;

/// Renders a table as Markdown, one table a group, with the command that makes it again and the records it is made from.
pub fn markdown(grid: &Grid, origin: &Origin) -> String {
    let (command, records) = (comment(&origin.command), comment(&origin.records));
    let mut text =
        format!("<!-- Generated; do not edit. From the records {records}. To make it again: {command} -->\n");
    let _ = writeln!(text, "\n## {}\n", escape(&grid.title));
    text.push_str(&sections(grid));
    text
}

/// The caption and the table's groups, each under a heading of the third level.
pub(crate) fn sections(grid: &Grid) -> String {
    let mut text = format!("{}\n", escape(&grid.caption));
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
pub(crate) fn escape(text: &str) -> String {
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
