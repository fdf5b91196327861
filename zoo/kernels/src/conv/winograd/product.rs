//! The products at each place: `m[tile, output] = sum over channels of v[tile, channel] * u[channel, output]`.

use super::{Batch, Cut, Job};
use crate::conv::vectors::{BLOCK, Strides, multiply};
use crate::lanes::LANES;

/// Multiplies a batch with one block of a task's outputs, which begins at `block`; `outputs` are the task's.
#[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
pub(super) fn of_block(
    job: &Job,
    cut: &Cut,
    batch: &Batch,
    block: usize,
    outputs: usize,
    inputs: &[f32],
    filters: &[f32],
    sums: &mut [f32],
) {
    let (channels, tiles) = (job.padded_channels(), batch.images.len() * batch.rows.len() * job.grid().1);
    let places = job.tiles.places();
    let vectors = (outputs - block).min(BLOCK).div_ceil(LANES);
    let sums_place = cut.sums_place(job);
    let filters = &filters[block * places * channels..][..BLOCK * places * channels];
    assert!(inputs.len() >= (places - 1) * cut.inputs.place + (tiles - 1) * cut.inputs.tile + channels);
    assert!(sums.len() >= (places - 1) * sums_place + tiles * BLOCK);
    let strides = Strides { row: cut.inputs.tile, step: 1, filter: BLOCK, out: BLOCK };
    for place in 0..places {
        let (inputs, filters) = (&inputs[place * cut.inputs.place..], &filters[place * channels * BLOCK..]);
        let sums = &mut sums[place * sums_place..];
        // SAFETY: all tiles' inputs, all channels' filters and all sums lie in their slices, by the assertions.
        unsafe { multiply(inputs, filters, sums, tiles, channels, vectors, strides) };
    }
}
