//! Documents that hold tables and charts of records between markers.
//!
//! ```text
//! <!-- begin table comparison of results/records/smoke-2026-11-28 -->
//! <!-- end -->
//! <!-- begin chart scaling-steps of results/records/scaling-2026-11-25 in results/report -->
//! <!-- end -->
//! ```
//!
//! A marker says what stands below it, and folders are relative to the document, as its links are. What lies between it and
//! its end is written anew as a whole; nothing else of the document is touched.

use crate::chart::CHARTS;
use crate::error::Error;
use crate::origin::Origin;
use crate::read::{Records, read};
use crate::render;
use crate::store::write_whole;
use crate::table::TABLES;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- begin ";
const CLOSE: &str = " -->";
const END: &str = "<!-- end -->";

/// A block or a chart's file that is not what its records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The document, or the chart's file.
    pub path: PathBuf,
    /// The marker's line in the document, counted from 1.
    pub line: usize,
    /// The marker's words: what stands there, of which records.
    pub what: String,
}

/// What a marker asks for.
#[derive(Clone, Debug, PartialEq)]
struct Marker<'a> {
    what: &'a str,
    kind: Kind<'a>,
    /// Folder of records, relative to the document.
    dir: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind<'a> {
    Table {
        id: &'a str,
    },
    /// The folder is that of the chart's file, relative to the document.
    Chart {
        id: &'a str,
        folder: &'a str,
    },
}

/// A block as it must be.
struct Block {
    text: String,
    /// A file beside the document, and its bytes.
    file: Option<(PathBuf, String)>,
}

/// Compares the blocks of a document with the records that their markers name; with `write` makes anew what differs.
///
/// `command` makes them again, and is printed in each. Returns what differed, in the document's order.
///
/// # Errors
/// Where the document has no marker or a broken one, where records can't be read, where what is asked of them has nothing to
/// show, and where a file can't be written.
pub fn splice(document: &Path, command: &str, write: bool) -> Result<Vec<Stale>, Error> {
    let failed = |source| Error::Read { path: document.to_owned(), source };
    let text = std::fs::read_to_string(document).map_err(failed)?;
    let home = document.parent().unwrap_or(Path::new(""));
    let broken =
        |line: usize, rule: String| Error::Marker { path: document.to_owned(), line: line + 1, rule };
    let (mut stale, mut anew, mut found) = (Vec::new(), String::with_capacity(text.len()), false);
    let mut lines = text.split_inclusive('\n').enumerate();
    while let Some((at, line)) = lines.next() {
        anew.push_str(line);
        let Some(marker) = marker(line).map_err(|rule| broken(at, rule))? else { continue };
        found = true;
        let block = block(&marker, home, command).map_err(|error| match error {
            Refused::Rule(rule) => broken(at, rule),
            Refused::Error(error) => error,
        })?;
        let mut old = String::new();
        let end = loop {
            match lines.next() {
                Some((_, line)) if line.trim_end() == END => break line,
                Some((inner, line)) if line.starts_with(BEGIN) => {
                    return Err(broken(
                        inner,
                        format!("the block of line {} must end before it: `{END}`", at + 1),
                    ));
                }
                Some((_, line)) => old.push_str(line),
                None => return Err(broken(at, format!("the block must have an end: `{END}`"))),
            }
        };
        let differs =
            |path: &Path| Stale { path: path.to_owned(), line: at + 1, what: marker.what.to_owned() };
        if old != block.text {
            stale.push(differs(document));
        }
        if let Some((path, bytes)) = block.file
            && std::fs::read(&path).ok().as_deref() != Some(bytes.as_bytes())
        {
            stale.push(differs(&path));
            if write {
                write_whole(&path, bytes.as_bytes())?;
            }
        }
        anew.push_str(&block.text);
        anew.push_str(end);
    }
    if !found {
        let rule = format!(
            "a document that is spliced must have a marker, such as `{BEGIN}table comparison of DIR{CLOSE}`"
        );
        return Err(broken(0, rule));
    }
    if write && anew != text {
        write_whole(document, anew.as_bytes())?;
    }
    Ok(stale)
}

/// The marker on a line; blocks with names of one word belong to other programs.
fn marker(line: &str) -> Result<Option<Marker<'_>>, String> {
    let Some(what) = line.trim_end().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(CLOSE)) else {
        return Ok(None);
    };
    let words: Vec<&str> = what.split(' ').collect();
    match words.as_slice() {
        ["table", id, "of", dir] => Ok(Some(Marker { what, kind: Kind::Table { id }, dir })),
        ["chart", id, "of", dir, "in", folder] => {
            Ok(Some(Marker { what, kind: Kind::Chart { id, folder }, dir }))
        }
        ["table" | "chart", ..] => {
            Err(format!("a marker must read `table ID of DIR` or `chart ID of DIR in FOLDER`, got `{what}`"))
        }
        _ => Ok(None),
    }
}

/// Why there is no block: what the marker asks for is not there, or the records are not.
enum Refused {
    Rule(String),
    Error(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Error(error)
    }
}

fn block(marker: &Marker<'_>, home: &Path, command: &str) -> Result<Block, Refused> {
    let dir = home.join(marker.dir);
    let records = read(&dir)?;
    let origin = Origin::new(&dir, command)?;
    let body = match marker.kind {
        Kind::Table { id } => Block { text: table(id, &records)?, file: None },
        Kind::Chart { id, folder } => chart(id, folder, home, &records, &origin)?,
    };
    let (command, set) = (&origin.command, render::escape_markdown(&origin.records));
    Ok(Block { text: format!("\n{}\nMade by `{command}` of the records {set}.\n\n", body.text), ..body })
}

fn table(id: &str, records: &Records) -> Result<String, Refused> {
    let known = || TABLES.iter().map(|table| table.id).collect::<Vec<_>>().join(", ");
    let table = TABLES.iter().find(|table| table.id == id);
    let table =
        table.ok_or_else(|| Refused::Rule(format!("no table is called '{id}'. Known: {}", known())))?;
    let grid = (table.grid)(records);
    if grid.groups.is_empty() {
        return Err(Refused::Rule(format!("these records have nothing for table '{id}'")));
    }
    Ok(render::sections(&grid))
}

fn chart(id: &str, folder: &str, home: &Path, records: &Records, origin: &Origin) -> Result<Block, Refused> {
    let known = || CHARTS.iter().map(|chart| chart.id).collect::<Vec<_>>().join(", ");
    let chart = CHARTS.iter().find(|chart| chart.id == id);
    let chart =
        chart.ok_or_else(|| Refused::Rule(format!("no chart is called '{id}'. Known: {}", known())))?;
    let figure = (chart.figure)(records);
    let figure =
        figure.ok_or_else(|| Refused::Rule(format!("these records have nothing for chart '{id}'")))?;
    let svg = render::signed(&render::svg(&figure)?, origin);
    let name = format!("{id}.svg");
    let text = format!("![{}]({folder}/{name})\n", render::escape_markdown(&figure.title));
    Ok(Block { text, file: Some((home.join(folder).join(name), svg)) })
}
