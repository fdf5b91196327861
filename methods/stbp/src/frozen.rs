//! Random features and a trained read-out.

use engine::Result;
use engine::method::{Batch, Method, Outcome, RunSpec, Trainer, Unsupported};
use engine::model::Network;
use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::optim::Optimizer;
use engine::pass::Pass;
use engine::region::Regions;
use engine::run::Run;
use engine::site::{Role, Site};
use engine::tape::Tape;
use engine::unroll::{Mix, Statistics, Synapse, Through, TimeGradient, Unroll};
use engine::value::Value;

/// Trains the read-out alone.
pub(crate) struct Frozen;

impl Method for Frozen {
    fn supports(&self, _network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(FrozenTrainer { run: Run::new(network, run) }))
    }
}

struct FrozenTrainer {
    run: Run,
}

impl Trainer for FrozenTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        self.run.through_time(batch, optimizer, &Regions::default(), ReadoutOnly::new)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, ReadoutOnly::new)
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

/// The plain unroll with the tape off until a read-out is reached: on from there, wherever its output goes.
struct ReadoutOnly<'s> {
    inner: Through<'s>,
    off: Tape,
    /// Whether the last weights were a read-out's: what follows them may be behind it.
    reached: bool,
}

impl<'s> ReadoutOnly<'s> {
    fn new(statistics: &'s mut Statistics) -> Self {
        Self { inner: Through::new(statistics, TimeGradient::Cut), off: Tape::off(), reached: false }
    }

    /// The pass with its tape where an input comes from a read-out, else without.
    fn behind<'p>(off: &'p Tape, reached: bool, pass: &Pass<'p>, inputs: &[&Value]) -> Pass<'p> {
        let tracked = inputs.iter().any(|input| pass.tape().tracks(input));
        if reached && tracked { pass.clone() } else { pass.on(off) }
    }
}

impl Unroll for ReadoutOnly<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        if site.role() != Role::Readout {
            self.reached = false;
            return self.inner.synapse(&pass.on(&self.off), site, op, x);
        }
        // A model's own sums and gains are on the tape; nothing flows back to them.
        let x = if self.reached { x.clone() } else { x.detached() };
        self.reached = true;
        self.inner.synapse(pass, site, op, &x)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        self.inner.fire(&Self::behind(&self.off, self.reached, pass, &[current]), site, neuron, current)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        self.inner.norm(&Self::behind(&self.off, self.reached, pass, &[x]), site, norm, x)
    }

    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        self.inner.mix(&Self::behind(&self.off, self.reached, pass, inputs), site, op, inputs)
    }

    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        self.inner.carry(pass, site)
    }

    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        self.inner.keep(pass, site, value)
    }
}
