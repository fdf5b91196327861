//! The input gradient.
//!
//! A task has some channels of the input, whose weights it packs once, and some batches of pixels; each value is one sum
//! over the outputs in order, whatever the tasks. The forward pass of numbers gains nothing by it: there the matrix product
//! of `unfolded` has whole maps as its rows.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{Batch, Batches, ConvShape, PIXELS, plane, turn};
use crate::conv::vectors::{BLOCK, Planes, ROWS, Strides, multiply, odd_lines, turn_back};
use crate::lanes::LANES;
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;

/// Values of a batch's turned output gradients: they should stay in the second-level cache.
const INPUTS: usize = 1 << 17;

/// Values of a task's packed weights, which should stay there too.
const WEIGHTS: usize = 1 << 18;

/// Tasks that the work is cut into, at least, where the shape has them.
const TASKS: usize = 16;

/// Tasks below which more groups of channels make more, though each of them turns its batches anew.
const FEW_TASKS: usize = 4;

/// Values of scratch that each thread keeps.
pub(super) fn scratch_len(s: &ConvShape) -> usize {
    Cut::of(s).lens(s).iter().map(|len| len + ALIGNED).sum()
}

/// How a job is cut.
struct Cut {
    /// Channels of the input of a task, in whole blocks.
    group: usize,
    groups: usize,
    batches: Batches,
    batches_per_part: usize,
    parts: usize,
    /// Values from one pixel's output gradients to the next.
    row: usize,
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        let row = odd_lines(s.c_out);
        let most = (INPUTS / row / ROWS * ROWS).clamp(ROWS, PIXELS);
        let batches = Batches::of(s, most).even(s);
        let channels = s.c_in.next_multiple_of(BLOCK);
        let most = (WEIGHTS / s.c_out / BLOCK * BLOCK).clamp(BLOCK, channels);
        // Equal groups: a small last one leaves threads idle.
        let groups = s.c_in.div_ceil(most).max(FEW_TASKS.div_ceil(batches.many.max(1)));
        let group = s.c_in.div_ceil(groups).next_multiple_of(BLOCK);
        let groups = s.c_in.div_ceil(group);
        let batches_per_part = batches.many.div_ceil(TASKS.div_ceil(groups)).max(1);
        let parts = batches.many.div_ceil(batches_per_part).max(1);
        Self { group, groups, batches, batches_per_part, parts, row }
    }

    fn lens(&self, s: &ConvShape) -> [usize; 3] {
        let pixels = self.batches.rows();
        [self.group * s.c_out, pixels * self.row, pixels * BLOCK]
    }
}

/// See [`crate::conv::backward_input`].
pub(in crate::conv) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let cut = Cut::of(s);
    let dy = Planes { values: dy, channels: s.c_out, h: 1, w: plane(s) };
    let (len, [weights_len, turned_len, sums_len]) = (s.n * s.c_in * plane(s), cut.lens(s));
    // SAFETY: the batches and groups cover the output; each task writes its own pixels of its own channels.
    unsafe {
        filled(len, |dx| {
            let dx = Disjoint::new(dx);
            each_task(cut.parts * cut.groups, len * s.c_out, |task| {
                let (part, group) = (task / cut.groups, task % cut.groups);
                let channels = group * cut.group..s.c_in.min((group + 1) * cut.group);
                aligned(Slot::Filters, weights_len, |weights| {
                    pack(s, w, &channels, weights);
                    aligned(Slot::Columns, turned_len, |turned| {
                        aligned(Slot::Gathered, sums_len, |sums| {
                            for Batch { images, pixels } in cut.batches.part(s, part, cut.batches_per_part) {
                                turn(&dy, 0..s.c_out, cut.row, &images, &pixels, turned);
                                for first in channels.clone().step_by(BLOCK) {
                                    let block = first..channels.end.min(first + BLOCK);
                                    let weights = &weights[(first - channels.start) * s.c_out..];
                                    let rows = images.len() * pixels.len();
                                    of_block(s, cut.row, rows, block.len(), turned, weights, sums);
                                    leave(s, &images, &pixels, &block, sums, &dx);
                                }
                            }
                        });
                    });
                });
            });
        })
    }
}

/// Weights of some inputs as `[block, output, BLOCK]`; inputs that fill up a block become 0.
fn pack(s: &ConvShape, w: &[f32], inputs: &Range<usize>, weights: &mut [f32]) {
    for (first, weights) in inputs.clone().step_by(BLOCK).zip(weights.chunks_exact_mut(s.c_out * BLOCK)) {
        let many = BLOCK.min(inputs.end - first);
        for (weights, w) in weights.as_chunks_mut::<BLOCK>().0.iter_mut().zip(w.chunks_exact(s.c_in)) {
            // A whole block at once: a call that copies so few values costs more than they do.
            match w[first..].first_chunk() {
                Some(whole) => *weights = *whole,
                None => {
                    weights[..many].copy_from_slice(&w[first..]);
                    weights[many..].fill(0.0);
                }
            }
        }
    }
}

/// Multiplies a batch with one block.
fn of_block(
    s: &ConvShape,
    row: usize,
    rows: usize,
    outputs: usize,
    inputs: &[f32],
    weights: &[f32],
    sums: &mut [f32],
) {
    assert!(inputs.len() >= (rows - 1) * row + s.c_out && sums.len() >= rows * BLOCK);
    assert!(weights.len() >= s.c_out * BLOCK);
    let strides = Strides { row, step: 1, filter: BLOCK, out: BLOCK };
    // SAFETY: all pixels' channels, all channels' weights and all sums lie in their slices, by the assertions.
    unsafe { multiply(inputs, weights, sums, rows, s.c_out, outputs.div_ceil(LANES), strides) };
}

/// Writes a block.
fn leave(
    s: &ConvShape,
    images: &Range<usize>,
    pixels: &Range<usize>,
    block: &Range<usize>,
    sums: &[f32],
    dx: &Disjoint<MaybeUninit<f32>>,
) {
    for (image, sums) in images.clone().zip(sums.chunks(pixels.len() * BLOCK)) {
        for first in block.clone().step_by(LANES) {
            let (lanes, from) = (LANES.min(block.end - first), &sums[first - block.start..]);
            let at = (image * s.c_in + first) * plane(s) + pixels.start;
            assert!(from.len() >= (pixels.len() - 1) * BLOCK + LANES);
            // SAFETY: these pixels of these outputs belong to the calling task alone, and `from` has all of them.
            unsafe { turn_back(from, pixels.len(), lanes, dx.pointer().cast::<f32>().add(at), plane(s)) };
        }
    }
}
