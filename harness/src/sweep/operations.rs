//! Counts operations on their way: dense ones where numbers meet weights, accumulates where spikes do.

use engine::Result;
use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::pass::Pass;
use engine::site::Site;
use engine::unroll::{Mix, Synapse, Unroll};
use engine::value::Value;

/// Operations of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    /// Multiply-accumulates with every input dense.
    pub(super) dense: f64,
    /// Multiply-accumulates where the input is no spike.
    pub(super) macs: f64,
    /// Accumulates caused by a spike: those of a dense input times the share of inputs that spiked.
    pub(super) acs: f64,
}

impl Count {
    fn add(&mut self, dense: u64, inputs: &[&Value]) -> Result<()> {
        let dense = dense as f64;
        self.dense += dense;
        match inputs.iter().find_map(|input| Some((input.bits()?, input.len()))) {
            Some((bits, len)) => self.acs += dense * bits.count_ones()? as f64 / len.max(1) as f64,
            None => self.macs += dense,
        }
        Ok(())
    }
}

/// Any unroll, with its operations counted. A value that is constant in time meets weights once.
pub(super) struct Counting<'c, U> {
    pub(super) inner: U,
    pub(super) count: &'c mut Count,
}

impl<U: Unroll> Unroll for Counting<'_, U> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        let y = self.inner.synapse(pass, site, op, x)?;
        self.count.add(op.macs_per_output(pass.params()) * y.len() as u64, &[x])?;
        Ok(y)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        self.inner.fire(pass, site, neuron, current)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        self.inner.norm(pass, site, norm, x)
    }

    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        let y = self.inner.mix(pass, site, op, inputs)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        self.count.add(op.macs(&shapes), inputs)?;
        Ok(y)
    }

    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        self.inner.carry(pass, site)
    }

    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        self.inner.keep(pass, site, value)
    }
}
