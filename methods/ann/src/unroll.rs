//! The plain unroll with rectified units where neurons stand.

use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::pass::Pass;
use engine::site::Site;
use engine::unroll::{Mix, Statistics, Synapse, Through, TimeGradient, Unroll};
use engine::value::Value;
use engine::{Result, ops};

pub(crate) struct Rectified<'s> {
    inner: Through<'s>,
}

impl<'s> Rectified<'s> {
    pub(crate) fn new(statistics: &'s mut Statistics) -> Self {
        Self { inner: Through::new(statistics, TimeGradient::Kept) }
    }
}

impl Unroll for Rectified<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        self.inner.synapse(pass, site, op, x)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, _neuron: &Neuron, current: &Value) -> Result<Value> {
        ops::relu(pass, site.name(), current)
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
