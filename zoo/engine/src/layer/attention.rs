//! Products of activations at a site: not linear in their inputs together, so no trace travels through them.

use crate::error::{Error, Result};
use crate::ops;
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::Mix;
use crate::value::Value;

/// Spiking self-attention of `[q, k, v]`, `scale * (q k^T) v` inside each head (Spikformer, Zhou et al. 2023).
pub struct Attention {
    /// Where it stands.
    pub site: Site,
    /// Heads; they divide the channels.
    pub heads: usize,
    /// The constant factor.
    pub scale: f64,
}

/// The sum over tokens of `[k, v]`: `[T, B, C, H, W]` to `[T, B, C, 1, 1]` (Spike-driven Transformer, Yao et al. 2023).
pub struct TokenDot {
    /// Where it stands.
    pub site: Site,
}

/// Channels of `[q, s]`, `q` kept where `s` `[T, B, C, 1, 1]` has a spike (Spike-driven Transformer).
pub struct ChannelMask {
    /// Where it stands.
    pub site: Site,
}

impl Mix for Attention {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        let qkv = exactly::<3>(&self.site, inputs)?;
        ops::attention(pass, self.site.name(), qkv, self.heads, self.scale)
    }

    fn is_linear(&self) -> bool {
        false
    }

    /// Every token with every token, channel by channel, and the other way.
    fn macs(&self, inputs: &[&[usize]]) -> u64 {
        2 * elements(inputs) * tokens(inputs)
    }
}

impl Mix for TokenDot {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        let [k, v] = exactly(&self.site, inputs)?;
        ops::token_dot(pass, self.site.name(), k, v)
    }

    fn is_linear(&self) -> bool {
        false
    }

    fn macs(&self, inputs: &[&[usize]]) -> u64 {
        elements(inputs)
    }
}

impl Mix for ChannelMask {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        let [q, s] = exactly(&self.site, inputs)?;
        ops::mask_channels(pass, self.site.name(), q, s)
    }

    fn is_linear(&self) -> bool {
        false
    }

    fn macs(&self, inputs: &[&[usize]]) -> u64 {
        elements(inputs)
    }
}

/// Values of the first input.
fn elements(inputs: &[&[usize]]) -> u64 {
    inputs.first().map_or(0, |shape| shape.iter().product::<usize>() as u64)
}

/// Tokens of one image of the first input, `[T, B, C, tokens...]`.
fn tokens(inputs: &[&[usize]]) -> u64 {
    inputs.first().map_or(0, |shape| shape.iter().skip(3).product::<usize>() as u64)
}

pub(super) fn exactly<'v, const N: usize>(site: &Site, inputs: &[&'v Value]) -> Result<[&'v Value; N]> {
    inputs
        .try_into()
        .map_err(|_| Error::Misuse(format!("{}: expected {N} inputs, got {}", site.name(), inputs.len())))
}
