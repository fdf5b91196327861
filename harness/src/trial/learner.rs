//! A network with its trainer and its optimiser, freshly made.

use std::rc::Rc;

use datasets::Loader;
use engine::method::{Batch, Trainer};
use engine::optim::Optimizer;
use engine::pass::Session;

use super::Failure;
use crate::configuration::Configuration;

/// All that a training step needs beside a batch.
pub(super) struct Learner {
    pub(super) session: Rc<Session>,
    pub(super) trainer: Box<dyn Trainer>,
    pub(super) optimizer: Box<dyn Optimizer>,
}

impl Learner {
    /// The trial's network at T = `steps`, at its initial values.
    pub(super) fn new(
        configuration: &Configuration,
        session: Session,
        steps: usize,
    ) -> Result<Self, Failure> {
        let session = Rc::new(session);
        let network = configuration.network(Rc::clone(&session), steps)?;
        let (method, run) = (configuration.method()?, configuration.run_spec(steps));
        method.supports(&network, &run).map_err(engine::Error::from)?;
        let trainer = method.trainer(network, run)?;
        let optimizer = configuration.optimizer.build(&trainer.network().params)?;
        Ok(Self { session, trainer, optimizer })
    }

    /// A host batch on the session's device, as one frame `[1, B, C, H, W]` that is shown at every step.
    pub(super) fn batch(&self, loader: &Loader, batch: datasets::Batch) -> Result<Batch, Failure> {
        let [_, channels, height, width] = loader.shape();
        let shape = [1, batch.labels.len(), channels, height, width];
        Ok(Batch { images: self.session.input(&shape, batch.pixels)?, labels: batch.labels.into() })
    }
}
