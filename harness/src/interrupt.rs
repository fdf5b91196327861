//! Ctrl-C: the first asks the campaign to stop between two lines of a trial, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;

/// Exit code of a program that a person stopped.
pub(crate) const EXIT_CODE: u8 = 130;

/// Whether somebody asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C, and for the signals that end a program politely.
    ///
    /// # Errors
    /// When the process listens already.
    pub fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let flag = interrupt.clone();
        ctrlc::set_handler(move || {
            if flag.0.swap(true, Ordering::SeqCst) {
                // A trial that still runs ends by itself when it next has something to tell.
                std::process::exit(i32::from(EXIT_CODE));
            }
        })?;
        Ok(interrupt)
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
