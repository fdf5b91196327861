//! What every trainer needs: the network, its running statistics, and how the run is set up.

use std::rc::Rc;

use kernels::{Scalar, elementwise, held};
use keys::Key;

use crate::drive;
use crate::error::{Divergence, Error, Result};
use crate::journal::Noted;
use crate::ledger::{Category, Phase};
use crate::loss::{Decision, Loss, Part, Targets};
use crate::method::{Batch, Outcome, RunSpec};
use crate::model::Network;
use crate::optim::Optimizer;
use crate::param::Params;
use crate::pass::{Mode, Pass, Session};
use crate::region::Regions;
use crate::tape::{Gradients, Tape};
use crate::unroll::{Rates, Statistics, Unroll};
use crate::value::Value;

/// A network being trained.
pub struct Run {
    /// Wiring and parameters.
    pub network: Network,
    /// Running statistics of its norms.
    pub statistics: Statistics,
    /// T, loss and key.
    pub spec: RunSpec,
    iteration: u64,
}

impl Run {
    /// A run at its first iteration.
    #[must_use]
    pub fn new(network: Network, spec: RunSpec) -> Self {
        Self { network, statistics: Statistics::default(), spec, iteration: 0 }
    }

    /// Its session.
    #[must_use]
    pub fn session(&self) -> Rc<Session> {
        Rc::clone(self.network.params.session())
    }

    /// Begins an iteration: clears gradients, enters the forward phase, and returns this iteration's key.
    pub fn begin(&mut self) -> Key {
        self.network.params.clear_gradients();
        self.session().ledger().enter(Phase::Forward);
        let key = self.spec.key.fork("iteration").index(self.iteration);
        self.iteration += 1;
        key
    }

    /// Number of the iteration that began last, from 0.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.iteration.saturating_sub(1)
    }

    /// Reads what the step found, updates the parameters and leaves the step.
    ///
    /// # Errors
    /// When the loss is not finite, a gradient is not and the loss scale can't be smaller, a stream has left its range, or a
    /// kernel fails.
    pub fn update(&self, found: &Found, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        update(&self.network.params, self.step(), found, optimizer)
    }

    /// Reads what a step found that has updated already, and leaves it.
    ///
    /// # Errors
    /// When the loss is not finite, or a stream has left its range.
    pub fn finish(&self, found: &Found) -> Result<Outcome> {
        self.session().ledger().enter(Phase::Idle);
        checked(&self.session(), self.step(), found)
    }

    /// One training step that takes all T steps forward, then all backward, then updates once.
    ///
    /// # Errors
    /// When the loss is not finite, or a kernel fails.
    pub fn through_time<'s, U: Unroll + 's>(
        &'s mut self,
        batch: &Batch,
        optimizer: &mut dyn Optimizer,
        regions: &Regions,
        unroll: impl FnOnce(&'s mut Statistics) -> U,
    ) -> Result<Outcome> {
        let key = self.begin();
        let (session, step) = (self.session(), self.step());
        let Self { network, statistics, spec, .. } = self;
        let tape = session.tape();
        let pass = Pass::new(&session, &network.params, &tape, Mode::Train, spec.steps, key)
            .with_rebuilt_norms(spec.rebuilt_norms)
            .with_gradient_tiles(spec.gradient_tiles)
            .with_regions(regions);
        let mut unroll = unroll(statistics);
        let images = input(&tape, &session, &batch.images);
        let scores = drive::all_steps(&pass, &mut unroll, &network.wiring, &images)?;
        let (found, seed) = score(&pass, &spec.loss, &scores, &batch.labels)?;
        session.ledger().enter(Phase::Backward);
        let gradients = tape.backward(&pass, &mut unroll, [(scores, seed)])?;
        note_input_gradient(&session, gradients, &images)?;
        update(&network.params, step, &found, optimizer)
    }

    /// One batch in evaluation mode through the given unroll, tape off, spikes counted.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn evaluate<'s, U: Unroll + 's>(
        &'s mut self,
        batch: &Batch,
        unroll: impl FnOnce(&'s mut Statistics) -> U,
    ) -> Result<Outcome> {
        let session = self.session();
        session.ledger().enter(Phase::Evaluation);
        let tape = Tape::off();
        let spec = &self.spec;
        let pass = Pass::new(&session, &self.network.params, &tape, Mode::Eval, spec.steps, spec.key);
        let mut unroll = unroll(&mut self.statistics);
        let mut rates = Rates::of(&mut unroll);
        let scores = drive::all_steps(&pass, &mut rates, &self.network.wiring, &batch.images)?;
        let (spikes, neuron_steps) = (rates.spikes(), rates.neuron_steps());
        let (found, _) = score(&pass, &spec.loss, &scores, &batch.labels)?;
        session.ledger().enter(Phase::Idle);
        let outcome = found.read()?;
        session.make_up()?;
        Ok(Outcome { spikes, neuron_steps, ..outcome })
    }
}

/// The batch's images: a leaf of the tape in a watched session, whose journal takes its gradient, else as they are.
#[must_use]
pub fn input(tape: &Tape, session: &Session, images: &Value) -> Value {
    if session.is_watched() { tape.leaf(images) } else { images.clone() }
}

/// Adds the gradient of an [`input`] to the journal.
///
/// # Errors
/// When the gradient can't be read.
pub fn note_input_gradient(session: &Session, mut gradients: Gradients, images: &Value) -> Result<()> {
    match gradients.take(images) {
        Some(gradient) => session.note(|journal| journal.add_input_gradient(&gradient, session)),
        None => Ok(()),
    }
}

fn update(params: &Params, step: u64, found: &Found, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
    let ledger = params.session().ledger();
    ledger.enter(Phase::Update);
    // Where the scale has to know whether gradients are finite, what the step found is read with that.
    let fits = params.session().loss_scale().take_off(params, step)?;
    let outcome = checked(params.session(), step, found)?;
    if fits {
        optimizer.update(params)?;
    }
    ledger.enter(Phase::Idle);
    Ok(outcome)
}

/// What a step found, once it was read: streams kept their range and the loss is finite.
fn checked(session: &Session, step: u64, found: &Found) -> Result<Outcome> {
    let outcome = found.read()?;
    session.make_up()?;
    let what = Divergence::Loss(outcome.loss);
    if outcome.loss.is_finite() { Ok(outcome) } else { Err(Error::Diverged { what, step }) }
}

/// What a step found: the parts of its loss in their order, and how many samples are right. On a device none of it is read
/// before the step ends.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Sum of the parts that were at hand.
    loss: f64,
    /// Parts that are not, behind those that were.
    open: Vec<Part>,
    /// The last part.
    last: Option<Part>,
    correct: Option<Scalar>,
    samples: usize,
}

impl Found {
    /// Nothing yet, of so many samples.
    #[must_use]
    pub fn of(samples: usize) -> Self {
        Self { samples, ..Self::default() }
    }

    /// The next part of the loss.
    pub fn add(&mut self, part: Part) {
        match part.at_hand() {
            Some(value) if self.open.is_empty() => self.loss += value,
            _ => self.open.push(part.clone()),
        }
        self.last = Some(part);
    }

    /// How many samples are right.
    pub fn decide(&mut self, correct: Option<Scalar>) {
        self.correct = correct;
    }

    /// Reads all of it, with whatever else stands open.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read(&self) -> Result<Outcome> {
        let mut loss = self.loss;
        // What was at hand on a processor would have to be read on a device.
        if let Some(last) = &self.last {
            last.read()?;
        }
        for part in &self.open {
            loss += part.read()?;
        }
        let correct = self.correct.as_ref().map(Scalar::read).transpose()?.unwrap_or(0.0);
        Ok(Outcome { loss, correct: correct as usize, samples: self.samples, ..Outcome::default() })
    }
}

/// Scores on which the decision falls, one step after another: their sum over steps or those of the last one,
/// `[B, classes]`, whatever T.
pub struct Total {
    sum: Option<Value>,
    decision: Decision,
}

impl Total {
    /// Nothing yet; the loss says what decides.
    #[must_use]
    pub fn of(loss: &Loss) -> Self {
        Self { sum: None, decision: loss.decision() }
    }

    /// Adds the scores `[1, B, classes]` of a step.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn add(&mut self, pass: &Pass<'_>, scores: &Value) -> Result<()> {
        let sum = match self.sum.take() {
            Some(sum) => sum,
            None => {
                let session = pass.session();
                let zeros = session.zeros_in(session.real(), Category::Passing, scores.shape())?;
                pass.prepared(&zeros);
                zeros
            }
        };
        if let (Ok(into), Ok(from)) = (sum.tensor(), scores.tensor()) {
            match self.decision {
                Decision::Sum => elementwise::add_assign(into, from, 1.0)?,
                Decision::LastStep => elementwise::copy(into, from)?,
            }
        }
        self.sum = Some(sum);
        Ok(())
    }

    /// How many rows are largest at their class; nothing in a plan.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn hits(&self, labels: &Targets) -> Result<Option<Scalar>> {
        match self.sum.as_ref().map(Value::tensor) {
            Some(Ok(sum)) => Ok(Some(hits(&sum.get(0)?, labels)?)),
            _ => Ok(None),
        }
    }

    /// The part of the loss of one step and the seed gradient of its scores `[1, B, classes]`.
    ///
    /// # Errors
    /// When a kernel fails, or the loss needs scores that were not added yet.
    pub fn score_step(
        &self,
        pass: &Pass<'_>,
        loss: &Loss,
        scores: &Value,
        labels: &Targets,
    ) -> Result<(Part, Value)> {
        let step = pass.step().unwrap_or(0);
        let mut part = Part::default();
        let seed = pass.session().dense(Category::ActivationGradients, scores.shape(), || {
            let total = match self.sum.as_ref() {
                Some(sum) => Some(sum.tensor()?.get(0)?),
                None => None,
            };
            let at = scores.tensor()?.get(0)?;
            let (value, gradient) = loss.step((step, pass.steps()), &at, total.as_ref(), labels)?;
            part = value;
            seeded(pass, gradient, scores)
        })?;
        note_scores(pass, scores, || part.read())?;
        Ok((part, seed))
    }
}

/// What is found of scores, and their seed gradient: scores `[T, B, classes]` of all steps.
///
/// # Errors
/// When the labels do not fit.
pub fn score(pass: &Pass<'_>, loss: &Loss, scores: &Value, labels: &Targets) -> Result<(Found, Value)> {
    let mut found = Found::of(scores.batch());
    let seed = pass.session().dense(Category::ActivationGradients, scores.shape(), || {
        let tensor = if scores.dtype() == pass.session().real() {
            scores.tensor()?.clone()
        } else {
            held::cast(scores.tensor()?, pass.session().real())?
        };
        let (steps, batch, classes) = tensor.dims3()?;
        let total = elementwise::sum_steps(&tensor, steps)?.reshape((batch, classes))?;
        found.decide(Some(match loss.decision() {
            Decision::Sum => hits(&total, labels)?,
            Decision::LastStep => hits(&tensor.get(steps - 1)?, labels)?,
        }));
        let mut gradients = Vec::with_capacity(steps);
        for step in 0..steps {
            let at = tensor.get(step)?;
            let (part, gradient) = loss.step((step, steps), &at, Some(&total), labels)?;
            found.add(part);
            gradients.push(gradient);
        }
        seeded(pass, candle_core::Tensor::stack(&gradients, 0)?, scores)
    })?;
    note_scores(pass, scores, || Ok(found.read()?.loss))?;
    Ok((found, seed))
}

/// The gradient of scores, scaled, in their own type: a loss is computed in the one that is summed in.
fn seeded(pass: &Pass<'_>, gradient: candle_core::Tensor, scores: &Value) -> Result<candle_core::Tensor> {
    pass.session().loss_scale().put_on(&gradient)?;
    if gradient.dtype() == scores.dtype() { Ok(gradient) } else { Ok(held::cast(&gradient, scores.dtype())?) }
}

/// A journal reads the loss at once; no one else does here.
fn note_scores(pass: &Pass<'_>, scores: &Value, loss: impl FnOnce() -> Result<f64>) -> Result<()> {
    pass.session().note(|journal| {
        journal.scores.push(Noted { step: pass.step(), values: scores.tensor()?.copy()? });
        journal.losses.push(loss()?);
        Ok(())
    })
}

/// How many rows of `[B, classes]` are largest at their class; of a mixed label, at the class with the larger share.
///
/// # Errors
/// When a kernel fails.
pub fn hits(scores: &candle_core::Tensor, labels: &Targets) -> Result<Scalar> {
    Ok(kernels::loss::hits(scores, &labels.best().collect::<Vec<_>>())?)
}
