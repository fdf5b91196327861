//! A table as LaTeX, for papers: rules of booktabs, an arrow at a heading whose best cell of each group is bold.

use crate::origin::Origin;
use crate::table::{Align, Cell, Column, Grid, Preference};
use std::fmt::Write;

/// Lines that one page holds of a table that shrinks a little; longer ones go on in further tables.
const PAGE: usize = 60;
/// Characters of words that a line holds; longer ones are broken.
const LINE: usize = 24;
/// Lines that the longest words of a column are broken into, if no line then holds more than twice as many characters.
const LINES: usize = 5;

/// Renders a table as LaTeX with the command that makes it again and the records it is made from in its caption.
///
/// It needs the packages `array`, `booktabs` and `graphicx`. A table that is wider than the text shrinks to it, and one of more rows than a
/// page holds goes on in further tables: those of `longtable` do not shrink. Every character is ASCII, so that any
/// engine takes it.
pub fn latex(grid: &Grid, origin: &Origin) -> String {
    let mut text = format!(
        "% Generated; do not edit. Needs \\usepackage{{array, booktabs, graphicx}}.\n\
         % From the records {}. To make it again: {}\n",
        ascii(&origin.records),
        ascii(&origin.command)
    );
    let measures: Vec<Option<usize>> = (0..grid.columns.len()).map(|place| measure(grid, place)).collect();
    let columns: Vec<String> =
        grid.columns.iter().zip(&measures).map(|(column, measure)| width(column, *measure)).collect();
    let columns = columns.join(" ");
    let head: Vec<String> = grid.columns.iter().map(heading).collect();
    let head = head.join(" & ");
    for (place, body) in bodies(grid, &measures).into_iter().enumerate() {
        let caption = match place {
            0 => format!("{}\\label{{tab:{}}}", caption(grid, origin), grid.id),
            _ => format!("{}, continued from table~\\ref{{tab:{}}}.", escape(&grid.title), grid.id),
        };
        let _ = write!(
            text,
            "\\begin{{table}}\n\\centering\\footnotesize\n\\caption{{{caption}}}\n\
             \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\
             \\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}\\bottomrule\n\
             \\end{{tabular}}}}\n\\end{{table}}\n"
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

/// Characters of words that a line of a column holds; nothing where they are not broken.
fn measure(grid: &Grid, place: usize) -> Option<usize> {
    let rows = grid.groups.iter().flat_map(|group| &group.rows);
    let longest = rows.map(|row| row[place].display().chars().count()).max().unwrap_or(0);
    (grid.columns[place].align != Align::Right && longest > LINE)
        .then(|| longest.div_ceil(LINES).clamp(LINE, 2 * LINE))
}

/// How a column is set.
fn width(column: &Column, measure: Option<usize>) -> String {
    match (column.align, measure) {
        (Align::Right, _) => "r".to_owned(),
        // A character of a footnote is about 1.5 mm wide; words are not stretched to the width of a narrow column.
        (_, Some(characters)) => format!(">{{\\raggedright\\arraybackslash}}p{{{}mm}}", characters * 3 / 2),
        (_, None) => "l".to_owned(),
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

/// The rows under their groups' titles, page by page.
fn bodies(grid: &Grid, measures: &[Option<usize>]) -> Vec<String> {
    let (mut pages, mut page, mut held) = (Vec::new(), String::new(), 0);
    for group in &grid.groups {
        let (span, title) = (grid.columns.len(), escape(&group.title));
        let best: Vec<Option<f64>> =
            grid.columns.iter().enumerate().map(|(place, column)| best(column, place, &group.rows)).collect();
        for (place, row) in group.rows.iter().enumerate() {
            let broken = row.iter().zip(measures).filter_map(|(cell, measure)| {
                let characters = cell.display().chars().count();
                measure.map(|measure| characters.div_ceil(measure))
            });
            let lines = broken.max().unwrap_or(1).max(1);
            if held > 0 && held + lines > PAGE {
                pages.push(std::mem::take(&mut page));
                held = 0;
            }
            if place == 0 || held == 0 {
                page.push_str(if held > 0 { "\\addlinespace\n" } else { "" });
                let again = if place > 0 { ", continued" } else { "" };
                let _ = writeln!(page, "\\multicolumn{{{span}}}{{@{{}}l}}{{\\itshape {title}{again}}} \\\\");
            }
            let cells: Vec<String> = row.iter().zip(&best).map(|(cell, best)| shown(cell, *best)).collect();
            let _ = writeln!(page, "{} \\\\", cells.join(" & "));
            held += lines;
        }
    }
    pages.push(page);
    pages
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
    fn a_table_of_more_than_a_page_goes_on_in_another() {
        let text = latex(&grid(2 * PAGE), &origin());
        assert_eq!(text.matches("\\begin{table}").count(), 3);
        assert_eq!(text.matches("\\label{tab:t}").count(), 1);
        assert_eq!(text.matches("Title, continued from table~\\ref{tab:t}.").count(), 2);
        assert_eq!(text.matches("{\\itshape net, continued}").count(), 2);
        // What is best is so in the whole group.
        assert_eq!(text.matches("\\textbf").count(), 2);
        assert_eq!(latex(&grid(PAGE - 1), &origin()).matches("\\begin{table}").count(), 1);
    }
}
