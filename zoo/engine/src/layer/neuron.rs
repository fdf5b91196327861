//! Neurons at a site.

use crate::error::Result;
use crate::model::Block;
use crate::neuron::Neuron;
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::Unroll;
use crate::value::Value;

/// A layer of neurons: currents in, spikes out, same shape.
pub struct Spiking {
    /// Where it stands.
    pub site: Site,
    /// Which neuron.
    pub neuron: Neuron,
}

impl Block for Spiking {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.fire(pass, &self.site, &self.neuron, x)
    }
}
