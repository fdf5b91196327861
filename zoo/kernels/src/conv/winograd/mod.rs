//! 3x3 convolutions of numbers by Winograd's F(2x2, 3x3).
//!
//! ```text
//! y tile [2, 2] = A' [ sum over c of (G w G') * (B' d B) ] A,     d: the 4x4 inputs that the tile sees
//!
//!      1  0 -1  0            1    0    0           1  1  1  0
//! B' = 0  1  1  0       G = 1/2  1/2  1/2     A' = 0  1 -1 -1
//!      0 -1  1  0           1/2 -1/2  1/2
//!      0  1  0 -1            0    0    1
//! ```
//!
//! (Lavin & Gray, CVPR 2016.) Sixteen products where the direct sum has 36; the last row of `B'` and the last column of
//! `A'` have the sign of Winograd's original turned, which changes no result. The input gradient is the same convolution
//! of the output gradient with channels swapped and filters turned around. Sums over channels are as long as the direct
//! ones are wide, so the error is no larger than theirs.
//!
//! Work goes in batches of tiles: some rows of tiles of an image, or several small images. Channels are the vectors:
//! planes are turned to `[pixel, channel]` on the way in and back on the way out. A task has some outputs and some
//! images; each value is one sum over the channels in order, whatever the tasks.

mod filters;
mod inputs;
mod outputs;
mod product;

use std::ops::Range;

use super::ConvShape;
use crate::lanes::LANES;
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::{Disjoint, each_task, filled};

/// Places of a transformed tile.
const PLACES: usize = 16;

/// Outputs of a block: two vectors.
const BLOCK: usize = 2 * LANES;

/// Tiles of a batch at most, where a row of tiles has no more.
const TILES: usize = 96;

/// Values of a batch's transformed inputs: they should stay in the second-level cache.
const INPUTS: usize = 1 << 18;

/// Values of a task's transformed filters, which should too.
const FILTERS: usize = 1 << 19;

/// Tasks that the work is cut into, at least, where the shape has them.
const TASKS: usize = 16;

/// What is convolved: `y[o] = b[o] + sum over c of w[o, c] * x[c]`, all maps `h * w`.
#[derive(Clone, Copy)]
struct Job {
    images: usize,
    channels: usize,
    outputs: usize,
    h: usize,
    w: usize,
    /// Whether the filters lie as `[channels, outputs, 3, 3]` and are turned around: the input gradient.
    turned: bool,
}

/// Whether this kernel serves the shape: fewer products than the direct sum by a quarter, and vectors that are full.
pub(super) fn serves(s: &ConvShape) -> bool {
    let plain = s.kernel == (3, 3) && s.stride == 1 && s.pad == 1 && s.groups == 1;
    let tiles = s.h.div_ceil(2) * s.w.div_ceil(2);
    plain && s.c_in.min(s.c_out) >= LANES && 4 * PLACES * tiles <= 3 * 9 * s.h * s.w
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    [Job::forward(s), Job::backward(s)].iter().map(|job| Cut::of(job).scratch_len(job)).max().unwrap_or(0)
        * size_of::<f32>()
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    run(&Job::forward(s), x, w, b)
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    run(&Job::backward(s), dy, w, None)
}

impl Job {
    fn forward(s: &ConvShape) -> Self {
        Self { images: s.n, channels: s.c_in, outputs: s.c_out, h: s.h, w: s.w, turned: false }
    }

    fn backward(s: &ConvShape) -> Self {
        Self { images: s.n, channels: s.c_out, outputs: s.c_in, h: s.h, w: s.w, turned: true }
    }

    /// Rows and columns of tiles of an image.
    fn tiles(&self) -> (usize, usize) {
        (self.h.div_ceil(2), self.w.div_ceil(2))
    }

    /// Channels, in whole vectors.
    fn padded_channels(&self) -> usize {
        self.channels.next_multiple_of(LANES)
    }
}

/// How a job is cut.
#[derive(Clone, Copy)]
struct Cut {
    /// Outputs of a task, in whole blocks.
    group: usize,
    groups: usize,
    images_per_part: usize,
    parts: usize,
    /// Images of a batch.
    images: usize,
    /// Rows of tiles of a batch; all of them when there are several images.
    rows: usize,
    /// Values from one tile's transformed inputs to the next: an odd number of cache lines, as are the strides below,
    /// so that what is used together does not meet in one set of the cache.
    tile: usize,
    /// Values from one place's transformed inputs to the next.
    place: usize,
}

impl Cut {
    fn of(job: &Job) -> Self {
        let (high, wide) = job.tiles();
        let channels = job.padded_channels();
        let most = (INPUTS / (PLACES * channels) / product::ROWS * product::ROWS).clamp(product::ROWS, TILES);
        let (images, rows) = if high * wide <= most {
            (most / (high * wide), high)
        } else {
            let rows = (most / wide).clamp(1, high);
            // Equal parts: a last row alone would leave most rows of a product empty.
            (1, high.div_ceil(high.div_ceil(rows)))
        };
        let images = images.min(job.images.max(1));
        let outputs = job.outputs.next_multiple_of(BLOCK);
        let group = (FILTERS / (PLACES * channels) / BLOCK * BLOCK).clamp(BLOCK, outputs);
        let groups = job.outputs.div_ceil(group);
        let wanted = TASKS.div_ceil(groups).min(job.images.div_ceil(images)).max(1);
        let images_per_part = job.images.div_ceil(wanted).next_multiple_of(images).max(1);
        let tile = odd_lines(channels);
        let place = odd_lines(images * rows * wide * tile);
        let parts = job.images.div_ceil(images_per_part).max(1);
        Self { group, groups, images_per_part, parts, images, rows, tile, place }
    }

    /// Tiles of a batch.
    fn batch(&self, job: &Job) -> usize {
        self.images * self.rows * job.tiles().1
    }

    /// Values from one place's sums to the next.
    fn sums_place(&self, job: &Job) -> usize {
        odd_lines(self.batch(job) * BLOCK)
    }

    fn filters_len(&self, job: &Job) -> usize {
        PLACES * self.group * job.padded_channels()
    }

    /// Values of the pixels that a batch's image sees, with their frame, a vector each.
    fn frame_len(&self, job: &Job) -> usize {
        (2 * self.rows + 2) * (2 * job.tiles().1 + 2) * LANES
    }

    /// Values of two rows of outputs.
    fn lines_len(job: &Job) -> usize {
        4 * job.tiles().1 * BLOCK
    }

    fn scratch_len(&self, job: &Job) -> usize {
        let pixels = self.frame_len(job).max(Self::lines_len(job));
        let sums = PLACES * self.sums_place(job);
        self.filters_len(job) + PLACES * self.place + sums + pixels + 4 * ALIGNED
    }
}

/// The next length that is an odd number of cache lines.
fn odd_lines(len: usize) -> usize {
    let lines = len.div_ceil(LANES);
    (lines + 1 - lines % 2) * LANES
}

/// Tiles that are transformed together.
struct Batch {
    images: Range<usize>,
    /// Rows of tiles.
    rows: Range<usize>,
}

fn run(job: &Job, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let cut = Cut::of(job);
    let (len, work) =
        (job.images * job.outputs * job.h * job.w, job.images * job.outputs * job.h * job.w * 9);
    // SAFETY: the tiles of all images and groups cover the output; each task writes its own images and outputs.
    unsafe {
        filled(len, |y| {
            let y = Disjoint::new(y);
            each_task(cut.parts * cut.groups, work * job.channels, |task| {
                let (part, group) = (task / cut.groups, task % cut.groups);
                let images = part * cut.images_per_part..job.images.min((part + 1) * cut.images_per_part);
                let outputs = group * cut.group..job.outputs.min((group + 1) * cut.group);
                aligned(Slot::Filters, cut.filters_len(job), |filters| {
                    filters::transform(job, w, &outputs, filters);
                    aligned(Slot::Columns, PLACES * cut.place, |inputs| {
                        aligned(Slot::Gathered, PLACES * cut.sums_place(job), |sums| {
                            let pixels = cut.frame_len(job).max(Cut::lines_len(job));
                            aligned(Slot::Values, pixels, |pixels| {
                                each_batch(job, &cut, images, |batch| {
                                    inputs::transform(job, &cut, x, batch, pixels, inputs);
                                    for block in (0..outputs.len()).step_by(BLOCK) {
                                        product::of_block(
                                            job,
                                            &cut,
                                            batch,
                                            block,
                                            outputs.len(),
                                            inputs,
                                            filters,
                                            sums,
                                        );
                                        let outputs = outputs.start + block
                                            ..outputs.end.min(outputs.start + block + BLOCK);
                                        outputs::leave(job, &cut, batch, outputs, b, sums, pixels, &y);
                                    }
                                });
                            });
                        });
                    });
                });
            });
        })
    }
}

/// Runs `f` on the batches of some images, in order.
fn each_batch(job: &Job, cut: &Cut, images: Range<usize>, mut f: impl FnMut(&Batch)) {
    for first in images.clone().step_by(cut.images) {
        for row in (0..job.tiles().0).step_by(cut.rows) {
            let rows = row..job.tiles().0.min(row + cut.rows);
            f(&Batch { images: first..images.end.min(first + cut.images), rows });
        }
    }
}
