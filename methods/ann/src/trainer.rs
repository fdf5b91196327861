//! One pass forward, one back, one update.

use engine::Result;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::region::Regions;
use engine::run::Run;

use crate::unroll::Rectified;

pub(crate) struct Ann {
    run: Run,
}

impl Ann {
    pub(crate) fn new(network: Network, spec: RunSpec) -> Self {
        Self { run: Run::new(network, spec) }
    }
}

impl Trainer for Ann {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        self.run.through_time(batch, optimizer, &Regions::default(), Rectified::new)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, Rectified::new)
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}
