//! Convolutions as one product for each pair of pixels that a tap joins: where taps skip places, as in the input gradient
//! of a stride, and where maps are so small that many taps see nothing but the frame.
//!
//! ```text
//! y[n, o, p] = b[o] + sum over pairs (tap, q) of p, sum over c of w[o, c, tap] * x[n, c, q]
//! ```
//!
//! A matrix product over unfolded patches multiplies the frame's zeros and the skipped places too: a map of 3x3 has 49
//! pairs, and 81 taps. Planes are turned to `[pixel, image, channel]`, so that images are the rows of a product; each value
//! is one sum over the pairs and the channels in order, whatever the tasks.

mod gradient;
mod pairs;

use std::mem::MaybeUninit;
use std::ops::Range;

use super::ConvShape;
use super::vectors::{BLOCK, Planes, ROWS, Strides, multiply, multiply_onto, odd_lines, turn_back};
use super::winograd;
use crate::lanes::LANES;
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;
use pairs::Pairs;

/// Values of a batch's turned inputs: they should stay in the second-level cache.
const INPUTS: usize = 1 << 18;

/// Images of a batch at most.
const IMAGES: usize = 8 * ROWS;

/// Values of a task's packed weights, which should stay there too.
const WEIGHTS: usize = 1 << 18;

/// Pixels of a map below which most taps see the frame.
const FEW_PIXELS: usize = 25;

/// Tasks that the work is cut into, at least, where the shape has them.
const TASKS: usize = 16;

/// Tasks below which more groups of outputs make more, though each of them turns its batches anew.
const FEW_TASKS: usize = 4;

pub(super) use gradient::backward_weight;

/// What is convolved: `channels` planes of `from` to `outputs` planes of `to`.
#[derive(Clone, Copy)]
struct Job {
    images: usize,
    channels: usize,
    outputs: usize,
    from: [usize; 2],
    to: [usize; 2],
    taps: usize,
    /// Whether the filters lie as `[channels, outputs, taps]`: the input gradient.
    turned: bool,
}

fn small(s: &ConvShape) -> bool {
    s.kernel == (3, 3) && s.stride == 1 && s.pad == 1 && s.h * s.w <= FEW_PIXELS && !winograd::serves(s)
}

fn full(s: &ConvShape) -> bool {
    s.groups == 1 && s.c_in.min(s.c_out) >= LANES && s.n > 0
}

/// Whether the forward pass and the weight gradient of numbers serve the shape.
pub(super) fn serves(s: &ConvShape) -> bool {
    full(s) && small(s)
}

/// Whether the input gradient serves the shape.
pub(super) fn serves_input_gradient(s: &ConvShape) -> bool {
    let strided = s.stride > 1 && (s.kernel, s.pad) == ((3, 3), 1);
    full(s) && (strided || small(s))
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let of = |job: Job, pairs: Pairs| Cut::of(&job, &pairs).lens(&job, &pairs).iter().sum::<usize>();
    let forward = if serves(s) {
        of(Job::forward(s), Pairs::forward(s)).max(gradient::lens(s).iter().sum())
    } else {
        0
    };
    let backward = if serves_input_gradient(s) { of(Job::backward(s), Pairs::backward(s)) } else { 0 };
    (forward.max(backward) + 3 * ALIGNED) * size_of::<f32>()
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    run(&Job::forward(s), &Pairs::forward(s), x, w, b)
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    run(&Job::backward(s), &Pairs::backward(s), dy, w, None)
}

impl Job {
    fn forward(s: &ConvShape) -> Self {
        Self {
            images: s.n,
            channels: s.c_in,
            outputs: s.c_out,
            from: [s.h, s.w],
            to: [s.out_h(), s.out_w()],
            taps: s.kernel.0 * s.kernel.1,
            turned: false,
        }
    }

    fn backward(s: &ConvShape) -> Self {
        let forward = Self::forward(s);
        Self {
            channels: s.c_out,
            outputs: s.c_in,
            from: forward.to,
            to: forward.from,
            turned: true,
            ..forward
        }
    }
}

/// How a job is cut.
struct Cut {
    /// Outputs of a task, in whole blocks.
    group: usize,
    groups: usize,
    /// Images of a batch.
    images: usize,
    /// Output rows of a batch.
    rows: usize,
    batches_per_part: usize,
    parts: usize,
    /// Values from one image of a turned pixel to the next.
    image: usize,
}

impl Cut {
    fn of(job: &Job, pairs: &Pairs) -> Self {
        let image = odd_lines(job.channels);
        let most = |rows: usize| INPUTS / (pairs.most_rows(rows) * job.from[1] * image) / ROWS * ROWS;
        // All rows of some images, or as few images as fill a product and some rows of them.
        let (images, rows) = match most(job.to[0]) {
            0 => {
                let fits = (1..=job.to[0]).rev().find(|&rows| most(rows) > 0).unwrap_or(1);
                // Equal parts: a last row alone would turn as many inputs as two.
                (ROWS, job.to[0].div_ceil(job.to[0].div_ceil(fits)))
            }
            images => (images.min(IMAGES), job.to[0]),
        };
        let images = images.min(job.images.max(1));
        let outputs = job.outputs.next_multiple_of(BLOCK);
        let most = (WEIGHTS / (job.taps * job.channels) / BLOCK * BLOCK).clamp(BLOCK, outputs);
        let batches = job.images.div_ceil(images) * job.to[0].div_ceil(rows);
        // Equal groups: a small last one leaves threads idle.
        let groups = job.outputs.div_ceil(most).max(FEW_TASKS.div_ceil(batches.max(1)));
        let group = job.outputs.div_ceil(groups).next_multiple_of(BLOCK);
        let groups = job.outputs.div_ceil(group);
        let batches_per_part = batches.div_ceil(TASKS.div_ceil(groups)).max(1);
        let parts = batches.div_ceil(batches_per_part).max(1);
        Self { group, groups, images, rows, batches_per_part, parts, image }
    }

    /// The images and the output rows of batch `index`; none behind the last one.
    fn batch(&self, job: &Job, index: usize) -> (Range<usize>, Range<usize>) {
        let each = job.to[0].div_ceil(self.rows);
        let (image, row) = (index / each * self.images, index % each * self.rows);
        (image.min(job.images)..job.images.min(image + self.images), row..job.to[0].min(row + self.rows))
    }

    /// Values from one turned pixel to the next.
    fn pixel(&self) -> usize {
        odd_lines(self.images * self.image)
    }

    /// Values from one image's sums to the next.
    fn sums(&self, job: &Job) -> usize {
        odd_lines(self.rows * job.to[1] * BLOCK)
    }

    /// Values of the weights, the turned inputs and the sums.
    fn lens(&self, job: &Job, pairs: &Pairs) -> [usize; 3] {
        let pixels = pairs.most_rows(self.rows) * job.from[1];
        [self.group * job.taps * job.channels, pixels * self.pixel(), self.images * self.sums(job)]
    }
}

fn run(job: &Job, pairs: &Pairs, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let cut = Cut::of(job, pairs);
    let x = Planes { values: x, channels: job.channels, h: job.from[0], w: job.from[1] };
    let [weights_len, turned_len, sums_len] = cut.lens(job, pairs);
    let len = job.images * job.outputs * job.to[0] * job.to[1];
    // SAFETY: the batches and groups cover the output; each task writes its own rows of its own images and outputs.
    unsafe {
        filled(len, |y| {
            let y = Disjoint::new(y);
            each_task(cut.parts * cut.groups, len * job.channels, |task| {
                let (part, group) = (task / cut.groups, task % cut.groups);
                let outputs = group * cut.group..job.outputs.min((group + 1) * cut.group);
                aligned(Slot::Filters, weights_len, |weights| {
                    pack(job, w, &outputs, weights);
                    aligned(Slot::Columns, turned_len, |turned| {
                        aligned(Slot::Gathered, sums_len, |sums| {
                            for index in part * cut.batches_per_part..(part + 1) * cut.batches_per_part {
                                let (images, rows) = cut.batch(job, index);
                                if images.is_empty() {
                                    break;
                                }
                                let seen = pairs.rows(&rows);
                                turn(&x, &cut, &images, &seen, turned);
                                for first in outputs.clone().step_by(BLOCK) {
                                    let block = first..outputs.end.min(first + BLOCK);
                                    let weights =
                                        &weights[(first - outputs.start) * job.taps * job.channels..];
                                    let many = (images.len(), block.len());
                                    of_block(
                                        job, &cut, pairs, &rows, seen.start, many, turned, weights, sums,
                                    );
                                    leave(job, &cut, &images, &rows, &block, b, sums, &y);
                                }
                            }
                        });
                    });
                });
            });
        })
    }
}

/// Weights of some outputs as `[block, tap, channel, BLOCK]`; outputs that fill up a block become 0.
fn pack(job: &Job, w: &[f32], outputs: &Range<usize>, weights: &mut [f32]) {
    let (taps, channels) = (job.taps, job.channels);
    let blocks = weights.chunks_exact_mut(taps * channels * BLOCK);
    for (first, weights) in outputs.clone().step_by(BLOCK).zip(blocks) {
        let many = BLOCK.min(outputs.end - first);
        if many < BLOCK {
            weights.fill(0.0);
        }
        for c in 0..channels {
            for o in 0..many {
                let at = if job.turned { c * job.outputs + first + o } else { (first + o) * channels + c };
                for (tap, w) in w[at * taps..(at + 1) * taps].iter().enumerate() {
                    weights[(tap * channels + c) * BLOCK + o] = *w;
                }
            }
        }
    }
}

/// Turns some rows of a batch's images to `[pixel, image, channel]`.
fn turn(x: &Planes, cut: &Cut, images: &Range<usize>, rows: &Range<usize>, turned: &mut [f32]) {
    if rows.is_empty() {
        return;
    }
    let pixels = rows.start * x.w..rows.end * x.w;
    for (i, image) in images.clone().enumerate() {
        for first in (0..x.channels).step_by(LANES) {
            let to = &mut turned[i * cut.image + first..];
            x.turn_run(image, &(first..x.channels), &pixels, cut.pixel(), to);
        }
    }
}

/// Sums of some rows of a batch with one block: `[image, pixel, BLOCK]`.
#[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
fn of_block(
    job: &Job,
    cut: &Cut,
    pairs: &Pairs,
    rows: &Range<usize>,
    first_row: usize,
    (images, outputs): (usize, usize),
    inputs: &[f32],
    weights: &[f32],
    sums: &mut [f32],
) {
    let strides = Strides { row: cut.image, step: 1, filter: BLOCK, out: cut.sums(job) };
    let (channels, vectors) = (job.channels, outputs.div_ceil(LANES));
    let panel = channels * BLOCK;
    for (i, p) in (rows.start * job.to[1]..rows.end * job.to[1]).enumerate() {
        let sums = &mut sums[i * BLOCK..];
        let of_pixel = pairs.of(p);
        if of_pixel.is_empty() {
            sums.chunks_mut(strides.out).take(images).for_each(|sums| sums[..BLOCK].fill(0.0));
        }
        for (k, pair) in of_pixel.iter().enumerate() {
            let inputs = &inputs[(pair.from - first_row * job.from[1]) * cut.pixel()..];
            let weights = &weights[pair.tap * panel..(pair.tap + 1) * panel];
            assert!(inputs.len() >= (images - 1) * cut.image + channels);
            assert!(sums.len() >= (images - 1) * strides.out + BLOCK);
            // SAFETY: all images' channels, all channels' weights and all sums lie in their slices, by the assertions.
            unsafe {
                if k == 0 {
                    multiply(inputs, weights, sums, images, channels, vectors, strides);
                } else {
                    multiply_onto(inputs, weights, sums, images, channels, vectors, strides);
                }
            }
        }
    }
}

/// Writes a block.
#[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
fn leave(
    job: &Job,
    cut: &Cut,
    images: &Range<usize>,
    rows: &Range<usize>,
    block: &Range<usize>,
    b: Option<&[f32]>,
    sums: &mut [f32],
    y: &Disjoint<MaybeUninit<f32>>,
) {
    let (plane, pixels) = (job.to[0] * job.to[1], rows.len() * job.to[1]);
    for (image, sums) in images.clone().zip(sums.chunks_mut(cut.sums(job))) {
        if let Some(b) = b {
            for sums in sums[..pixels * BLOCK].chunks_exact_mut(BLOCK) {
                sums.iter_mut().zip(&b[block.clone()]).for_each(|(sum, b)| *sum += *b);
            }
        }
        for first in block.clone().step_by(LANES) {
            let (lanes, from) = (LANES.min(block.end - first), &sums[first - block.start..]);
            let at = (image * job.outputs + first) * plane + rows.start * job.to[1];
            assert!(from.len() >= (pixels - 1) * BLOCK + LANES);
            // SAFETY: these pixels of these outputs belong to the calling task alone, and `from` has all of them.
            unsafe { turn_back(from, pixels, lanes, y.pointer().cast::<f32>().add(at), plane) };
        }
    }
}
