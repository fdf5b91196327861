//! Arithmetic on tensors, element by element or with one number a channel.
//!
//! One idea a file: [`add`] and its kin (arithmetic), one number a channel (channels) or a row (rows), steps
//! of time (steps), dropout, fixed-point grids and the reversible mixing (grid), resizing (resize).

mod arithmetic;
mod channels;
mod copy;
mod dropout;
mod floor;
mod grid;
mod resize;
mod rows;
mod steps;

pub use arithmetic::{add, add_assign, all_finite, max_abs, mul, scale, scale_assign, scale_spikes};
pub use channels::{add_affine, channel_dot, channel_scale, concat_channels, split_channels};
pub use copy::{copied, copy};
pub use dropout::{dropout, dropout_assign, dropout_spikes};
pub use floor::floor_magnitude;
pub use grid::{add_rounded, mix, round_to_grid, unmix};
pub use resize::{upsample_backward, upsample_nearest};
pub use rows::{row_dot, row_mask, row_overlap, row_scale};
pub use steps::{repeat_steps, sum_steps};

/// Elements of one piece of work.
pub(crate) const BLOCK: usize = 1 << 14;
