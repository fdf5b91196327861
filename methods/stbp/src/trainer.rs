//! All T steps forward, all T steps back, one update.

use engine::Result;
use engine::drive::Regions;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::run::Run;
use engine::unroll::{Statistics, Through, TimeGradient};

pub(crate) struct Stbp {
    run: Run,
}

impl Stbp {
    pub(crate) fn new(network: Network, spec: RunSpec) -> Self {
        Self { run: Run::new(network, spec) }
    }
}

impl Trainer for Stbp {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        self.run.through_time(batch, optimizer, Regions::default(), |s| Through::new(s, TimeGradient::Kept))
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, |s| Through::new(s, TimeGradient::Kept))
    }

    fn network(&self) -> &Network {
        &self.run.network
    }

    fn statistics(&self) -> &Statistics {
        &self.run.statistics
    }
}
