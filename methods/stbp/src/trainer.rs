//! All T steps forward, all T steps back, one update.

use engine::Result;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::region::Regions;
use engine::run::Run;

use crate::settings::Stbp;

pub(crate) struct StbpTrainer {
    method: Stbp,
    run: Run,
}

impl StbpTrainer {
    pub(crate) fn new(method: Stbp, network: Network, spec: RunSpec) -> Self {
        Self { method, run: Run::new(network, spec) }
    }
}

impl Trainer for StbpTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let method = &self.method;
        self.run.through_time(batch, optimizer, &Regions::default(), |s| method.unroll(s))
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        let method = &self.method;
        self.run.evaluate(batch, |s| method.unroll(s))
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}
