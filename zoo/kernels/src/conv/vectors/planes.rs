//! Planes turned to vectors of channels, and back.

use std::ops::Range;

use super::BLOCK;
use crate::lanes::{LANES, load, on_lanes};
use crate::simd::fetch_run;

/// Planes that are read: `[images, channels, h, w]`.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Planes<'a> {
    pub(in crate::conv) values: &'a [f32],
    pub(in crate::conv) channels: usize,
    pub(in crate::conv) h: usize,
    pub(in crate::conv) w: usize,
}

/// Rows of an image, and where they go.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Rows {
    pub(in crate::conv) first: usize,
    pub(in crate::conv) many: usize,
    /// Values from one row to the next.
    pub(in crate::conv) line: usize,
    /// Values from one pixel to the next.
    pub(in crate::conv) apart: usize,
}

impl Planes<'_> {
    /// Turns the first sixteen of some channels of an image to vectors; lanes that have no channel become 0.
    pub(in crate::conv) fn turn(&self, image: usize, channels: &Range<usize>, rows: &Rows, to: &mut [f32]) {
        let (plane, many) = (self.h * self.w, rows.many * self.w);
        let lanes = channels.len().min(LANES);
        let from = &self.values[(image * self.channels + channels.start) * plane + rows.first * self.w..];
        assert!(many > 0 && from.len() >= (lanes - 1) * plane + many);
        assert!(to.len() >= (rows.many - 1) * rows.line + (self.w - 1) * rows.apart + LANES);
        // SAFETY: `lanes` rows of `many` pixels lie in `from`, and as many vectors in `to`.
        unsafe { turn(from, plane, lanes, many, self.w, rows.line, rows.apart, to) };
    }

    /// Fetches some rows of the first sixteen of some channels, which [`Planes::turn`] will read soon: a plane ends before
    /// the processor has seen that it is a run.
    pub(in crate::conv) fn fetch(&self, image: usize, channels: &Range<usize>, rows: &Range<usize>) {
        for channel in channels.clone().take(LANES) {
            let at = ((image * self.channels + channel) * self.h + rows.start) * self.w;
            fetch_run(self.values.as_ptr().wrapping_add(at), rows.len() * self.w);
        }
    }

    /// As [`Planes::turn`], pixels of any rows one after the other, `apart` values apart.
    pub(in crate::conv) fn turn_run(
        &self,
        image: usize,
        channels: &Range<usize>,
        pixels: &Range<usize>,
        apart: usize,
        to: &mut [f32],
    ) {
        let (plane, many) = (self.h * self.w, pixels.len());
        let lanes = channels.len().min(LANES);
        let from = &self.values[(image * self.channels + channels.start) * plane + pixels.start..];
        assert!(many > 0 && from.len() >= (lanes - 1) * plane + many);
        assert!(to.len() >= (many - 1) * apart + LANES);
        // SAFETY: `lanes` rows of `many` pixels lie in `from`, and as many vectors in `to`.
        unsafe { turn(from, plane, lanes, many, many, 0, apart, to) };
    }
}

on_lanes! {
    /// `to[pixel, lane] = from[lane, pixel]` for pixels in rows of `w`: in `to`, rows begin `line` and pixels `apart` values
    /// apart. Lanes from `lanes` on become 0.
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
        apart: usize,
        to: &mut [f32],
    ) {
        let (mut column, mut row) = (0, to.as_mut_ptr());
        for first in (0..many).step_by(LANES) {
            let now = LANES.min(many - first);
            // SAFETY: by the contract.
            unsafe {
                let from = from.as_ptr().add(first);
                let turned = if lanes == LANES && now == LANES {
                    L::turn(load::<L, LANES>(from, plane))
                } else {
                    let mut rows = [L::splat(0.0); LANES];
                    for (lane, row) in rows.iter_mut().enumerate().take(lanes) {
                        *row = L::load_some(from.add(lane * plane), now);
                    }
                    L::turn(rows)
                };
                if now == LANES && column + LANES <= w {
                    for (i, pixel) in turned.into_iter().enumerate() {
                        pixel.store(row.add((column + i) * apart));
                    }
                    column += LANES;
                    if column == w {
                        (column, row) = (0, row.wrapping_add(line));
                    }
                    continue;
                }
                for pixel in turned.into_iter().take(now) {
                    pixel.store(row.add(column * apart));
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
    /// `to[lane, pixel] = from[pixel, lane]`, rows of `to` being `plane` apart.
    ///
    /// # Safety
    /// `from` has `many` pixels of `BLOCK` values, the last without what is behind a vector; `to` is valid for
    /// writes of `lanes` rows of `many` values, which nobody else touches meanwhile.
    pub(in crate::conv) unsafe fn turn_back[L](from: &[f32], many: usize, lanes: usize, to: *mut f32, plane: usize) {
        for first in (0..many).step_by(LANES) {
            let now = LANES.min(many - first);
            // SAFETY: by the contract.
            unsafe {
                let (from, to) = (from.as_ptr().add(first * BLOCK), to.add(first));
                if lanes == LANES && now == LANES {
                    for (lane, row) in L::turn(load::<L, LANES>(from, BLOCK)).into_iter().enumerate() {
                        row.store(to.add(lane * plane));
                    }
                    continue;
                }
                let mut rows = [L::splat(0.0); LANES];
                for (i, row) in rows.iter_mut().enumerate().take(now) {
                    *row = L::load(from.add(i * BLOCK));
                }
                for (lane, row) in L::turn(rows).into_iter().enumerate().take(lanes) {
                    row.store_some(to.add(lane * plane), now);
                }
            }
        }
    }
}
