//! Writes down what a network is made of, call by call.

use super::{Mix, Synapse, Unroll};
use crate::error::Result;
use crate::neuron::Neuron;
use crate::norm::Norm;
use crate::param::ParamId;
use crate::pass::Pass;
use crate::site::Site;
use crate::value::Value;

/// One call of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Where.
    pub site: Site,
    /// Shape of the first input, `[T or 1, B, ...]`.
    pub input: Vec<usize>,
    /// Shape of the output, `[T or 1, B, ...]`.
    pub output: Vec<usize>,
    /// The parameters it applied.
    pub params: Vec<ParamId>,
    /// Multiply-accumulates of a dense evaluation, over all steps and images of the call.
    pub macs: u64,
    /// Neurons of one image, where neurons stand.
    pub neurons: usize,
}

/// Any unroll, with its calls written down. In a plan it costs nothing.
pub struct Survey<'u> {
    inner: &'u mut dyn Unroll,
    calls: Vec<Surveyed>,
}

impl<'u> Survey<'u> {
    /// Writes down the calls of `inner`.
    pub fn of(inner: &'u mut dyn Unroll) -> Self {
        Self { inner, calls: Vec::new() }
    }

    /// The calls so far, in order.
    #[must_use]
    pub fn calls(&self) -> &[Surveyed] {
        &self.calls
    }

    /// The calls, in order.
    #[must_use]
    pub fn into_calls(self) -> Vec<Surveyed> {
        self.calls
    }

    fn note(&mut self, site: &Site, x: &Value, y: &Value, params: Vec<ParamId>, macs: u64, neurons: usize) {
        let (input, output) = (x.shape().to_vec(), y.shape().to_vec());
        self.calls.push(Surveyed { site: site.clone(), input, output, params, macs, neurons });
    }
}

impl Unroll for Survey<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        let y = self.inner.synapse(pass, site, op, x)?;
        let macs = op.macs_per_output(pass.params()) * y.len() as u64;
        self.note(site, x, &y, op.params(), macs, 0);
        Ok(y)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        let y = self.inner.fire(pass, site, neuron, current)?;
        let neurons = y.len() / (y.steps() * y.batch());
        self.note(site, current, &y, Vec::new(), 0, neurons);
        Ok(y)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        let y = self.inner.norm(pass, site, norm, x)?;
        self.note(site, x, &y, vec![norm.gamma, norm.beta], 0, 0);
        Ok(y)
    }

    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        let y = self.inner.mix(pass, site, op, inputs)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        if let Some(first) = inputs.first() {
            self.note(site, first, &y, Vec::new(), op.macs(&shapes), 0);
        }
        Ok(y)
    }

    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        self.inner.carry(pass, site)
    }

    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        self.inner.keep(pass, site, value)
    }
}
