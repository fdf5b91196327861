//! Sums on their way out: `y = A' m A` of each tile, and pixels turned back to planes, with the bias.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{Batch, Cut, Job, Tiles, four, two};
use crate::conv::vectors::{BLOCK, turn_back};
use crate::lanes::LANES;
use crate::storage::Disjoint;

/// Writes the outputs of a block; `pixels` is room for the rows of a row of tiles.
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
    let (plane, wide, place) = (job.h * job.w, job.grid().1, cut.sums_place(job));
    let (side, places) = (job.tiles.side(), job.tiles.places());
    let mut offset = [0.0; BLOCK];
    if let Some(bias) = bias {
        offset[..outputs.len()].copy_from_slice(&bias[outputs.clone()]);
    }
    let mut tile = 0;
    for image in batch.images.clone() {
        for row in batch.rows.clone() {
            let sums = &sums[tile * BLOCK..];
            let rows = (job.h - side * row).min(side);
            assert!(sums.len() >= (places - 1) * place + wide * BLOCK);
            assert!(pixels.len() >= side * side * wide * BLOCK);
            let vectors = outputs.len().div_ceil(LANES);
            // SAFETY: all places of a row of tiles lie in `sums`, and its rows of pixels in `pixels`.
            unsafe {
                match job.tiles {
                    Tiles::Two => two::outputs(sums, wide, place, vectors, &offset, pixels),
                    Tiles::Four => four::outputs(sums, wide, place, vectors, &offset, pixels),
                }
            }
            for (first, lanes) in (0..outputs.len()).step_by(LANES).map(|i| (i, LANES.min(outputs.len() - i)))
            {
                for i in 0..rows {
                    let from = &pixels[i * side * wide * BLOCK + first..];
                    let at = (image * job.outputs + outputs.start + first) * plane + (side * row + i) * job.w;
                    assert!(from.len() >= (job.w - 1) * BLOCK + LANES);
                    // SAFETY: these rows of these outputs belong to the calling task alone, and `from` has `w` pixels.
                    unsafe { turn_back(from, job.w, lanes, y.pointer().cast::<f32>().add(at), plane) };
                }
            }
            tile += wide;
        }
    }
}
