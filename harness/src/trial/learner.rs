//! A network with its trainer, its optimiser and the average of its parameters, freshly made.

use std::path::Path;
use std::rc::Rc;

use datasets::augment::mix::Mixed;
use engine::ledger::Phase;
use engine::loss::Targets;
use engine::method::{Batch, Method, Outcome, Trainer};
use engine::optim::{Average, Optimizer};
use engine::pass::Session;

use super::Failure;
use crate::configuration::Configuration;
use crate::source::Feed;
use crate::weights::WeightsFile;

/// All that a training step needs beside a batch.
pub(super) struct Learner {
    pub(super) session: Rc<Session>,
    pub(super) trainer: Box<dyn Trainer>,
    pub(super) optimizer: Box<dyn Optimizer>,
    /// Moved after each step, once a batch even where a method updates at every time step.
    average: Option<Average>,
}

impl Learner {
    /// The trial's network at T = `steps`, at its initial values or at those of a file.
    pub(super) fn new(
        configuration: &Configuration,
        session: Session,
        steps: usize,
        weights: Option<&Path>,
    ) -> Result<Self, Failure> {
        let trainer = trainer(configuration, &*configuration.method()?, session, steps, weights)?;
        let session = Rc::clone(trainer.session());
        let params = &trainer.network().params;
        let average = configuration.average;
        let average = average.map(|spec| spec.build(params, trainer.statistics())).transpose()?;
        let plain = configuration.optimizer.build(params)?;
        let optimizer = match configuration.clip {
            Some(clip) => clip.before(plain),
            None => plain,
        };
        Ok(Self { session, trainer, optimizer, average })
    }

    /// One training step, and the average's step after it.
    pub(super) fn step(&mut self, batch: &Batch) -> Result<Outcome, Failure> {
        let outcome = self.trainer.step(batch, &mut *self.optimizer)?;
        if let Some(average) = &mut self.average {
            let ledger = self.session.ledger();
            ledger.enter(Phase::Update);
            average.update(&self.trainer.network().params, self.trainer.statistics())?;
            ledger.enter(Phase::Idle);
        }
        Ok(outcome)
    }

    /// What `judge` finds with the averaged parameters and statistics in place of the trained ones; nothing where no
    /// average is kept.
    pub(super) fn averaged<T>(
        &mut self,
        judge: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        if self.average.is_none() {
            return Ok(None);
        }
        self.exchange()?;
        let found = judge(self);
        self.exchange()?;
        found.map(Some)
    }

    fn exchange(&mut self) -> Result<(), Failure> {
        if let Some(average) = &mut self.average {
            average.exchange(&self.trainer.network().params, self.trainer.statistics())?;
        }
        Ok(())
    }

    /// A host batch on the session's device.
    pub(super) fn batch(&self, loader: &Feed, batch: datasets::Batch) -> Result<Batch, Failure> {
        to_device(&self.session, loader, batch)
    }
}

/// The trial's network at T = `steps`, at its initial values or at those of a file, in the hands of a method: the trial's
/// own or the exact one.
pub(super) fn trainer(
    configuration: &Configuration,
    method: &dyn Method,
    session: Session,
    steps: usize,
    weights: Option<&Path>,
) -> Result<Box<dyn Trainer>, Failure> {
    let network = configuration.network(Rc::new(session), steps)?;
    let run = configuration.run_spec(steps);
    method.supports(&network, &run).map_err(engine::Error::from)?;
    let mut trainer = method.trainer(network, run)?;
    if let Some((path, sha256)) = weights.zip(configuration.weights.as_deref()) {
        WeightsFile::read_again(path, sha256)?.load(trainer.run_mut())?;
    }
    Ok(trainer)
}

/// A host batch on the session's device: one frame `[1, B, C, H, W]` that is shown at every step, or one a step.
pub(super) fn to_device(session: &Session, loader: &Feed, batch: datasets::Batch) -> Result<Batch, Failure> {
    let shape = loader.shape(batch.labels.len());
    let images = session.input(&shape, batch.pixels)?;
    Ok(Batch { images, labels: targets(batch.labels, batch.mixed)? })
}

/// One class a sample, or two where the batch was mixed.
fn targets(labels: Vec<u32>, mixed: Option<Mixed>) -> engine::Result<Targets> {
    match mixed {
        None => Ok(labels.into()),
        Some(Mixed { partners, shares }) => Targets::mixed(labels, partners, shares),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use engine::loss::Loss;

    use super::*;

    /// Loss and gradient of targets that timm 0.6.12 mixed and smoothed (`datasets/tests/goldens/mix.py`).
    #[test]
    fn the_loss_of_mixed_targets_is_that_of_timms() {
        const CLASSES: usize = 6;
        let numbers =
            |line: &str| line.split(' ').skip(1).map(|word| word.parse().unwrap()).collect::<Vec<f64>>();
        let scores: Vec<f64> = (0..4 * CLASSES).map(|at| (at * at * 29 % 53) as f64 / 20.0 - 1.2).collect();
        let scores = Tensor::from_vec(scores, (4, CLASSES), &Device::Cpu).unwrap();
        let golden = include_str!("../../../datasets/tests/goldens/mix.txt");
        let mut cases = 0;
        for case in golden.split("\n\n").filter(|case| !case.is_empty()) {
            let line = |name| numbers(case.lines().find(|line| line.starts_with(name)).unwrap());
            let mixed = Mixed { partners: vec![5, 2, 0, 4], shares: vec![line("share")[0]; 4] };
            let targets = targets(vec![4, 0, 2, 5], Some(mixed)).unwrap();
            let loss = Loss::MeanScores { smoothing: 0.1 };
            let (found, gradient) = loss.step((0, 1), &scores, Some(&scores), &targets).unwrap();
            let found = found.read().unwrap();
            // timm keeps targets and scores in single precision.
            assert!((found - line("loss")[0]).abs() < 1e-6, "{found} {case}");
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (found, expected) in gradient.into_iter().zip(line("gradient")) {
                assert!((found - expected).abs() < 1e-7, "{found} {expected}");
            }
            cases += 1;
        }
        assert_eq!(cases, 8);
    }
}
