//! Batch normalisation at a site.

use crate::error::Result;
use crate::model::Block;
use crate::norm::Norm;
use crate::pass::Pass;
use crate::site::Site;
use crate::unroll::Unroll;
use crate::value::Value;

/// A norm over `[T, B, C, ...]`, per channel.
pub struct BatchNorm {
    /// Where it stands.
    pub site: Site,
    /// What it computes.
    pub norm: Norm,
}

impl Block for BatchNorm {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        port.norm(pass, &self.site, &self.norm, x)
    }
}
