//! Constant factors, sums and changes of resolution at a site: linear, so that a trace travels through them.

use super::pool::only;
use crate::error::{Error, Result};
use crate::model::Block;
use crate::ops;
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::{Mix, Unroll};
use crate::value::Value;

/// A constant factor (2.74 behind the neurons of OTTT's normalisation-free networks).
pub struct Scale {
    /// Where it stands.
    pub site: Site,
    /// The factor.
    pub factor: f64,
}

/// Dropout with one mask for all steps; nothing in evaluation. What is kept is divided by `1 - rate`.
pub struct Dropout {
    /// Where it stands; its name seeds the mask.
    pub site: Site,
    /// The share that is dropped.
    pub rate: f64,
}

/// The sum of two or more values of one shape; of spikes it is whole numbers, held as real ones.
pub struct Sum {
    /// Where it stands.
    pub site: Site,
}

/// Nearest-neighbour up-sampling: `[T, B, C, H, W]` to `[T, B, C, factor * H, factor * W]`.
pub struct Upsample {
    /// Where it stands.
    pub site: Site,
    /// How many times each pixel is repeated, both ways.
    pub factor: usize,
}

/// Means over a given number of bins: `[T, B, C, H, W]` to `[T, B, C, out[0], out[1]]`.
pub struct AdaptiveAverage {
    /// Where it stands.
    pub site: Site,
    /// Rows and columns of bins.
    pub out: [usize; 2],
}

impl Mix for Scale {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::scale(pass, self.site.name(), only(&self.site, inputs)?, self.factor)
    }
}

impl Mix for Dropout {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::dropout(pass, self.site.name(), only(&self.site, inputs)?, self.rate)
    }
}

impl Mix for Sum {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        let [first, second, rest @ ..] = inputs else {
            let message = format!("{}: expected at least two inputs, got {}", self.site.name(), inputs.len());
            return Err(Error::Misuse(message));
        };
        let sum = ops::add(pass, self.site.name(), first, second)?;
        rest.iter().try_fold(sum, |sum, next| ops::add(pass, self.site.name(), &sum, next))
    }
}

impl Mix for Upsample {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::upsample(pass, self.site.name(), only(&self.site, inputs)?, self.factor)
    }
}

impl Mix for AdaptiveAverage {
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value> {
        ops::adaptive_average(pass, self.site.name(), only(&self.site, inputs)?, self.out)
    }
}

impl Block for Scale {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

impl Block for Dropout {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

impl Block for Upsample {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}

impl Block for AdaptiveAverage {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.mix(pass, &self.site, self, &[x])
    }
}
