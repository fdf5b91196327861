//! Linear map at a site.

use crate::error::Result;
use crate::model::Block;
use crate::ops;
use crate::param::{ParamId, Params};
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::{Synapse, Unroll};
use crate::value::Value;

/// A linear map: `[T, B, F]` to `[T, B, out]`.
pub struct Linear {
    /// Where it stands.
    pub site: Site,
    /// `[out, F]`.
    pub weight: ParamId,
    /// `[out]`.
    pub bias: Option<ParamId>,
}

impl Synapse for Linear {
    fn apply(&self, pass: &Pass<'_>, x: &Value, weight_input: Option<&Value>) -> Result<Value> {
        ops::linear(pass, self.site.name(), x, &pass.param(self.weight), self.bias, weight_input)
    }

    fn params(&self) -> Vec<ParamId> {
        std::iter::once(self.weight).chain(self.bias).collect()
    }

    fn macs_per_output(&self, params: &Params) -> u64 {
        params.get(self.weight).shape().get(1).copied().unwrap_or(0) as u64
    }
}

impl Block for Linear {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.synapse(pass, &self.site, self, x)
    }
}
