//! Inputs on their way in: planes turned to `[pixel, channel]` and `v = B' d B` of each tile, as `[place, tile, channel]`.

use std::ops::Range;

use super::{Batch, PLACES, Strides};
use crate::conv::vectors::{Planes, Rows};
use crate::lanes::{LANES, Lanes, load, on_lanes};

/// Transforms some channels of a batch; `pixels` is room for the frame of an image.
pub(super) fn transform(
    x: &Planes<'_>,
    cut: &Strides,
    batch: &Batch,
    channels: &Range<usize>,
    pixels: &mut [f32],
    inputs: &mut [f32],
) {
    let wide = x.w.div_ceil(2);
    // The rows that the tiles see, without those outside the image.
    let seen = (2 * batch.rows.start).saturating_sub(1)..x.h.min(2 * batch.rows.end + 1);
    let line = (2 * wide + 2) * LANES;
    // Row 0 of the frame is the one above the first tile.
    let skip = (seen.start + 1 - 2 * batch.rows.start) * line + LANES;
    let pixels = &mut pixels[..(2 * batch.rows.len() + 2) * line];
    // What lies outside the image stays 0 for all channels.
    pixels.fill(0.0);
    let tiles = batch.rows.len() * wide;
    for (index, image) in batch.images.clone().enumerate() {
        for first in channels.clone().step_by(LANES) {
            let rows = Rows { first: seen.start, many: seen.len(), line, apart: LANES };
            x.turn(image, &(first..channels.end), &rows, &mut pixels[skip..]);
            let to = &mut inputs[index * tiles * cut.tile + first - channels.start..];
            assert!(to.len() >= (PLACES - 1) * cut.place + (tiles - 1) * cut.tile + LANES);
            // SAFETY: the frame has two rows for each row of tiles and two more, and so for columns; `to` has room for
            // the last vector of the last place.
            unsafe { spread(pixels, batch.rows.len(), wide, cut.tile, cut.place, to) };
        }
    }
}

on_lanes! {
    /// `to[place, tile] = B' d B` for `high * wide` tiles.
    ///
    /// # Safety
    /// `pixels` has `2 high + 2` rows of `2 wide + 2` vectors; `to` has room for all places and tiles.
    unsafe fn spread[L](pixels: &[f32], high: usize, wide: usize, tile: usize, place: usize, to: &mut [f32]) {
        let line = (2 * wide + 2) * LANES;
        for i in 0..high {
            for j in 0..wide {
                // SAFETY: by the contract.
                unsafe {
                    let from = pixels.as_ptr().add(2 * i * line + 2 * j * LANES);
                    let mut d = [[L::splat(0.0); 4]; 4];
                    for (a, d) in d.iter_mut().enumerate() {
                        *d = differences(load::<L, 4>(from.add(a * line), LANES));
                    }
                    let to = to.as_mut_ptr().add((i * wide + j) * tile);
                    for (b, column) in turn_four(d).into_iter().enumerate() {
                        for (a, v) in differences(column).into_iter().enumerate() {
                            v.store(to.add((4 * a + b) * place));
                        }
                    }
                }
            }
        }
    }
}

/// Rows as columns.
#[inline(always)]
fn turn_four<L: Copy>([a, b, c, d]: [[L; 4]; 4]) -> [[L; 4]; 4] {
    [[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]], [a[2], b[2], c[2], d[2]], [a[3], b[3], c[3], d[3]]]
}

/// `B' d` of a column, or `d B` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn differences<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 4] {
    // SAFETY: by the caller's contract.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}
