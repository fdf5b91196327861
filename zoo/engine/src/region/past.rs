//! What a forward pass leaves behind so that a walk back finds the states of each step.

use std::rc::Rc;

use kernels::remainder::{self, Layout};

use crate::error::{Error, Result};
use crate::ledger::{Category, Ledger};
use crate::model::Levels;
use crate::ops::Shortcut;
use crate::pass::Pass;
use crate::value::Value;

/// Which states of the levels are kept for the walk back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptStates {
    /// Those of the last step; every other is had from the one after it (T-RevSNN's text).
    Last,
    /// Those of every step; none is had from another (as many bytes as T-RevSNN's released code keeps).
    PerStep,
}

/// A stack, grown forward in time and popped backward: one entry a level and step, shallowest level first, from the
/// second step on.
pub struct Past {
    kept: KeptStates,
    trails: Vec<Trail>,
}

/// What brings one state back.
enum Trail {
    /// A division.
    Nothing,
    /// What the product with the factor lost.
    Lost(Remainders),
    /// Itself.
    State(Value),
}

impl Past {
    /// An empty past with room for `steps` steps of all levels.
    #[must_use]
    pub fn new(kept: KeptStates, levels: &dyn Levels, steps: usize) -> Self {
        Self { kept, trails: Vec::with_capacity(levels.sites().len() * steps.saturating_sub(1)) }
    }

    /// Takes note of a state that is about to be replaced by that of the next step.
    pub(crate) fn leave(&mut self, pass: &Pass<'_>, shortcut: Shortcut<'_>, previous: &Value) -> Result<()> {
        self.trails.push(match self.kept {
            KeptStates::PerStep => Trail::State(previous.detached()),
            KeptStates::Last => match shortcut.remainders(pass, previous)? {
                Some(lost) => Trail::Lost(lost),
                None => Trail::Nothing,
            },
        });
        Ok(())
    }

    /// The newest state that was noted and not had back yet, given the one it led to.
    pub(crate) fn back(
        &mut self,
        pass: &Pass<'_>,
        shortcut: Shortcut<'_>,
        carried: &Value,
        f: &Value,
    ) -> Result<Value> {
        match self.trails.pop() {
            Some(Trail::State(state)) => Ok(state),
            Some(Trail::Lost(lost)) => shortcut.carry_back(pass, carried, f, Some(&lost)),
            Some(Trail::Nothing) => shortcut.carry_back(pass, carried, f, None),
            None => Err(Error::Misuse("a walk went back further than the forward pass came".into())),
        }
    }
}

/// What the products of one level and step lost, booked as state: streams, or in a plan their expected bytes.
#[derive(Debug)]
pub(crate) struct Remainders {
    streams: Option<remainder::Remainders>,
    bytes: usize,
    ledger: Rc<Ledger>,
}

impl Remainders {
    pub(crate) fn new(ledger: &Rc<Ledger>, streams: remainder::Remainders) -> Self {
        Self::booked(ledger, streams.bytes(), Some(streams))
    }

    /// For factors at the given values and states spread evenly.
    pub(crate) fn planned(ledger: &Rc<Ledger>, layout: &Layout, alpha: &[f64]) -> Self {
        Self::booked(ledger, remainder::Remainders::expected_bytes(layout, alpha), None)
    }

    fn booked(ledger: &Rc<Ledger>, bytes: usize, streams: Option<remainder::Remainders>) -> Self {
        ledger.hold(Category::State, bytes);
        Self { streams, bytes, ledger: Rc::clone(ledger) }
    }

    pub(crate) fn streams(&self) -> Option<&remainder::Remainders> {
        self.streams.as_ref()
    }
}

impl Drop for Remainders {
    fn drop(&mut self) {
        self.ledger.release(Category::State, self.bytes);
    }
}
