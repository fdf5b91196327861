//! The same gradients with less kept: a trainer that chooses what it rebuilds before its first step.

use engine::Result;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::region::Regions;
use engine::rehearsal::Rehearsal;
use engine::run::Run;
use engine::unroll::{Statistics, Through, TimeGradient};

/// Chooses what to rebuild: the least memory, or the least work within so many bytes.
pub(crate) type Choose = fn(&mut Rehearsal, Option<usize>) -> Result<Regions>;

pub(crate) struct SparingTrainer {
    run: Run,
    choose: Choose,
    /// For batches of this shape.
    chosen: Option<(Vec<usize>, Regions)>,
}

impl SparingTrainer {
    pub(crate) fn new(network: Network, spec: RunSpec, choose: Choose) -> Self {
        Self { run: Run::new(network, spec), choose, chosen: None }
    }
}

/// The unroll of all of it: nothing is cut.
pub(crate) fn unroll(statistics: &mut Statistics) -> Through<'_> {
    Through::new(statistics, TimeGradient::Kept)
}

impl Trainer for SparingTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let shape = batch.images.shape();
        let regions = match self.chosen.take() {
            Some((known, regions)) if known == shape => regions,
            _ => (self.choose)(&mut Rehearsal::of(&self.run, batch)?, self.run.spec.memory_budget)?,
        };
        let outcome = self.run.through_time(batch, optimizer, &regions, unroll);
        self.chosen = Some((shape.to_vec(), regions));
        outcome
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, unroll)
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

/// The refusal where no choice fits.
pub(crate) fn too_tight(method: &str, least: usize, budget: usize) -> engine::Error {
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let reason = format!(
        "{method} holds at least {:.1} MiB at this T and batch, but the memory budget is {:.1} MiB",
        mib(least),
        mib(budget)
    );
    engine::method::Unsupported::because(reason).into()
}
