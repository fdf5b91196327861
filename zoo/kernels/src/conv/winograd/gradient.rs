//! The gradient of the weights.
//!
//! ```text
//! dw = G' [ sum over tiles of (A dy A') * (B' d B) ] G        dy: the 2x2 output gradients of the tile
//! ```
//!
//! A task has a block of input channels and one of outputs, whose sums stay in the second-level cache while the tiles
//! pass in order. Where that makes few tasks, images are cut into parts, which are added in order.

use std::ops::Range;

use super::{Batch, ConvShape, Strides, TILES, Tiles, each_batch, inputs};
use crate::conv::parts::{TOGETHER, give_columns, in_parts};
use crate::conv::vectors::{self, BLOCK, Planes, Rows, multiply_onto};
use crate::lanes::{LANES, Lanes, load, on_lanes};
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::Disjoint;
use crate::tasks::each_task;

/// Input channels, and outputs, of a task at most.
const SIDE: usize = 64;

/// Tasks that the work is cut into, at least, where there are images enough.
const TASKS: usize = 8;

struct Cut {
    chunks: usize,
    blocks: usize,
    parts: usize,
    images_per_part: usize,
    /// Images of a batch.
    images: usize,
    /// Rows of tiles of a batch.
    rows: usize,
    /// Of the inputs and of the output gradients.
    strides: Strides,
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        let (high, wide) = (s.h.div_ceil(2), s.w.div_ceil(2));
        let (images, rows) = super::batch_of(high, wide, TILES, s.n);
        let (chunks, blocks) = (s.c_in.div_ceil(SIDE), s.c_out.div_ceil(SIDE));
        let wanted = TASKS.div_ceil(chunks * blocks).min(s.n.div_ceil(images)).max(1);
        let images_per_part = s.n.div_ceil(wanted).next_multiple_of(images).max(1);
        let parts = s.n.div_ceil(images_per_part).max(1);
        Self {
            chunks,
            blocks,
            parts,
            images_per_part,
            images,
            rows,
            strides: Strides::of(images * rows * wide, SIDE),
        }
    }

    /// Values of the pixels that a batch's image sees, with their frame, a vector each.
    fn frame_len(&self, s: &ConvShape) -> usize {
        (2 * self.rows + 2) * (2 * s.w.div_ceil(2) + 2) * LANES
    }
}

/// Taps of a filter, and the input channels whose taps are written together.
const TAPS: usize = 9;
const LEAVING: usize = TOGETHER / TAPS;

/// Places of a transformed tile.
const PLACES: usize = Tiles::Two.places();

/// From one place's sums to the next.
const SUMS: usize = SIDE * SIDE + LANES;

/// Values of scratch that each thread keeps.
pub(super) fn scratch_len(s: &ConvShape) -> usize {
    let cut = Cut::of(s);
    PLACES * (2 * cut.strides.place + SUMS) + cut.frame_len(s) + 4 * ALIGNED
}

/// See [`crate::conv::backward_weight`].
pub(in crate::conv) fn backward_weight(
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let cut = Cut::of(s);
    let x = Planes { values: x, channels: s.c_in, h: s.h, w: s.w };
    let dy = Planes { values: dy, channels: s.c_out, ..x };
    in_parts(cut.parts, dw, accumulate, |into, add| {
        each_part(s, &cut, &x, &dy, &Disjoint::new(into), add);
    });
}

/// Runs all tasks; `into` holds the weights once a part.
fn each_part(s: &ConvShape, cut: &Cut, x: &Planes, dy: &Planes, into: &Disjoint<f32>, accumulate: bool) {
    each_task(cut.parts * cut.chunks * cut.blocks, s.output_len() * s.patch(), |task| {
        let (part, block, chunk) =
            (task / cut.chunks / cut.blocks, task / cut.chunks % cut.blocks, task % cut.chunks);
        let images = part * cut.images_per_part..s.n.min((part + 1) * cut.images_per_part);
        let channels = chunk * SIDE..s.c_in.min((chunk + 1) * SIDE);
        let outputs = block * SIDE..s.c_out.min((block + 1) * SIDE);
        aligned(Slot::Gathered, PLACES * SUMS, |sums| {
            sums.fill(0.0);
            aligned(Slot::Columns, PLACES * cut.strides.place, |inputs| {
                aligned(Slot::Filters, PLACES * cut.strides.place, |gradients| {
                    aligned(Slot::Values, cut.frame_len(s), |pixels| {
                        each_batch(s.h.div_ceil(2), (cut.images, cut.rows), images, |batch| {
                            inputs::transform(Tiles::Two, x, &cut.strides, batch, &channels, pixels, inputs);
                            transform(dy, &cut.strides, batch, &outputs, pixels, gradients);
                            let tiles = batch.images.len() * batch.rows.len() * s.w.div_ceil(2);
                            add(cut, tiles, channels.len(), outputs.len(), inputs, gradients, sums);
                        });
                    });
                });
            });
            leave(s, part, &channels, &outputs, sums, accumulate, into);
        });
    });
}

/// Transforms some outputs' gradients of a batch: `z = A dy A'`, as `[place, tile, output]`.
fn transform(
    dy: &Planes,
    strides: &Strides,
    batch: &Batch,
    outputs: &Range<usize>,
    pixels: &mut [f32],
    gradients: &mut [f32],
) {
    let wide = dy.w.div_ceil(2);
    let (seen, line) = (2 * batch.rows.start..dy.h.min(2 * batch.rows.end), 2 * wide * LANES);
    let pixels = &mut pixels[..2 * batch.rows.len() * line];
    // Tiles that reach over an odd edge see zeros there.
    pixels.fill(0.0);
    let tiles = batch.rows.len() * wide;
    for (index, image) in batch.images.clone().enumerate() {
        for first in outputs.clone().step_by(LANES) {
            let rows = Rows { first: seen.start, many: seen.len(), line, apart: LANES };
            batch.fetch_next(dy, image, outputs, first, &seen);
            dy.turn(image, &(first..outputs.end), &rows, pixels);
            let to = &mut gradients[index * tiles * strides.tile + first - outputs.start..];
            assert!(to.len() >= (PLACES - 1) * strides.place + (tiles - 1) * strides.tile + LANES);
            // SAFETY: there are two rows of pixels for each row of tiles, and so for columns; `to` has room for the last
            // vector of the last place.
            unsafe { spread(pixels, batch.rows.len(), wide, strides.tile, strides.place, to) };
        }
    }
}

on_lanes! {
    /// `to[place, tile] = A dy A'` for `high * wide` tiles.
    ///
    /// # Safety
    /// `pixels` has `2 high` rows of `2 wide` vectors; `to` has room for all places and tiles.
    unsafe fn spread[L](pixels: &[f32], high: usize, wide: usize, tile: usize, place: usize, to: &mut [f32]) {
        let line = 2 * wide * LANES;
        for i in 0..high {
            for j in 0..wide {
                // SAFETY: by the contract.
                unsafe {
                    let from = pixels.as_ptr().add(2 * i * line + 2 * j * LANES);
                    let upper = mixtures(load::<L, 2>(from, LANES));
                    let lower = mixtures(load::<L, 2>(from.add(line), LANES));
                    let mut to = to.as_mut_ptr().add((i * wide + j) * tile);
                    for (upper, lower) in upper.into_iter().zip(lower) {
                        for (a, z) in mixtures([upper, lower]).into_iter().enumerate() {
                            z.store(to.add(4 * a * place));
                        }
                        to = to.wrapping_add(place);
                    }
                }
            }
        }
    }
}

/// `A dy` of a column, or `dy A'` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn mixtures<L: Lanes>([a, b]: [L; 2]) -> [L; 4] {
    // SAFETY: by the caller's contract.
    unsafe { [a, a.add(b), a.sub(b), L::splat(0.0).sub(b)] }
}

/// Adds a batch's products to the sums `[place, channel, output]`.
fn add(
    cut: &Cut,
    tiles: usize,
    channels: usize,
    outputs: usize,
    inputs: &[f32],
    gradients: &[f32],
    sums: &mut [f32],
) {
    let tile = cut.strides.tile;
    let strides = vectors::Strides { row: 1, step: tile, filter: tile, out: SIDE };
    let padded = channels.next_multiple_of(LANES);
    for place in 0..PLACES {
        let (inputs, gradients) =
            (&inputs[place * cut.strides.place..], &gradients[place * cut.strides.place..]);
        let sums = &mut sums[place * SUMS..];
        for first in (0..outputs).step_by(BLOCK) {
            let vectors = (outputs - first).min(BLOCK).div_ceil(LANES);
            let (gradients, sums) = (&gradients[first..], &mut sums[first..]);
            assert!(inputs.len() >= (tiles - 1) * tile + padded);
            assert!(gradients.len() >= (tiles - 1) * tile + vectors * LANES);
            assert!(sums.len() >= (padded - 1) * SIDE + vectors * LANES);
            // SAFETY: all tiles' inputs and gradients and all channels' sums lie in their slices, by the assertions.
            unsafe { multiply_onto(inputs, gradients, sums, padded, tiles, vectors, strides) };
        }
    }
}

/// Writes a task's weights: `dw = G' m G`.
fn leave(
    s: &ConvShape,
    part: usize,
    channels: &Range<usize>,
    outputs: &Range<usize>,
    sums: &[f32],
    accumulate: bool,
    into: &Disjoint<f32>,
) {
    let mut taps = [[[0.0; LANES]; TAPS]; LEAVING];
    for first in (0..outputs.len()).step_by(LANES) {
        for some in (0..channels.len()).step_by(LEAVING) {
            let taps = &mut taps[..LEAVING.min(channels.len() - some)];
            for (index, taps) in taps.iter_mut().enumerate() {
                let from = &sums[(some + index) * SIDE + first..];
                assert!(from.len() >= (PLACES - 1) * SUMS + LANES);
                // SAFETY: a vector of every place lies in `from`, by the assertion.
                unsafe { gather(from, taps) };
            }
            let (taps, rows) = (taps.as_flattened().as_flattened(), (outputs.len() - first, s.c_in * TAPS));
            let at =
                part * s.weight_len() + ((outputs.start + first) * s.c_in + channels.start + some) * TAPS;
            // SAFETY: each task has its own part, output channels and input channels of the weights.
            unsafe { give_columns::<{ LANES * TOGETHER }>(taps, rows, at, into, accumulate) };
        }
    }
}

on_lanes! {
    /// `taps = G' m G`.
    ///
    /// # Safety
    /// `sums` has a vector at each place, `SUMS` values apart.
    unsafe fn gather[L](sums: &[f32], taps: &mut [[f32; LANES]; TAPS]) {
        // SAFETY: by the contract.
        unsafe {
            let mut m = [[L::splat(0.0); 3]; 4];
            for (a, m) in m.iter_mut().enumerate() {
                *m = thirds(load::<L, 4>(sums.as_ptr().add(4 * a * SUMS), SUMS));
            }
            let [m0, m1, m2, m3] = m;
            for (q, column) in [
                [m0[0], m1[0], m2[0], m3[0]],
                [m0[1], m1[1], m2[1], m3[1]],
                [m0[2], m1[2], m2[2], m3[2]],
            ]
            .into_iter()
            .enumerate()
            {
                for (p, tap) in thirds(column).into_iter().enumerate() {
                    tap.store(taps[3 * p + q].as_mut_ptr());
                }
            }
        }
    }
}

/// `G' m` of a column, or `m G` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn thirds<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 3] {
    // SAFETY: by the caller's contract.
    unsafe {
        let half = L::splat(0.5);
        let (sum, difference) = (b.add(c).mul(half), b.sub(c).mul(half));
        [a.add(sum), difference, sum.add(d)]
    }
}
