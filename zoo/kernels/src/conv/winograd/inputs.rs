//! Inputs on their way in: planes turned to `[pixel, channel]` and `v = B' d B` of each tile, as `[place, tile, channel]`.

use std::ops::Range;

use super::{Batch, PLACES, Strides};
use crate::lanes::{LANES, Lanes, load, on_lanes};

/// Planes that are read: `[images, channels, h, w]`.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    pub(super) h: usize,
    pub(super) w: usize,
}

impl Planes<'_> {
    /// Turns sixteen channels of some rows of an image to vectors; lanes that have no channel become 0.
    ///
    /// Rows begin `line` values apart in `to`.
    pub(super) fn turn(
        &self,
        image: usize,
        channels: &Range<usize>,
        rows: &Range<usize>,
        line: usize,
        to: &mut [f32],
    ) {
        let (plane, many) = (self.h * self.w, rows.len() * self.w);
        let lanes = channels.len().min(LANES);
        let from = &self.values[(image * self.channels + channels.start) * plane + rows.start * self.w..];
        assert!(many > 0 && from.len() >= (lanes - 1) * plane + many);
        assert!(to.len() >= (rows.len() - 1) * line + self.w * LANES);
        // SAFETY: `lanes` rows of `many` pixels lie in `from`, and as many vectors in `to`.
        unsafe { turn(from, plane, lanes, many, self.w, line, to) };
    }
}

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
            x.turn(image, &(first..channels.end), &seen, line, &mut pixels[skip..]);
            let to = &mut inputs[index * tiles * cut.tile + first - channels.start..];
            assert!(to.len() >= (PLACES - 1) * cut.place + (tiles - 1) * cut.tile + LANES);
            // SAFETY: the frame has two rows for each row of tiles and two more, and so for columns; `to` has room for
            // the last vector of the last place.
            unsafe { spread(pixels, batch.rows.len(), wide, cut.tile, cut.place, to) };
        }
    }
}

on_lanes! {
    /// `to[pixel, lane] = from[lane, pixel]` for pixels in rows of `w`, which begin `line` values apart in `to`; lanes from
    /// `lanes` on become 0.
    ///
    /// # Safety
    /// `from` has `lanes` rows of `many` pixels, `plane` values apart; `to` has room for all pixels.
    unsafe fn turn[L](
        from: &[f32],
        plane: usize,
        lanes: usize,
        many: usize,
        w: usize,
        line: usize,
        to: &mut [f32],
    ) {
        let (mut column, mut row) = (0, to.as_mut_ptr());
        for first in (0..many).step_by(LANES) {
            let now = LANES.min(many - first);
            // SAFETY: by the contract.
            unsafe {
                let mut rows = [L::splat(0.0); LANES];
                let from = from.as_ptr().add(first);
                if lanes == LANES && now == LANES {
                    rows = load::<L, LANES>(from, plane);
                } else {
                    for (lane, row) in rows.iter_mut().enumerate().take(lanes) {
                        *row = L::load_some(from.add(lane * plane), now);
                    }
                }
                let turned = L::turn(rows);
                if now == LANES && column + LANES <= w {
                    for (i, pixel) in turned.into_iter().enumerate() {
                        pixel.store(row.add((column + i) * LANES));
                    }
                    column += LANES;
                    if column == w {
                        (column, row) = (0, row.wrapping_add(line));
                    }
                    continue;
                }
                for pixel in turned.into_iter().take(now) {
                    pixel.store(row.add(column * LANES));
                    column += 1;
                    if column == w {
                        // Behind the last row it is not used.
                        (column, row) = (0, row.wrapping_add(line));
                    }
                }
            }
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
