//! Convolution at a site.

use kernels::standardise::Standardisation;

use crate::error::Result;
use crate::model::Block;
use crate::ops::{self, ConvSpec};
use crate::param::{ParamId, Params};
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::{Synapse, Unroll};
use crate::value::Value;

/// Scaled weight standardisation of a convolution's weights.
#[derive(Clone, Copy, Debug)]
pub struct Standardised {
    /// Learned gain, `[C_out]` or `[C_out, 1, 1, 1]`.
    pub gain: Option<ParamId>,
    /// Which variance, and where eps stands.
    pub how: Standardisation,
}

/// A convolution: `[T, B, C_in, H, W]` to `[T, B, C_out, H', W']`.
pub struct Conv {
    /// Where it stands.
    pub site: Site,
    /// Geometry.
    pub spec: ConvSpec,
    /// `[C_out, C_in / groups, k, k]`.
    pub weight: ParamId,
    /// `[C_out]`.
    pub bias: Option<ParamId>,
    /// Whether the weights are standardised.
    pub standardised: Option<Standardised>,
}

impl Synapse for Conv {
    fn apply(&self, pass: &Pass<'_>, x: &Value, weight_input: Option<&Value>) -> Result<Value> {
        let weight = match self.standardised {
            None => pass.param(self.weight),
            Some(Standardised { gain, how }) => ops::standardise(pass, self.weight, gain, how)?,
        };
        ops::conv(pass, self.site.name(), &self.spec, x, &weight, self.bias, weight_input)
    }

    fn params(&self) -> Vec<ParamId> {
        let gain = self.standardised.as_ref().and_then(|standardised| standardised.gain);
        [Some(self.weight), self.bias, gain].into_iter().flatten().collect()
    }

    fn macs_per_output(&self, _params: &Params) -> u64 {
        (self.spec.c_in / self.spec.groups * self.spec.kernel * self.spec.kernel) as u64
    }
}

impl Block for Conv {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.synapse(pass, &self.site, self, x)
    }
}
