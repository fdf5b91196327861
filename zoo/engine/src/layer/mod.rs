//! Layers: parameters at sites, and the builder that hands both out.

mod attention;
mod builder;
mod conv;
mod dilated;
mod linear;
mod neuron;
mod norm;
mod pool;
mod scale;

pub use attention::{Attention, ChannelMask, TokenDot};
pub use builder::{Builder, Start};
pub use conv::{Conv, Standardised};
pub use dilated::{DilatedTokenDot, Dilation};
pub use linear::Linear;
pub use neuron::Spiking;
pub use norm::BatchNorm;
pub use pool::{Flatten, GlobalAverage, Pool};
pub use scale::{AdaptiveAverage, Dropout, Scale, Sum, Upsample};

use crate::error::Result;
use crate::model::Block;
use crate::pass::Pass;
use crate::unroll::Unroll;
use crate::value::Value;

/// Blocks one after another.
pub struct Chain(pub Vec<Box<dyn Block>>);

impl Block for Chain {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let mut x = x.clone();
        for block in &self.0 {
            x = block.forward(pass, port, &x)?;
        }
        Ok(x)
    }
}
