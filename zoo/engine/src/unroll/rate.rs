//! Counts spikes on their way.

use super::{Mix, Synapse, Unroll};
use crate::error::Result;
use crate::neuron::Neuron;
use crate::norm::Norm;
use crate::pass::Pass;
use crate::site::Site;
use crate::value::Value;

/// Any unroll, with its spikes counted. Models and methods know nothing of it.
pub struct Rates<'u> {
    inner: &'u mut dyn Unroll,
    spikes: u64,
    neuron_steps: u64,
}

impl<'u> Rates<'u> {
    /// Counts the spikes of `inner` from zero.
    pub fn of(inner: &'u mut dyn Unroll) -> Self {
        Self { inner, spikes: 0, neuron_steps: 0 }
    }

    /// Spikes fired.
    #[must_use]
    pub fn spikes(&self) -> u64 {
        self.spikes
    }

    /// Neurons times steps that could have fired; 0 where nothing spikes.
    #[must_use]
    pub fn neuron_steps(&self) -> u64 {
        self.neuron_steps
    }
}

impl Unroll for Rates<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        self.inner.synapse(pass, site, op, x)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        let spikes = self.inner.fire(pass, site, neuron, current)?;
        if let Some(bits) = spikes.bits() {
            self.spikes += bits.count_ones()?;
            self.neuron_steps += spikes.len() as u64;
        }
        Ok(spikes)
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
