//! The products at each place: `m[tile, output] = sum over channels of v[tile, channel] * u[channel, output]`.
//!
//! A product and a sum are one rounding with AVX-512 and AVX2, two without.

use super::{BLOCK, Batch, Cut, Job, PLACES};
use crate::lanes::{LANES, Lanes, load, on_lanes};

/// Tiles whose sums stay in registers.
pub(super) const ROWS: usize = 12;

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
    assert!(inputs.len() >= (PLACES - 1) * cut.place + (tiles - 1) * cut.tile + channels);
    assert!(sums.len() >= (PLACES - 1) * sums_place + tiles * BLOCK);
    for place in 0..PLACES {
        let (inputs, filters) = (&inputs[place * cut.place..], &filters[place * channels * BLOCK..]);
        let sums = &mut sums[place * sums_place..];
        // SAFETY: all tiles' inputs, all channels' filters and all sums lie in their slices, by the assertions.
        unsafe { multiply(inputs, cut.tile, tiles, filters, channels, vectors, sums) };
    }
}

on_lanes! {
    /// # Safety
    /// `inputs` has `tiles` rows of `channels` values, `row` apart; `filters` has `channels` rows and `sums` `tiles` rows of
    /// `BLOCK` values; `vectors` is 1 or 2.
    unsafe fn multiply[L](
        inputs: &[f32],
        row: usize,
        tiles: usize,
        filters: &[f32],
        channels: usize,
        vectors: usize,
        sums: &mut [f32],
    ) {
        let (a, b, out) = (inputs.as_ptr(), filters.as_ptr(), sums.as_mut_ptr());
        let mut tile = 0;
        // SAFETY: by the contract; each strip has the tiles that are left.
        unsafe {
            if L::WIDE && vectors == 2 {
                tile = strips::<L, 12, 2>(tile, tiles, a, row, b, channels, out);
                tile = strips::<L, 6, 2>(tile, tiles, a, row, b, channels, out);
                tile = strips::<L, 3, 2>(tile, tiles, a, row, b, channels, out);
                strips::<L, 1, 2>(tile, tiles, a, row, b, channels, out);
                return;
            }
            for vector in 0..vectors {
                let (b, out) = (b.add(vector * LANES), out.add(vector * LANES));
                let mut tile = tile;
                if L::WIDE {
                    tile = strips::<L, 12, 1>(tile, tiles, a, row, b, channels, out);
                }
                tile = strips::<L, 6, 1>(tile, tiles, a, row, b, channels, out);
                tile = strips::<L, 3, 1>(tile, tiles, a, row, b, channels, out);
                strips::<L, 1, 1>(tile, tiles, a, row, b, channels, out);
            }
        }
    }
}

/// Multiplies strips of `R` tiles as long as there are so many, from `tile` on; returns the first tile that is left.
#[inline(always)]
unsafe fn strips<L: Lanes, const R: usize, const V: usize>(
    mut tile: usize,
    tiles: usize,
    a: *const f32,
    row: usize,
    b: *const f32,
    channels: usize,
    out: *mut f32,
) -> usize {
    while tile + R <= tiles {
        // SAFETY: by the caller's contract.
        unsafe {
            let (a, out) = (a.add(tile * row), out.add(tile * BLOCK));
            let mut sums = [[L::splat(0.0); V]; R];
            for channel in 0..channels {
                let filters = load::<L, V>(b.add(channel * BLOCK), LANES);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let input = L::splat(*a.add(i * row + channel));
                    for (sum, filter) in sums.iter_mut().zip(filters) {
                        *sum = input.mul_add(filter, *sum);
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.store(out.add(i * BLOCK + v * LANES));
                }
            }
        }
        tile += R;
    }
    tile
}
