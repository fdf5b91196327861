//! A table as LaTeX, for papers: rules of booktabs, an arrow at a heading whose best cell of each group is bold.

use crate::origin::Origin;
use crate::table::{Align, Cell, Column, Grid, Preference};
use std::fmt::Write;

/// Rows that one page holds; longer tables go on over pages.
const PAGE: usize = 40;
/// Characters of words from which a cell is broken into lines.
const LONG: usize = 24;

/// Renders a table as LaTeX with the command that makes it again and the records it is made from in its caption.
///
/// It needs the packages `booktabs` and `graphicx`, a table of more than a page `longtable` too. Every character is ASCII, so
/// that any engine takes it.
pub fn latex(grid: &Grid, origin: &Origin) -> String {
    let rows: usize = grid.groups.iter().map(|group| group.rows.len()).sum();
    let packages = if rows > PAGE { "booktabs, longtable" } else { "booktabs, graphicx" };
    let mut text = format!("% Generated; do not edit. Needs \\usepackage{{{packages}}}.\n");
    let _ = writeln!(
        text,
        "% From the records {}. To make it again: {}",
        ascii(&origin.records),
        ascii(&origin.command)
    );
    let columns: Vec<String> = (0..grid.columns.len()).map(|place| width(grid, place)).collect();
    let columns = format!("@{{}}{}@{{}}", columns.join(" "));
    let caption = caption(grid, origin);
    let head: Vec<String> = grid.columns.iter().map(heading).collect();
    let head = format!("\\toprule\n{} \\\\\n\\midrule\n", head.join(" & "));
    let body: String = body(grid);
    let label = format!("tab:{}", grid.id);
    if rows > PAGE {
        let _ = write!(
            text,
            "{{\\footnotesize\n\\begin{{longtable}}{{{columns}}}\n\\caption{{{caption}}}\\label{{{label}}} \\\\\n\
             {head}\\endfirsthead\n{head}\\endhead\n{body}\\bottomrule\n\\end{{longtable}}\n}}\n"
        );
    } else {
        // A table that is wider than the text shrinks to it, and no other one does.
        let _ = write!(
            text,
            "\\begin{{table}}\n\\centering\\footnotesize\n\\caption{{{caption}}}\\label{{{label}}}\n\
             \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
             \\begin{{tabular}}{{{columns}}}\n{head}{body}\\bottomrule\n\\end{{tabular}}}}\n\\end{{table}}\n"
        );
    }
    text
}

fn caption(grid: &Grid, origin: &Origin) -> String {
    let marked = grid.columns.iter().any(|column| column.better.is_some());
    let bold = if marked { " The best of each group in bold." } else { "" };
    let (title, about) = (escape(&grid.title), escape(&grid.caption));
    let (command, records) = (escape(&origin.command), escape(&origin.records));
    format!("{title}. {about}{bold} Made by \\texttt{{{command}}} of the records {records}.")
}

/// How a column is set: words that are sentences in some row are broken into lines.
fn width(grid: &Grid, place: usize) -> String {
    let rows = grid.groups.iter().flat_map(|group| &group.rows);
    let longest = rows.map(|row| row[place].display().chars().count()).max().unwrap_or(0);
    match grid.columns[place].align {
        Align::Right => "r".to_owned(),
        Align::Left | Align::Prose if longest > LONG => "p{3.6cm}".to_owned(),
        Align::Left | Align::Prose => "l".to_owned(),
    }
}

fn heading(column: &Column) -> String {
    let title = escape(&column.title);
    match column.better {
        Some(Preference::More) => format!("{title} $\\uparrow$"),
        Some(Preference::Less) => format!("{title} $\\downarrow$"),
        None => title,
    }
}

fn body(grid: &Grid) -> String {
    let mut text = String::new();
    for (index, group) in grid.groups.iter().enumerate() {
        if index > 0 {
            text.push_str("\\addlinespace\n");
        }
        let (span, title) = (grid.columns.len(), escape(&group.title));
        let _ = writeln!(text, "\\multicolumn{{{span}}}{{@{{}}l}}{{\\itshape {title}}} \\\\");
        let best: Vec<Option<f64>> =
            grid.columns.iter().enumerate().map(|(place, column)| best(column, place, &group.rows)).collect();
        for row in &group.rows {
            let cells: Vec<String> = row.iter().zip(&best).map(|(cell, best)| shown(cell, *best)).collect();
            let _ = writeln!(text, "{} \\\\", cells.join(" & "));
        }
    }
    text
}

/// The best value of a column in a group; none where there is nothing to choose from.
fn best(column: &Column, place: usize, rows: &[Vec<Cell>]) -> Option<f64> {
    let better = column.better?;
    let values: Vec<f64> = rows.iter().filter_map(|row| row[place].value()).collect();
    let differ = values.iter().any(|value| *value != values[0]);
    let pick = match better {
        Preference::More => f64::max,
        Preference::Less => f64::min,
    };
    values.into_iter().reduce(pick).filter(|_| differ)
}

fn shown(cell: &Cell, best: Option<f64>) -> String {
    let text = escape(cell.display());
    match cell.value().zip(best) {
        Some((value, best)) if value == best => format!("\\textbf{{{text}}}"),
        _ => text,
    }
}

/// Makes text safe, and of signs commands.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("$<$"),
            '>' => escaped.push_str("$>$"),
            '|' => escaped.push_str("$|$"),
            '\n' | '\r' => escaped.push(' '),
            // Two hyphens would become one dash.
            '-' if escaped.ends_with('-') => escaped.push_str("{}-"),
            c if c.is_ascii() => escaped.push(c),
            c => escaped.push_str(sign(c)),
        }
    }
    escaped
}

/// A sign that is not ASCII; an unknown one is a question mark, which a reader sees.
fn sign(c: char) -> &'static str {
    match c {
        '±' => "$\\pm$",
        '×' => "$\\times$",
        '−' => "$-$",
        '–' => "--",
        '—' => "---",
        'Δ' => "$\\Delta$",
        'µ' | 'μ' => "$\\mu$",
        '·' => "$\\cdot$",
        '²' => "$^2$",
        '≥' => "$\\geq$",
        '≤' => "$\\leq$",
        '→' => "$\\to$",
        '…' => "\\ldots{}",
        '’' => "'",
        'ä' => "\\\"a",
        'ö' => "\\\"o",
        'ü' => "\\\"u",
        'é' => "\\'e",
        _ => "?",
    }
}

/// A comment of one line.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Group;

    fn number(value: f64) -> Cell {
        Cell::Number { text: format!("{value:.1} ± 0.1"), value }
    }

    fn grid(rows: usize) -> Grid {
        let row = |value: f64| vec![Cell::Text("a_b & 50 %".into()), number(value), number(value)];
        let mut all: Vec<Vec<Cell>> = (0..rows).map(|place| row(place as f64)).collect();
        all.push(vec![Cell::Text("none".into()), Cell::Missing("why".into()), Cell::Missing("why".into())]);
        Grid {
            id: "t".into(),
            title: "Title".into(),
            caption: "Caption of {x}.".into(),
            columns: vec![
                Column::words("name", "name", ""),
                Column::numbers("bytes", "bytes, µ", "").less_is_better(),
                Column::numbers("rate", "rate", "").more_is_better(),
            ],
            groups: vec![Group { title: "net".into(), rows: all }],
        }
    }

    fn origin() -> Origin {
        Origin { command: "harness report x_y --to z".into(), records: "r (SHA-256 0)".into() }
    }

    #[test]
    fn the_best_of_a_group_is_bold_and_headings_say_which_way_is_better() {
        let text = latex(&grid(2), &origin());
        assert!(text.contains("a\\_b \\& 50 \\% & \\textbf{0.0 $\\pm$ 0.1} & 0.0 $\\pm$ 0.1 \\\\"), "{text}");
        assert!(text.contains("a\\_b \\& 50 \\% & 1.0 $\\pm$ 0.1 & \\textbf{1.0 $\\pm$ 0.1} \\\\"), "{text}");
        assert!(text.contains("none & -- & -- \\\\"), "{text}");
        assert!(text.contains("name & bytes, $\\mu$ $\\downarrow$ & rate $\\uparrow$ \\\\"), "{text}");
        assert!(text.contains("Made by \\texttt{harness report x\\_y -{}-to z} of the records"), "{text}");
        // Of one there is no best.
        assert!(!latex(&grid(1), &origin()).contains("\\textbf"));
    }

    #[test]
    fn a_table_of_more_than_a_page_goes_on() {
        let text = latex(&grid(PAGE + 1), &origin());
        assert!(
            text.contains("\\begin{longtable}") && text.contains("\\endhead") && !text.contains("{table}")
        );
        assert!(latex(&grid(PAGE - 1), &origin()).contains("\\begin{table}"));
    }
}
