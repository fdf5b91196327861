//! The products at each place: `m[tile, output] = sum over channels of v[tile, channel] * u[channel, output]`.

use super::{Batch, Cut, Job, PLACES};
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
    let (channels, tiles) = (job.padded_channels(), batch.images.len() * batch.rows.len() * job.tiles().1);
    let vectors = (outputs - block).min(BLOCK).div_ceil(LANES);
    let sums_place = cut.sums_place(job);
    let filters = &filters[block * PLACES * channels..][..BLOCK * PLACES * channels];
    assert!(inputs.len() >= (PLACES - 1) * cut.inputs.place + (tiles - 1) * cut.inputs.tile + channels);
    assert!(sums.len() >= (PLACES - 1) * sums_place + tiles * BLOCK);
    let strides = Strides { row: cut.inputs.tile, step: 1, filter: BLOCK, out: BLOCK };
    for place in 0..PLACES {
        let (inputs, filters) = (&inputs[place * cut.inputs.place..], &filters[place * channels * BLOCK..]);
        let sums = &mut sums[place * sums_place..];
        // SAFETY: all tiles' inputs, all channels' filters and all sums lie in their slices, by the assertions.
        unsafe { multiply(inputs, filters, sums, tiles, channels, vectors, strides) };
    }
}
