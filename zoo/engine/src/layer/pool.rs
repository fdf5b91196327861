//! Pools and views at a site: a trace travels through them like the spikes it belongs to.

use crate::error::{Error, Result};
use crate::model::Block;
use crate::ops::{self, PoolKind, PoolSpec};
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::{Mix, Unroll};
use crate::value::Value;

/// A pool in space: `[T, B, C, H, W]` to `[T, B, C, H', W']`.
pub struct Pool {
    /// Where it stands.
    pub site: Site,
    /// Geometry.
    pub spec: PoolSpec,
}

/// Mean over space: `[T, B, C, H, W]` to `[T, B, C]`.
pub struct GlobalAverage {
    /// Where it stands.
    pub site: Site,
}

/// `[T, B, C, H, W]` to `[T, B, C * H * W]`.
pub struct Flatten {
    /// Where it stands.
    pub site: Site,
}

impl Mix for Pool {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::pool(pass, self.site.name(), &self.spec, only(&self.site, inputs)?)
    }

    fn is_linear(&self) -> bool {
        self.spec.kind == PoolKind::Average
    }
}

impl Mix for GlobalAverage {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::global_average(pass, self.site.name(), only(&self.site, inputs)?)
    }
}

impl Mix for Flatten {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::flatten(pass, self.site.name(), only(&self.site, inputs)?)
    }
}

impl Block for Pool {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

impl Block for GlobalAverage {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

impl Block for Flatten {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

pub(super) fn only<'v>(site: &Site, inputs: &[&'v Value]) -> Result<&'v Value> {
    match inputs {
        [one] => Ok(one),
        _ => Err(Error::Misuse(format!("{}: expected one input, got {}", site.name(), inputs.len()))),
    }
}
