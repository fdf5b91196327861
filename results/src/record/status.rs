//! How a trial ended.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a trial ended; anything but `Ok` explains itself in the trial's `note`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The trial ran to its end.
    Ok,
    /// The method can't train this model; `note` holds its reason.
    Unsupported,
    /// The process asked for more memory than it was given.
    OutOfMemory,
    /// The trial ran longer than its time limit.
    TimedOut,
    /// The process died without reporting.
    Crashed,
    /// The trial reported an error. The default, so that a forgotten status can never read as a success.
    #[default]
    Failed,
    /// A person stopped the campaign while the trial ran.
    Interrupted,
}

impl Status {
    /// Every status, in the order of the declaration.
    pub const ALL: [Status; 7] = [
        Status::Ok,
        Status::Unsupported,
        Status::OutOfMemory,
        Status::TimedOut,
        Status::Crashed,
        Status::Failed,
        Status::Interrupted,
    ];

    /// The word that stands in the `status` column.
    pub fn id(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Unsupported => "unsupported",
            Status::OutOfMemory => "out-of-memory",
            Status::TimedOut => "timed-out",
            Status::Crashed => "crashed",
            Status::Failed => "failed",
            Status::Interrupted => "interrupted",
        }
    }

    /// Whether running the same configuration again can bring nothing new: measured, or ruled out.
    pub fn is_settled(self) -> bool {
        matches!(self, Status::Ok | Status::Unsupported)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_word_is_the_id() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.id());
        }
    }
}
