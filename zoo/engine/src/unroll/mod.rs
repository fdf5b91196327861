//! The port between models and methods: how a network is carried through time.

mod rate;
mod statistics;
mod survey;
mod through;

pub use rate::Rates;
pub use statistics::Statistics;
pub use survey::{Survey, Surveyed};
pub use through::{Through, TimeGradient};

use crate::error::Result;
use crate::method::Unsupported;
use crate::neuron::Neuron;
use crate::norm::Norm;
use crate::param::{ParamId, Params};
use crate::pass::Pass;
use crate::site::Site;
use crate::value::Value;

/// Weights at a site: a convolution or a linear map, with what is folded into its weights.
pub trait Synapse {
    /// Applies it. The weight gradient is evaluated at `weight_input` where one is given (a presynaptic trace),
    /// else at `x`; the input gradient always goes to `x`.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn apply(&self, pass: &Pass<'_>, x: &Value, weight_input: Option<&Value>) -> Result<Value>;

    /// The parameters it applies.
    fn params(&self) -> Vec<ParamId>;

    /// Multiply-accumulates of a dense evaluation, for one value of the output.
    fn macs_per_output(&self, params: &Params) -> u64;
}

/// A product or pool without weights.
pub trait Mix {
    /// Applies it.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn apply(&self, pass: &Pass<'_>, inputs: &[&Value]) -> Result<Value>;

    /// Whether it is linear in its inputs, so that a presynaptic trace can travel through it.
    fn is_linear(&self) -> bool {
        true
    }

    /// Multiply-accumulates of products between its inputs, from their shapes; 0 for sums and pools.
    fn macs(&self, _inputs: &[&[usize]]) -> u64 {
        0
    }
}

/// What a method implements. The model calls out at every weight, neuron, norm, pool and carried value; between
/// these calls a model only adds and reshapes.
pub trait Unroll {
    /// Weights are applied.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value>;

    /// A current meets a layer of neurons.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value>;

    /// A current is normalised. Running statistics are the unroll's state.
    ///
    /// # Errors
    /// When the method can't take these statistics.
    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value>;

    /// Values meet in a product or pool without weights.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value>;

    /// The value kept at this site at the previous step; `None` at the first.
    ///
    /// # Errors
    /// When the method carries nothing.
    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>>;

    /// Keeps a value for the next step.
    ///
    /// # Errors
    /// When the method carries nothing.
    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()>;
}

/// The reason every stepwise method gives for a norm over time.
#[must_use]
pub fn norm_over_time_unsupported(method: &str) -> Unsupported {
    Unsupported::because(format!(
        "{method} goes through time step by step, but this model's norm takes its statistics over all steps at once"
    ))
}
