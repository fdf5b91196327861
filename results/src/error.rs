//! What can go wrong between a folder of records and a page.

use std::path::{Path, PathBuf};

/// An error of this crate; each message names the rule, the value and the place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output folder can't be created or written.
    #[error("the output folder must be writable: {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder holds no records.
    #[error("no records here: {} does not exist", path.display())]
    NoRecords {
        /// The file that was looked for.
        path: PathBuf,
    },
    /// A campaign's trials file has no row.
    #[error("no records here: {} has no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes to the campaign.
    #[error(
        "one process at a time writes to a campaign, and another one holds {}; wait for it, or use another output folder",
        path.display()
    )]
    Busy {
        /// The file that it holds.
        path: PathBuf,
    },
    /// A file has other columns than this version of the format.
    #[error(
        "record format is version {expected}, but {} has other columns: column {column} must be `{wanted}`, found `{found}`; \
         a campaign is read by the program that wrote it, and a new one needs another output folder",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The version that this program reads and writes.
        expected: u32,
        /// Place of the first differing column, counted from 1.
        column: usize,
        /// What must stand there; empty where the header must end.
        wanted: String,
        /// What stands there; empty where the header ends.
        found: String,
    },
    /// A row was written by another version of the format.
    #[error(
        "record format is version {expected}, but {} line {line} is version {found}; `harness records upgrade {}` copies the \
         folder into this version, and a new campaign needs another output folder",
        path.display(), folder(path)
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The version that this program reads and writes.
        expected: u32,
        /// The row's version.
        found: u32,
    },
    /// A row was written by a newer version of the format.
    #[error(
        "record format is version {expected}, but {} line {line} is version {found}, which is newer: no program can know \
         what it means; use the program of the revision in the row's `git_rev`, or a newer one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The version that this program reads and writes.
        expected: u32,
        /// The row's version.
        found: u32,
    },
    /// A file has a column that this version of the format has no place for.
    #[error(
        "{} can't be carried over: record format {version} has no place for its column `{column}`",
        path.display()
    )]
    Homeless {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The version that this program reads and writes.
        version: u32,
    },
    /// A folder that is to be written anew is there.
    #[error("records are never written over: {} exists; name another folder with --to", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A row can't be understood.
    #[error("malformed row in {} line {line}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A baseline has a line that this version would not write.
    #[error("malformed baseline {} line {line}: expected {expected}, found `{found}`", path.display())]
    Baseline {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The rule.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A row can't be turned into text.
    #[error("cannot encode a row of {file}: {reason}")]
    Encode {
        /// The file's name.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A JSON file can't be understood.
    #[error("malformed {}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A campaign is continued on another machine.
    #[error(
        "a campaign is measured on one machine: {} says `{found}`, this machine is `{here}`; use another output folder",
        path.display()
    )]
    Machine {
        /// The environment file.
        path: PathBuf,
        /// The machine on file.
        found: String,
        /// The machine now.
        here: String,
    },
    /// A file of published values breaks a rule.
    #[error("{file}, {entry}: {rule}")]
    Published {
        /// The file.
        file: String,
        /// The entry, or the line.
        entry: String,
        /// The rule.
        rule: String,
    },
    /// A document's markers can't be followed.
    #[error("{} line {line}: {rule}", path.display())]
    Marker {
        /// The document.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The rule.
        rule: String,
    },
    /// No paper goes by an id.
    #[error("unknown paper '{id}'. Known: {known}")]
    Paper {
        /// The id.
        id: String,
        /// Those that there are.
        known: String,
    },
    /// A trial has no key.
    #[error("a trial row needs a key, got an empty `trial` (method `{method}`, model `{model}`)")]
    Key {
        /// The row's method.
        method: String,
        /// The row's model.
        model: String,
    },
    /// A chart can't be drawn.
    #[error("cannot draw chart `{chart}`: {reason}")]
    Draw {
        /// Chart id.
        chart: String,
        /// What is wrong.
        reason: String,
    },
}

/// The folder of a file of records, as a command names it.
fn folder(path: &Path) -> std::path::Display<'_> {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).display()
}

/// An error about the version of a row: a newer one can't be upgraded.
pub(crate) fn of_version(path: PathBuf, line: usize, expected: u32, found: u32) -> Error {
    if found > expected {
        Error::Newer { path, line, expected, found }
    } else {
        Error::Schema { path, line, expected, found }
    }
}
