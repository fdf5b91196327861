//! What a training step will hold: the method's own trainer, run in a plan.
//!
//! A plan has every shape and no numbers, so that a step is told in milliseconds whatever it would take to run it.

use std::rc::Rc;

use engine::ledger::{Bytes, Category, Ledger};
use engine::method::{Method, Unsupported};
use engine::pass::Session;

use crate::error::Result;
use crate::quantity;
use crate::setup::Setup;
use crate::trial::STACK_BYTES;

/// What a training step holds at the moment when it holds most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// By category; of workspace the most that any op asks for, as it is kept.
    held: Bytes,
    /// All values that the forward pass made, as numbers.
    made: usize,
    /// Largest sum of the categories that the memory laws are stated on.
    pub(crate) in_laws: usize,
}

impl Forecast {
    /// What a ledger has seen since its last restart.
    pub(crate) fn of_ledger(ledger: &Ledger) -> Self {
        let mut held = ledger.peak_of_all().held;
        held[Category::Workspace as usize] = ledger.most(Category::Workspace);
        Self { held, made: ledger.made_forward(), in_laws: ledger.peak_in_laws() }
    }

    pub(crate) fn of(&self, category: Category) -> usize {
        self.held[category as usize]
    }

    /// Activations that an automatic differentiation holds which keeps every value of the forward pass, as candle's does.
    pub(crate) fn kept_by_autograd(&self) -> usize {
        self.made
    }

    /// All categories, workspace included.
    pub(crate) fn whole(&self) -> usize {
        self.held.iter().sum()
    }

    /// All categories but the workspace.
    pub(crate) fn without_workspace(&self) -> usize {
        self.whole() - self.of(Category::Workspace)
    }
}

/// Adds what a plan says of a step to the reason why its memory ran out; `asked` finds what to plan, and the workspace is
/// that of so many threads. A step that can't be planned adds nothing.
pub(crate) fn explain(note: &mut String, threads: usize, asked: impl FnOnce() -> Result<Forecast> + Send) {
    let planned = kernels::threads::pool(threads, STACK_BYTES).map(|pool| pool.install(asked));
    if let Ok(Ok(forecast)) = planned {
        let held = quantity::mib(forecast.whole() as u64);
        note.push_str(&format!("; a plan of the step holds {held} in all ({} bytes)", forecast.whole()));
    }
}

impl Setup {
    /// The second step of a run at T = `steps`: the first one leaves behind what lives between steps.
    ///
    /// # Errors
    /// When the method can't train the network, or not within the budget, with its reason.
    pub(crate) fn forecast(
        &self,
        method: &dyn Method,
        steps: usize,
        samples: usize,
    ) -> engine::Result<Forecast> {
        let mut learner = self.learner(Session::plan(self.dtype), method, steps, samples)?;
        let ledger = Rc::clone(learner.trainer.session().ledger());
        for _ in 0..2 {
            ledger.restart();
            learner.step()?;
        }
        let forecast = Forecast::of_ledger(&ledger);
        match self.memory_budget.filter(|&budget| forecast.whole() > budget) {
            None => Ok(forecast),
            Some(budget) => Err(Unsupported::because(format!(
                "a step holds {} at this T and batch, but the memory budget is {}",
                quantity::mib(forecast.whole() as u64),
                quantity::mib(budget as u64)
            ))
            .into()),
        }
    }
}
