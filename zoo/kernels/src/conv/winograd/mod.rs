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
//! of the output gradient with channels swapped and filters turned around. Errors are one to three times those of matrix
//! products (the test below measures both).
//!
//! Work goes in batches of tiles: some rows of tiles of an image, or several small images. Channels are the vectors:
//! planes are turned to `[pixel, channel]` on the way in and back on the way out. A task has some outputs and some
//! images; each value is one sum over the channels in order, whatever the tasks.

mod filters;
mod four;
mod gradient;
mod inputs;
mod outputs;
mod product;
mod two;

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ConvShape;
use super::vectors::{BLOCK, Planes, ROWS, odd_lines};
use crate::lanes::LANES;
use crate::scratch::{ALIGNED, Slot, aligned, made};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;

/// Tiles of a batch at most, where a row of tiles has no more.
const TILES: usize = 96;

/// Tasks that the work is cut into, at least, where the shape has them.
const TASKS: usize = 16;

/// Names that the ops of this run have given to their groups' transformed filters.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// Sides of the tiles of outputs that a 3x3 input gradient is computed by, where the map and the channels serve them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tiles {
    /// 2 x 2: four products an output in place of nine, with the errors of a matrix product.
    #[default]
    Two,
    /// 4 x 4 where that takes fewer products: 2.25 an output, with larger errors.
    Four,
}

impl Tiles {
    /// Outputs along a side.
    const fn side(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Places of a transformed tile: the inputs that it sees.
    const fn places(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }

    /// Values of a batch's transformed inputs. Those of small tiles should stay in the second-level cache; of large ones so
    /// few tiles would be left that filters were read too often.
    const fn inputs(self) -> usize {
        match self {
            Self::Two => 1 << 18,
            Self::Four => 1 << 20,
        }
    }

    /// Values of a task's transformed filters: all inputs are transformed again for each task of other outputs.
    const fn filters(self) -> usize {
        match self {
            Self::Two => 1 << 19,
            Self::Four => 1 << 21,
        }
    }

    /// Products a pair of channels for a map.
    fn products(self, (h, w): (usize, usize)) -> usize {
        self.places() * h.div_ceil(self.side()) * w.div_ceil(self.side())
    }

    /// These tiles where they take fewer products than smaller ones.
    fn on(self, map: (usize, usize)) -> Self {
        if self.products(map) < Self::Two.products(map) { self } else { Self::Two }
    }
}

/// What is convolved: `y[o] = b[o] + sum over c of w[o, c] * x[c]`, all maps `h * w`.
#[derive(Clone, Copy)]
struct Job {
    images: usize,
    channels: usize,
    outputs: usize,
    h: usize,
    w: usize,
    tiles: Tiles,
    /// Whether the filters lie as `[channels, outputs, 3, 3]` and are turned around: the input gradient.
    turned: bool,
}

pub(super) use gradient::backward_weight;

/// Whether this kernel serves the shape: fewer products than the direct sum by a quarter, and vectors that are full.
pub(super) fn serves(s: &ConvShape) -> bool {
    let plain = s.kernel == (3, 3) && s.stride == 1 && s.pad == 1 && s.groups == 1;
    plain && s.c_in.min(s.c_out) >= LANES && 4 * Tiles::Two.products((s.h, s.w)) <= 3 * 9 * s.h * s.w
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape, tiles: Tiles) -> usize {
    let jobs = [Job::forward(s), Job::backward(s, tiles)].map(|job| Cut::of(&job).scratch_len(&job));
    jobs[0].max(jobs[1]).max(gradient::scratch_len(s)) * size_of::<f32>()
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    run(&Job::forward(s), x, w, b)
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32], tiles: Tiles) -> Vec<f32> {
    run(&Job::backward(s, tiles), dy, w, None)
}

impl Job {
    fn forward(s: &ConvShape) -> Self {
        Self {
            images: s.n,
            channels: s.c_in,
            outputs: s.c_out,
            h: s.h,
            w: s.w,
            tiles: Tiles::Two,
            turned: false,
        }
    }

    fn backward(s: &ConvShape, tiles: Tiles) -> Self {
        let tiles = tiles.on((s.h, s.w));
        Self { images: s.n, channels: s.c_out, outputs: s.c_in, h: s.h, w: s.w, tiles, turned: true }
    }

    /// Rows and columns of tiles of an image.
    fn grid(&self) -> (usize, usize) {
        (self.h.div_ceil(self.tiles.side()), self.w.div_ceil(self.tiles.side()))
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
    inputs: Strides,
}

/// Distances between transformed values: odd numbers of cache lines, so that what is used together does not meet in one
/// set of the cache.
#[derive(Clone, Copy)]
struct Strides {
    /// From one tile to the next.
    tile: usize,
    /// From one place to the next.
    place: usize,
}

impl Strides {
    /// For batches of `tiles` with `values` each.
    fn of(tiles: usize, values: usize) -> Self {
        let tile = odd_lines(values);
        Self { tile, place: odd_lines(tiles * tile) }
    }
}

impl Cut {
    fn of(job: &Job) -> Self {
        let (high, wide) = job.grid();
        let channels = job.padded_channels();
        let most = (job.tiles.inputs() / (job.tiles.places() * channels) / ROWS * ROWS).clamp(ROWS, TILES);
        let (images, rows) = batch_of(high, wide, most, job.images);
        let outputs = job.outputs.next_multiple_of(BLOCK);
        let group =
            (job.tiles.filters() / (job.tiles.places() * channels) / BLOCK * BLOCK).clamp(BLOCK, outputs);
        let groups = job.outputs.div_ceil(group);
        let group = job.outputs.div_ceil(groups).next_multiple_of(BLOCK);
        let wanted = TASKS.div_ceil(groups).min(job.images.div_ceil(images)).max(1);
        let images_per_part = job.images.div_ceil(wanted).next_multiple_of(images).max(1);
        let parts = job.images.div_ceil(images_per_part).max(1);
        let inputs = Strides::of(images * rows * wide, channels);
        Self { group, groups, images_per_part, parts, images, rows, inputs }
    }

    /// Tiles of a batch.
    fn batch(&self, job: &Job) -> usize {
        self.images * self.rows * job.grid().1
    }

    /// Values from one place's sums to the next.
    fn sums_place(&self, job: &Job) -> usize {
        odd_lines(self.batch(job) * BLOCK)
    }

    fn filters_len(&self, job: &Job) -> usize {
        job.tiles.places() * self.group * job.padded_channels()
    }

    /// Values of the pixels that a batch's image sees, with their frame, a vector each.
    fn frame_len(&self, job: &Job) -> usize {
        let side = job.tiles.side();
        (side * self.rows + 2) * (side * job.grid().1 + 2) * LANES
    }

    /// Values of a row of tiles of outputs.
    fn lines_len(job: &Job) -> usize {
        job.tiles.side().pow(2) * job.grid().1 * BLOCK
    }

    fn scratch_len(&self, job: &Job) -> usize {
        let pixels = self.frame_len(job).max(Self::lines_len(job));
        let places = job.tiles.places();
        let sums = places * self.sums_place(job);
        self.filters_len(job) + places * self.inputs.place + sums + pixels + 4 * ALIGNED
    }
}

/// Tiles that are transformed together.
struct Batch {
    images: Range<usize>,
    /// Rows of tiles.
    rows: Range<usize>,
}

impl Batch {
    /// Fetches what follows the sixteen of `channels` from `first` on, where rows `seen` of all of them are turned image by
    /// image.
    fn fetch_next(
        &self,
        x: &Planes<'_>,
        image: usize,
        channels: &Range<usize>,
        first: usize,
        seen: &Range<usize>,
    ) {
        if first + LANES < channels.end {
            x.fetch(image, &(first + LANES..channels.end), seen);
        } else if image + 1 < self.images.end {
            x.fetch(image + 1, channels, seen);
        } else if seen.end < x.h {
            // The next batch's.
            x.fetch(image, channels, &(seen.end..x.h.min(seen.end + seen.len())));
        } else {
            x.fetch(image + 1, channels, &(0..seen.len()));
        }
    }
}

fn run(job: &Job, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (cut, places) = (Cut::of(job), job.tiles.places());
    let x = Planes { values: x, channels: job.channels, h: job.h, w: job.w };
    let names = NAMES.fetch_add(cut.groups as u64, Ordering::Relaxed);
    let (len, work) =
        (job.images * job.outputs * job.h * job.w, job.images * job.outputs * job.h * job.w * 9);
    // SAFETY: the tiles of all images and groups cover the output; each task writes its own images and outputs.
    unsafe {
        filled(len, |y| {
            let y = Disjoint::new(y);
            each_task(cut.parts * cut.groups, work * job.channels, |task| {
                // Parts of one group follow each other: a thread transforms filters once for all that it takes.
                let (group, part) = (task / cut.parts, task % cut.parts);
                let images = part * cut.images_per_part..job.images.min((part + 1) * cut.images_per_part);
                let outputs = group * cut.group..job.outputs.min((group + 1) * cut.group);
                let name = NonZeroU64::MIN.saturating_add(names + group as u64);
                let make = |filters: &mut [f32]| filters::transform(job, w, &outputs, filters);
                made(name, cut.filters_len(job), make, |filters| {
                    aligned(Slot::Columns, places * cut.inputs.place, |inputs| {
                        aligned(Slot::Gathered, places * cut.sums_place(job), |sums| {
                            let pixels = cut.frame_len(job).max(Cut::lines_len(job));
                            aligned(Slot::Values, pixels, |pixels| {
                                each_batch(job.grid().0, (cut.images, cut.rows), images, |batch| {
                                    inputs::transform(
                                        job.tiles,
                                        &x,
                                        &cut.inputs,
                                        batch,
                                        &(0..job.channels),
                                        pixels,
                                        inputs,
                                    );
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

/// Images, and rows of tiles, of batches of `most` tiles, or of one row of them.
fn batch_of(high: usize, wide: usize, most: usize, images: usize) -> (usize, usize) {
    if high * wide <= most {
        return ((most / (high * wide)).min(images.max(1)), high);
    }
    let rows = (most / wide).clamp(1, high);
    // Equal parts: a last row alone would leave most rows of a product empty.
    (1, high.div_ceil(high.div_ceil(rows)))
}

/// Runs `f` on batches of `images` and `rows` of the `high` rows of tiles of some images, in order.
fn each_batch(high: usize, (images, rows): (usize, usize), of: Range<usize>, mut f: impl FnMut(&Batch)) {
    for first in of.clone().step_by(images) {
        for row in (0..high).step_by(rows) {
            f(&Batch { images: first..of.end.min(first + images), rows: row..high.min(row + rows) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{plain, unfolded};
    use super::*;
    use crate::bits::Source;

    /// Number `i` of stream `seed`, in [-1, 1).
    fn value(seed: u64, i: u64) -> f32 {
        let z = i.wrapping_add(seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    /// The largest error, in units of the root mean square of what is exact.
    fn error(found: &[f32], exact: &[f64]) -> f64 {
        let square = exact.iter().map(|x| x * x).sum::<f64>() / exact.len() as f64;
        let most = found.iter().zip(exact).map(|(f, e)| (f64::from(*f) - e).abs()).fold(0.0, f64::max);
        most / square.sqrt()
    }

    /// Against sums in double precision, beside the matrix products that serve other shapes.
    #[test]
    fn errors_are_those_of_direct_sums() {
        for (n, c, side) in [(1, 64, 32), (1, 128, 16), (1, 256, 8), (2, 512, 4)] {
            let s = ConvShape {
                n,
                c_in: c,
                h: side,
                w: side,
                c_out: c,
                kernel: (3, 3),
                stride: 1,
                pad: 1,
                groups: 1,
            };
            let list = |seed, len: usize| (0..len as u64).map(|i| value(seed, i)).collect::<Vec<_>>();
            let (x, w, dy) = (list(1, s.input_len()), list(2, s.weight_len()), list(3, s.output_len()));
            let double = |list: &[f32]| list.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let (dx, dw, ddy) = (double(&x), double(&w), double(&dy));
            let gradient = |f: fn(&ConvShape, &[f32], &[f32], &mut [f32])| {
                let mut into = vec![0.0; s.weight_len()];
                f(&s, &x, &dy, &mut into);
                into
            };
            let mut exact_gradient = vec![0.0; s.weight_len()];
            plain::backward_weight(&s, &dx, &ddy, &mut exact_gradient, false);
            let pairs = [
                (
                    "y",
                    forward(&s, &x, &w, None),
                    unfolded::forward(&s, Source::Dense(&x), &w, None),
                    plain::forward(&s, &dx, &dw, None),
                ),
                (
                    "dx",
                    backward_input(&s, &dy, &w, Tiles::Two),
                    unfolded::backward_input(&s, &dy, &w),
                    plain::backward_input(&s, &ddy, &dw),
                ),
                (
                    "dw",
                    gradient(|s, x, dy, into| backward_weight(s, x, dy, into, false)),
                    gradient(|s, x, dy, into| {
                        unfolded::backward_weight(s, Source::Dense(x), dy, into, false)
                    }),
                    exact_gradient,
                ),
                (
                    "dx by tiles of 4",
                    backward_input(&s, &dy, &w, Tiles::Four),
                    unfolded::backward_input(&s, &dy, &w),
                    plain::backward_input(&s, &ddy, &dw),
                ),
            ];
            for (what, winograd, direct, exact) in pairs {
                let (winograd, direct) = (error(&winograd, &exact), error(&direct, &exact));
                println!(
                    "{c:3} channels, {side:2}x{side:<2} {what:2}: {winograd:.1e}, matrix product {direct:.1e}"
                );
                // Tiles of 4 may have errors a few times larger; nothing computes by them unasked.
                let slack = if what.contains("tiles of 4") { 4.0 } else { 1.0 };
                assert!(winograd < slack * 8e-6, "{what} of {s:?}: {winograd:e}");
                assert!(winograd < slack * 4.0 * direct, "{what} of {s:?}: {winograd:e} against {direct:e}");
            }
        }
    }
}
