//! Channels as vectors: what kernels share that turn planes `[channel, pixel]` to `[pixel, channel]` on their way in.

mod planes;
mod product;

use crate::lanes::LANES;

pub(super) use planes::{Planes, Rows, turn_back};
pub(super) use product::{Strides, multiply, multiply_onto};

/// Outputs of a block: two vectors.
pub(super) const BLOCK: usize = 2 * LANES;

/// Rows of a product whose sums stay in registers.
pub(super) const ROWS: usize = 12;

/// The next length that is an odd number of cache lines: so apart, what is used together does not meet in one set of the
/// cache.
pub(super) fn odd_lines(len: usize) -> usize {
    let lines = len.div_ceil(LANES);
    (lines + 1 - lines % 2) * LANES
}
