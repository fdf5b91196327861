//! Dilated products of spikes at a site (Spike-driven Transformer on events): maxima, so no trace travels through them.

use super::attention::exactly;
use super::pool::only;
use crate::error::Result;
use crate::model::Block;
use crate::ops;
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::{Mix, Unroll};
use crate::value::Value;

/// The maximum over three tokens by three channels of a head: `[T, B, C, H, W]` to the same.
pub struct Dilation {
    /// Where it stands.
    pub site: Site,
    /// Heads; they divide the channels.
    pub heads: usize,
}

/// The sum over tokens of the dilated product of `[k, v]`: `[T, B, C, H, W]` to `[T, B, C, 1, 1]`.
pub struct DilatedTokenDot {
    /// Where it stands.
    pub site: Site,
    /// Heads; they divide the channels.
    pub heads: usize,
}

impl Mix for Dilation {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::dilate(pass, self.site.name(), only(&self.site, inputs)?, self.heads)
    }

    fn is_linear(&self) -> bool {
        false
    }
}

impl Mix for DilatedTokenDot {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::dilated_token_dot(pass, self.site.name(), exactly(&self.site, inputs)?, self.heads)
    }

    fn is_linear(&self) -> bool {
        false
    }

    fn macs(&self, inputs: &[&[usize]]) -> u64 {
        inputs.first().map_or(0, |k| k.iter().product::<usize>() as u64)
    }
}

impl Block for Dilation {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}
