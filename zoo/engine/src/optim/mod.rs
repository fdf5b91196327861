//! Optimisers, clipping, the average of the parameters, and learning-rate schedules.
//!
//! A training step ends with: gradients are clipped ([`Clip`]), parameters move ([`Optimizer`], from an
//! [`OptimSpec`]), the average follows ([`Average`]). Each is a choice of the recipe; an absent one does nothing.

mod average;
mod clip;
mod hold;
mod schedule;
mod spec;

use crate::error::{Error, Result};
use crate::param::Params;

pub use average::{Average, AverageSpec};
pub use clip::Clip;
pub use hold::Hold;
pub use schedule::{Per, Schedule};
pub use spec::{OptimSpec, Undecayed};

/// Turns gradients into new parameters, in place.
pub trait Optimizer {
    /// One update from the gradients that stand in `params`. A parameter without a gradient stays.
    ///
    /// # Errors
    /// When a kernel fails.
    fn update(&mut self, params: &Params) -> Result<()>;

    /// Sets the learning rate of the updates that follow.
    fn set_learning_rate(&mut self, rate: f64);
}

/// Refuses a number that does not keep to a rule; a NaN keeps to none.
fn rule(holds: bool, place: &str, rule: &str, found: f64) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::setting(place, rule, found)) }
}
