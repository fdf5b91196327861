//! Backpropagation through time over regions that are inverted.

use engine::Result;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::region::Regions;
use engine::run::Run;
use engine::unroll::{Through, TimeGradient};

pub(crate) struct SpatialRev {
    run: Run,
}

impl SpatialRev {
    pub(crate) fn new(network: Network, spec: RunSpec) -> Self {
        Self { run: Run::new(network, spec) }
    }
}

impl Trainer for SpatialRev {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let regions = Regions { coupled: true, ..Regions::default() };
        self.run.through_time(batch, optimizer, &regions, |s| Through::new(s, TimeGradient::Kept))
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, |s| Through::new(s, TimeGradient::Kept))
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}
