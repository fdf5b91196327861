//! An optimiser that holds still.

use super::Optimizer;
use crate::error::Result;
use crate::param::Params;

/// Leaves every parameter where it is, so that a step is a gradient.
pub struct Hold;

impl Optimizer for Hold {
    fn update(&mut self, _params: &Params) -> Result<()> {
        Ok(())
    }

    fn set_learning_rate(&mut self, _rate: f64) {}
}
