//! A table as an HTML fragment.

use crate::table::{Align, Cell, Grid};
use std::fmt::Write;

/// Renders a table as an HTML fragment: one `table` element, a row heading a method, a body a group.
pub fn html(grid: &Grid) -> String {
    let class = |align: Align| match align {
        Align::Left => "",
        Align::Prose => " class=\"prose\"",
        Align::Right => " class=\"number\"",
    };
    let mut text = String::from("<table>\n");
    let _ = writeln!(text, "<caption>{}</caption>\n<thead><tr>", escape(&grid.caption));
    for column in &grid.columns {
        let about = escape(&column.about);
        let title = escape(&column.title);
        let _ = writeln!(text, "<th scope=\"col\"{} title=\"{about}\">{title}</th>", class(column.align));
    }
    text.push_str("</tr></thead>\n");
    for group in &grid.groups {
        let (width, title) = (grid.columns.len(), escape(&group.title));
        let _ = writeln!(
            text,
            "<tbody>\n<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{width}\">{title}</th></tr>"
        );
        for row in &group.rows {
            text.push_str("<tr>");
            let measured = measured(row);
            for (place, (cell, column)) in row.iter().zip(&grid.columns).take(measured).enumerate() {
                let shown = escape(cell.display());
                let _ = match (place, cell) {
                    (0, _) => write!(text, "<th scope=\"row\"{}>{shown}</th>", class(column.align)),
                    (_, Cell::Missing(why)) => {
                        let class = match column.align {
                            Align::Left => "missing",
                            Align::Prose => "prose missing",
                            Align::Right => "number missing",
                        };
                        write!(text, "<td class=\"{class}\" title=\"{}\">{shown}</td>", escape(why))
                    }
                    // What is displayed is rounded; rows are sorted by the exact value.
                    (_, Cell::Number { value, .. }) => {
                        write!(text, "<td{} data-value=\"{value}\">{shown}</td>", class(column.align))
                    }
                    _ => write!(text, "<td{}>{shown}</td>", class(column.align)),
                };
            }
            if let Some(verdict) = row.last().filter(|_| measured < row.len()) {
                let (width, shown) = (row.len() - measured, escape(verdict.display()));
                let _ = write!(text, "<td class=\"verdict\" colspan=\"{width}\">{shown}</td>");
            }
            text.push_str("</tr>\n");
        }
        text.push_str("</tbody>\n");
    }
    text.push_str("</table>\n");
    text
}

/// How many cells stand by themselves: in a row that ends with gaps and a verdict, the verdict takes the gaps'
/// place, because it is what the reader wants to know there.
fn measured(row: &[Cell]) -> usize {
    let gaps = row.iter().rev().skip(1).take_while(|cell| matches!(cell, Cell::Missing(_))).count();
    match row.last() {
        Some(Cell::Text(_)) if gaps > 0 => row.len() - 1 - gaps,
        _ => row.len(),
    }
}

/// Makes text safe inside an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
