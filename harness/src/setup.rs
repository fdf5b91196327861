//! A training step beside any campaign: a network of the zoo, a method, an optimiser, and a batch of noise.
//!
//! A plan and a measurement begin here alike, so that one can judge the other.

use std::rc::Rc;

use candle_core::DType;
use engine::ledger::Phase;
use engine::loss::Loss;
use engine::method::{Batch, Method, RunSpec, Trainer};
use engine::model::{ModelEntry, ModelSpec, Network};
use engine::optim::{Average, AverageSpec, Clip, OptimSpec, Optimizer};
use engine::param::Params;
use engine::pass::{NormUpdates, Session, Tiles};
use keys::Key;

use crate::configuration::Configuration;
use crate::noise;

/// All that decides the bytes of a step, but for method, T and batch.
pub(crate) struct Setup {
    pub(crate) entry: &'static ModelEntry,
    pub(crate) network: ModelSpec,
    pub(crate) dtype: DType,
    pub(crate) loss: Loss,
    pub(crate) optimizer: OptimSpec,
    pub(crate) clip: Option<Clip>,
    pub(crate) average: Option<AverageSpec>,
    pub(crate) rebuilt_norms: NormUpdates,
    pub(crate) gradient_tiles: Tiles,
    /// Bytes that a step may hold in all.
    pub(crate) memory_budget: Option<usize>,
}

/// A network in the hands of a method, with all that a training step needs.
pub(crate) struct Learner {
    pub(crate) trainer: Box<dyn Trainer>,
    optimizer: Box<dyn Optimizer>,
    average: Option<Average>,
    pub(crate) batch: Batch,
}

impl Setup {
    /// That of a trial.
    ///
    /// # Errors
    /// When there is no such model.
    pub(crate) fn of(configuration: &Configuration) -> crate::Result<Self> {
        Ok(Self {
            entry: configuration.model()?,
            network: configuration.network.clone(),
            dtype: configuration.dtype.dtype(),
            loss: configuration.loss,
            optimizer: configuration.optimizer,
            clip: configuration.clip,
            average: configuration.average,
            rebuilt_norms: configuration.rebuilt_norms,
            gradient_tiles: configuration.gradient_tiles,
            memory_budget: configuration.memory_budget,
        })
    }

    /// The network at T = `steps` in a session.
    pub(crate) fn network(&self, session: Session, steps: usize) -> engine::Result<Network> {
        let params = Params::new(Rc::new(session), Key::new(1).fork("init"));
        self.entry.network(&ModelSpec { steps, ..self.network.clone() }, params)
    }

    /// A learner that has taken no step, at T = `steps` with `samples` in its batch.
    ///
    /// The learning rate is 0: the update runs, and each step is like the one before it.
    ///
    /// # Errors
    /// When the method can't train the network, with its reason.
    pub(crate) fn learner(
        &self,
        session: Session,
        method: &dyn Method,
        steps: usize,
        samples: usize,
    ) -> engine::Result<Learner> {
        let network = self.network(session, steps)?;
        let key = Key::new(1).fork("run");
        let (rebuilt_norms, gradient_tiles) = (self.rebuilt_norms, self.gradient_tiles);
        let memory_budget = self.memory_budget;
        let run =
            RunSpec { rebuilt_norms, gradient_tiles, memory_budget, ..RunSpec::new(steps, self.loss, key) };
        method.supports(&network, &run)?;
        let trainer = method.trainer(network, run)?;
        let params = &trainer.network().params;
        let average = self.average.map(|spec| spec.build(params, trainer.statistics())).transpose()?;
        let plain = self.optimizer.build(params)?;
        let mut optimizer = match self.clip {
            Some(clip) => clip.before(plain),
            None => plain,
        };
        optimizer.set_learning_rate(0.0);
        let batch = self.batch(trainer.session(), steps, samples)?;
        Ok(Learner { trainer, optimizer, average, batch })
    }

    /// White noise with classes in turn. One image is shown at every step; two channels are event frames, one a step.
    fn batch(&self, session: &Session, steps: usize, samples: usize) -> engine::Result<Batch> {
        noise::batch(session, &ModelSpec { steps, ..self.network.clone() }, samples)
    }
}

impl Learner {
    /// One training step, and the average's step after it.
    pub(crate) fn step(&mut self) -> engine::Result<()> {
        self.trainer.step(&self.batch, &mut *self.optimizer)?;
        if let Some(average) = &mut self.average {
            let ledger = self.trainer.session().ledger();
            ledger.enter(Phase::Update);
            average.update(&self.trainer.network().params, self.trainer.statistics())?;
            ledger.enter(Phase::Idle);
        }
        Ok(())
    }
}
