//! The child's end of the line.

use std::io::Write;
use std::time::{Duration, Instant};

use super::Failure;
use crate::event::Event;

/// How often a step is told.
const INTERVAL: Duration = Duration::from_millis(100);

/// Writes events, one a line, each flushed.
pub(crate) struct Reporter<W> {
    output: W,
    told: Option<Instant>,
}

impl<W: Write> Reporter<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, told: None }
    }

    /// Tells an event. A parent that is gone ends the trial: nobody waits for its row.
    pub(crate) fn tell(&mut self, event: &Event) -> Result<(), Failure> {
        let mut line = serde_json::to_string(event).map_err(Failure::because)?;
        line.push('\n');
        self.output
            .write_all(line.as_bytes())
            .and_then(|()| self.output.flush())
            .map_err(|error| Failure::because(format!("the campaign does not listen any more: {error}")))
    }

    /// Tells an event that may as well be left out, at most ten times a second.
    pub(crate) fn tell_sometimes(&mut self, event: impl FnOnce() -> Event) -> Result<(), Failure> {
        if self.told.is_some_and(|told| told.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        self.tell(&event())
    }
}
