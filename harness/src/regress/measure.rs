//! One training step, measured by the ledger and by the device's allocator.

use std::rc::Rc;

use engine::ledger::{Bytes, Category};
use engine::loss::{Loss, MseTarget};
use engine::method::RunSpec;
use engine::model::{ModelSpec, Network};
use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::{Mode, Pass, Session};
use engine::site::Site;
use engine::tape::Tape;
use engine::unroll::{Mix, Statistics, Synapse, Through, TimeGradient, Unroll};
use engine::value::Value;
use engine::{Result, drive};
use keys::Key;

use super::cells::Group;
use crate::gauge::Gauge;
use crate::noise;

/// Steps before the measured one: scratch, gradients and the optimiser's state are then in place.
const WARM_UP: usize = 2;

/// What one training step held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Largest sum of the categories that the laws are stated on.
    pub in_laws: usize,
    /// The most of each category.
    pub most: Bytes,
    /// Peak of the heap above what was live before the step; `None` where nothing counts, and on an accelerator.
    pub heap: Option<usize>,
    /// Peak of an accelerator's pool above what was in use before the step; `None` on the processor.
    pub pool: Option<usize>,
}

/// A place in a group: T and blocks.
pub type At = (usize, Option<usize>);

/// Measures the step of a group's cell in a session, on the current pool.
///
/// The learning rate is 0: the update runs, and parameters stay at the seed's values, so that a factor of 1/2 is one at
/// every step.
///
/// # Errors
/// When the method refuses the network, or the step fails.
pub fn measure(group: &Group, at: At, session: Session) -> Result<Measured> {
    let method = (group.method.build)(&group.settings.to_engine())?;
    let network = network(group, at, session)?;
    let steps = network.spec.steps;
    let loss = Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 };
    let run = RunSpec::new(steps, loss, Key::new(1).fork("run"));
    method.supports(&network, &run)?;
    let mut trainer = method.trainer(network, run)?;
    let batch = noise::batch_of(trainer.session(), &trainer.network().spec, group.frames, group.batch)?;
    let mut optimizer = OptimSpec::sgd(0.9, 0.0).build(&trainer.network().params)?;
    optimizer.set_learning_rate(0.0);
    for _ in 0..WARM_UP {
        trainer.step(&batch, &mut *optimizer)?;
    }
    let ledger = Rc::clone(trainer.session().ledger());
    ledger.restart();
    let gauge = Gauge::set(trainer.session())?;
    trainer.step(&batch, &mut *optimizer)?;
    let reading = gauge.read()?;
    let (peak, of_pool) = (reading.peak.map(|bytes| bytes as usize), reading.accelerator.is_some());
    let (heap, pool) = if of_pool { (None, peak) } else { (peak, None) };
    let most = Category::ALL.map(|category| ledger.most(category));
    Ok(Measured { in_laws: ledger.peak_in_laws(), most, heap, pool })
}

fn network(group: &Group, (steps, blocks): At, session: Session) -> Result<Network> {
    let spec = ModelSpec { steps, depth: blocks.or(group.spec.depth), ..group.spec.clone() };
    group.model.network(&spec, Params::new(Rc::new(session), Key::new(1).fork("init")))
}

/// Elements of each state that a cell's network carries from step to step, from a forward pass in a plan.
///
/// # Errors
/// When the network can't be built.
pub(super) fn states(group: &Group, at: At, session: Session) -> Result<Vec<usize>> {
    let network = network(group, at, session)?;
    let session = network.params.session();
    let [c, h, w] = network.spec.image;
    let x = session.zeros(Category::Input, &[1, group.batch, c, h, w])?;
    let (tape, mut statistics) = (Tape::off(), Statistics::default());
    let steps = network.spec.steps;
    let pass = Pass::new(session, &network.params, &tape, Mode::Train, steps, Key::new(0));
    let inner = Through::new(&mut statistics, TimeGradient::Kept);
    let mut carried = Carried { inner, first: Vec::new() };
    drive::one_step(&pass.at(0), &mut carried, &network.wiring, &x)?;
    Ok(carried.first)
}

/// An unroll that notes how much is kept for the next step.
struct Carried<'s> {
    inner: Through<'s>,
    first: Vec<usize>,
}

impl Unroll for Carried<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        self.inner.synapse(pass, site, op, x)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        self.inner.fire(pass, site, neuron, current)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        self.inner.norm(pass, site, norm, x)
    }

    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        self.inner.mix(pass, site, op, inputs)
    }

    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        self.inner.carry(pass, site)
    }

    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        self.first.push(value.len());
        self.inner.keep(pass, site, value)
    }
}
