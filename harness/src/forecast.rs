//! What a training step will hold: the method's own trainer, run in a plan.
//!
//! A plan has every shape and no numbers, so that a step is told in milliseconds whatever it would take to run it.

use std::rc::Rc;

use candle_core::DType;
use engine::ledger::{Bytes, Category, Phase};
use engine::loss::Loss;
use engine::method::{Batch, Method, RunSpec, Unsupported};
use engine::model::{ModelEntry, ModelSpec, Network};
use engine::optim::{AverageSpec, Clip, OptimSpec};
use engine::param::Params;
use engine::pass::{NormUpdates, Session};
use keys::Key;

use crate::configuration::Configuration;
use crate::{device, quantity};

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
    /// Bytes that a step may hold in all.
    pub(crate) memory_budget: Option<usize>,
}

/// What a training step holds at the moment when it holds most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// By category; of workspace the most that any op asks for, as it is kept.
    held: Bytes,
}

impl Forecast {
    pub(crate) fn of(&self, category: Category) -> usize {
        self.held[category as usize]
    }

    /// All categories, workspace included.
    pub(crate) fn whole(&self) -> usize {
        self.held.iter().sum()
    }
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
            dtype: device::planning().dtype(),
            loss: configuration.loss,
            optimizer: configuration.optimizer,
            clip: configuration.clip,
            average: configuration.average,
            rebuilt_norms: configuration.rebuilt_norms,
            memory_budget: configuration.memory_budget,
        })
    }

    /// The network at T = `steps`, planned.
    pub(crate) fn planned(&self, steps: usize) -> engine::Result<Network> {
        let params = Params::new(Rc::new(Session::plan(self.dtype)), Key::new(0));
        self.entry.network(&ModelSpec { steps, ..self.network.clone() }, params)
    }

    /// The second step of a run at T = `steps`: the first one leaves behind what lives between steps.
    ///
    /// # Errors
    /// When the method can't train the network, or not within the budget, with its reason.
    pub(crate) fn step(&self, method: &dyn Method, steps: usize, batch: usize) -> engine::Result<Forecast> {
        let network = self.planned(steps)?;
        let (rebuilt_norms, memory_budget) = (self.rebuilt_norms, self.memory_budget);
        let run = RunSpec { rebuilt_norms, memory_budget, ..RunSpec::new(steps, self.loss, Key::new(0)) };
        method.supports(&network, &run)?;
        let mut trainer = method.trainer(network, run)?;
        let params = &trainer.network().params;
        let mut average = self.average.map(|spec| spec.build(params, trainer.statistics())).transpose()?;
        let plain = self.optimizer.build(params)?;
        let mut optimizer = match self.clip {
            Some(clip) => clip.before(plain),
            None => plain,
        };
        let (session, batch) = (Rc::clone(trainer.session()), self.batch(trainer.session(), steps, batch)?);
        let ledger = session.ledger();
        for _ in 0..2 {
            ledger.restart();
            trainer.step(&batch, &mut *optimizer)?;
            if let Some(average) = &mut average {
                ledger.enter(Phase::Update);
                average.update(&trainer.network().params, trainer.statistics())?;
                ledger.enter(Phase::Idle);
            }
        }
        let mut held = ledger.peak_of_all().held;
        held[Category::Workspace as usize] = ledger.most(Category::Workspace);
        let forecast = Forecast { held };
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

    /// Images that are shown at every step; two channels are event frames, one a step.
    fn batch(&self, session: &Session, steps: usize, size: usize) -> engine::Result<Batch> {
        let [c, h, w] = self.network.image;
        let frames = if c == 2 { steps } else { 1 };
        let images = session.input(&[frames, size, c, h, w], Vec::new())?;
        Ok(Batch { images, labels: vec![0; size].into() })
    }
}
