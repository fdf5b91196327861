//! Every step on its own: a membrane is forgotten before the next current comes.
//!
//! `u_t = gain * I_t` with the gain that the neuron has, `s_t = 1[u_t >= threshold]`. What is left of time is that scores of steps are averaged. Beside exact
//! training and training with the gradient cut in time, its accuracy tells whether a data set needs time at all
//! (the probe of NeuroSeqBench, arXiv 2505.22035: full, spatial alone, no time).

use engine::Result;
use engine::method::{Batch, Method, Outcome, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::optim::Optimizer;
use engine::pass::Pass;
use engine::region::Regions;
use engine::run::Run;
use engine::site::Site;
use engine::unroll::{Mix, Statistics, Synapse, Through, TimeGradient, Unroll};
use engine::value::Value;

/// Trains and judges without any memory from step to step.
pub(crate) struct Memoryless;

impl Method for Memoryless {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match network.wiring {
            Wiring::Sequence(_) => Ok(()),
            Wiring::Recurrent(_) | Wiring::Levels(_) => Err(Unsupported::because(format!(
                "{} hands values on to the next time step, and without memory none is kept",
                network.id
            ))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(MemorylessTrainer { run: Run::new(network, run) }))
    }
}

struct MemorylessTrainer {
    run: Run,
}

impl Trainer for MemorylessTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        self.run.through_time(batch, optimizer, &Regions::default(), Forgetting::new)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, Forgetting::new)
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

/// The plain unroll with every leak at zero: nothing of a membrane reaches the next step.
struct Forgetting<'s> {
    inner: Through<'s>,
}

impl<'s> Forgetting<'s> {
    fn new(statistics: &'s mut Statistics) -> Self {
        Self { inner: Through::new(statistics, TimeGradient::Kept) }
    }
}

impl Unroll for Forgetting<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        self.inner.synapse(pass, site, op, x)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        self.inner.fire(pass, site, &neuron.forgetting(), current)
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
        self.inner.keep(pass, site, value)
    }
}
