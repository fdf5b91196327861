//! What can be wrong with a request, and what can go wrong while it is served.

use std::io;
use std::path::PathBuf;

use crate::suggest::Unknown;

/// Result of a call into this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the harness; each message names the rule, the value and the place.
///
/// A trial that fails is not an error of the harness: it is a row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that nothing goes by.
    #[error("{}{unknown}", place_prefix(place))]
    Unknown {
        /// Where the name stands: a flag, or a file and line; empty on the command line.
        place: String,
        /// The name and what it could have been.
        unknown: Unknown,
    },
    /// A value that breaks a rule.
    #[error("{place} must be {rule}, got {found}")]
    Value {
        /// Where it stands.
        place: String,
        /// The rule.
        rule: String,
        /// The value.
        found: String,
    },
    /// A suite or recipe that can't be understood.
    #[error("{place}: {message}")]
    Document {
        /// File and line.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A request that selects no trial.
    #[error("nothing to run: {0}")]
    Nothing(String),
    /// A data set can't be opened, or can't serve what is asked of it.
    #[error("{place}: {source}")]
    Data {
        /// The case that asked.
        place: String,
        /// What the data set said.
        source: datasets::DataError,
    },
    /// A model, method or optimiser refuses its settings.
    #[error("{place}: {source}")]
    Setting {
        /// The case that asked.
        place: String,
        /// What the engine said.
        source: engine::Error,
    },
    /// The output folder can't take records.
    #[error("{0} (--out)")]
    Out(results::Error),
    /// A folder's records can't be read or turned into a report.
    #[error(transparent)]
    Report(results::Error),
    /// A baseline can't be read or written.
    #[error(transparent)]
    Baseline(results::Error),
    /// A campaign came to its end, but its report can't be written.
    #[error("all rows are on file, but there is no report: {0}")]
    ReportAfterRun(results::Error),
    /// A record can't be written in the middle of a campaign.
    #[error("the campaign stops here, earlier rows are kept: {0}")]
    Store(results::Error),
    /// Standard output can't be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// A value can't be turned into text.
    #[error("cannot write {what} as text: {message}")]
    Text {
        /// What was to be written.
        what: &'static str,
        /// Why not.
        message: String,
    },
    /// Ctrl-C can't be listened for.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

impl Error {
    /// An [`Error::Value`] from its three parts.
    pub fn value(place: impl Into<String>, rule: impl Into<String>, found: impl ToString) -> Self {
        Self::Value { place: place.into(), rule: rule.into(), found: found.to_string() }
    }

    /// An [`Error::Unknown`] on the command line.
    #[must_use]
    pub fn unknown(unknown: Unknown) -> Self {
        Self::Unknown { place: String::new(), unknown }
    }

    /// The exit code of a process that ends with it: 2 for a request that can't be served, 1 for a failure on the
    /// way.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Store(_)
            | Self::ReportAfterRun(_)
            | Self::Output(_)
            | Self::Text { .. }
            | Self::Signal(_) => 1,
            _ => 2,
        }
    }
}

fn place_prefix(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}
