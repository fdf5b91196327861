//! Sums on their way out: `y = A' m A` of each tile, and pixels turned back to planes, with the bias.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{Batch, Cut, Job, PLACES};
use crate::conv::vectors::{BLOCK, turn_back};
use crate::lanes::{LANES, Lanes, load, on_lanes};
use crate::storage::Disjoint;

/// Writes the outputs of a block; `pixels` is room for two rows of them.
#[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
pub(super) fn leave(
    job: &Job,
    cut: &Cut,
    batch: &Batch,
    outputs: Range<usize>,
    bias: Option<&[f32]>,
    sums: &[f32],
    pixels: &mut [f32],
    y: &Disjoint<MaybeUninit<f32>>,
) {
    let (plane, wide, place) = (job.h * job.w, job.tiles().1, cut.sums_place(job));
    let mut offset = [0.0; BLOCK];
    if let Some(bias) = bias {
        offset[..outputs.len()].copy_from_slice(&bias[outputs.clone()]);
    }
    let mut tile = 0;
    for image in batch.images.clone() {
        for row in batch.rows.clone() {
            let sums = &sums[tile * BLOCK..];
            let rows = (job.h - 2 * row).min(2);
            assert!(sums.len() >= (PLACES - 1) * place + wide * BLOCK && pixels.len() >= 4 * wide * BLOCK);
            let vectors = outputs.len().div_ceil(LANES);
            // SAFETY: all places of a row of tiles lie in `sums`, and two rows of pixels in `pixels`.
            unsafe { gather(sums, wide, place, vectors, &offset, pixels) };
            for (first, lanes) in (0..outputs.len()).step_by(LANES).map(|i| (i, LANES.min(outputs.len() - i)))
            {
                for i in 0..rows {
                    let from = &pixels[i * 2 * wide * BLOCK + first..];
                    let at = (image * job.outputs + outputs.start + first) * plane + (2 * row + i) * job.w;
                    assert!(from.len() >= (job.w - 1) * BLOCK + LANES);
                    // SAFETY: these rows of these outputs belong to the calling task alone, and `from` has `w` pixels.
                    unsafe { turn_back(from, job.w, lanes, y.pointer().cast::<f32>().add(at), plane) };
                }
            }
            tile += wide;
        }
    }
}

on_lanes! {
    /// `pixels[2, 2 wide] = A' m A + offset` for a row of tiles.
    ///
    /// # Safety
    /// `sums` has `wide` tiles at each place, `pixels` room for four blocks a tile; `vectors` is 1 or 2.
    unsafe fn gather[L](
        sums: &[f32],
        wide: usize,
        place: usize,
        vectors: usize,
        offset: &[f32; BLOCK],
        pixels: &mut [f32],
    ) {
        for j in 0..wide {
            for first in (0..vectors * LANES).step_by(LANES) {
                // SAFETY: by the contract.
                unsafe {
                    let from = sums.as_ptr().add(j * BLOCK + first);
                    let offset = L::load(offset.as_ptr().add(first));
                    let mut m = [[L::splat(0.0); 2]; 4];
                    for (a, m) in m.iter_mut().enumerate() {
                        *m = totals(load::<L, 4>(from.add(4 * a * place), place));
                    }
                    let [m0, m1, m2, m3] = m;
                    for (b, column) in
                        [[m0[0], m1[0], m2[0], m3[0]], [m0[1], m1[1], m2[1], m3[1]]].into_iter().enumerate()
                    {
                        for (a, y) in totals(column).into_iter().enumerate() {
                            y.add(offset).store(
                                pixels.as_mut_ptr().add((a * 2 * wide + 2 * j + b) * BLOCK + first),
                            );
                        }
                    }
                }
            }
        }
    }
}

/// `A' m` of a column, or `m A` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn totals<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 2] {
    // SAFETY: by the caller's contract.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}
