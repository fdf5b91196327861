//! The ops: each says what it computes, what it saves and how it goes back.
//!
//! An op never asks which device it is on; `kernels` does. In a plan the closures that would compute are not called,
//! and everything else is the same.

mod adaptive;
mod add;
mod attention;
mod carry;
mod channels;
mod conv;
mod dilate;
mod drop_path;
mod fire;
mod frame;
mod gain;
mod held;
mod linear;
mod normalise;
mod pool;
mod relu;
mod reshape;
mod scale;
mod standardise;
mod tokens;
mod trace;
mod upsample;

pub use adaptive::adaptive_average;
pub use add::{add, add_rounded};
pub use attention::attention;
pub use carry::Shortcut;
pub use channels::channels;
pub use conv::{ConvSpec, conv};
pub use dilate::{dilate, dilated_token_dot};
pub use drop_path::{DropPer, drop_path};
pub use fire::fire;
pub use frame::frame;
pub use gain::gain;
pub use linear::linear;
pub use normalise::{normalise, normalise_running};
pub use pool::{PoolKind, PoolSpec, global_average, pool};
pub use relu::relu;
pub(crate) use reshape::sum_steps;
pub use reshape::{
    concat_channels, concat_steps, dense, double_channels, flatten, repeat_steps, split_channels,
};
pub use scale::{dropout, scale};
pub use standardise::{Epsilon, Standardisation, Variance, standardise};
pub use tokens::{mask_channels, token_dot};
pub use trace::trace;
pub use upsample::upsample;

pub(crate) use add::{accumulate, plus, sum};
pub(crate) use held::{real, typed};

use crate::error::Result;
use crate::pass::Pass;
use crate::tape::{Backward, Slot};
use crate::value::Value;

/// Writes the gradient of a weight, which is never a half: straight into the accumulator of a parameter, or as a value that
/// goes on.
/// `write` gets the target and whether to add to it.
fn weight_gradient(
    backward: &mut Backward<'_>,
    to: Option<Slot>,
    shape: &[usize],
    write: impl FnOnce(&candle_core::Tensor, bool) -> Result<()>,
) -> Result<()> {
    let pass: &Pass<'_> = backward.pass();
    match to {
        Some(Slot::Parameter(id)) => match pass.params().accumulator(id)? {
            Some((into, add)) => write(into, add),
            None => Ok(()),
        },
        other => {
            let session = pass.session();
            let gradient = pass.gradient_in(session.real(), shape, || {
                let into = candle_core::Tensor::zeros(shape, session.real(), session.device())?;
                write(&into, false)?;
                Ok(into)
            })?;
            backward.give(other, gradient)
        }
    }
}

/// Leading axes folded into one: `T * B`.
fn images(value: &Value) -> usize {
    value.steps() * value.batch()
}
