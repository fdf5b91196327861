//! Where in its table each place reads: the spikes of five channels as one number.
//!
//! ```text
//! offset[n, i, j] = bytes of an entry * sum over k < 5 of 2^k * spike[n, c + k, i, j]
//! ```
//!
//! For 3x3 filters they lie in a frame of silent places; for 1x1 filters, without a frame, those of nine times five
//! channels lie in nine lines, at the output's places only.

use std::ops::Range;

use super::ConvShape;
use super::tables::{BITS, ENTRY, TABLES};

/// Places that are computed at a time.
const MANY: usize = 16;

/// Pixels of maps whose places are computed for several images at a time.
const FEW: usize = 4;

/// How the places of a part lie.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// From one line to the next: a row in its frame, or all pixels of a 1x1 filter.
    pub(super) line: usize,
    /// From one image to the next.
    pub(super) image: usize,
    /// Whether the filter is 1x1.
    pub(super) point: bool,
}

impl Layout {
    /// For parts of `rows` output rows, `pixels` an image with what fills up the last quads.
    pub(super) fn of(s: &ConvShape, rows: usize, pixels: usize) -> Self {
        if s.kernel == (1, 1) {
            return Self { line: pixels, image: TABLES * pixels, point: true };
        }
        let line = ((pixels / rows.max(1)).max(1) * s.stride + 3 - s.stride).max(s.w + 2);
        Self { line, image: ((rows.max(1) - 1) * s.stride + 3) * line, point: false }
    }

    pub(super) fn len(&self, images: usize) -> usize {
        images * self.image
    }
}

/// Computes the places of a pass; those outside the image are left as they are: 0.
pub(super) fn fill(
    s: &ConvShape,
    spikes: &[u8],
    layout: &Layout,
    images: &Range<usize>,
    rows: &Range<usize>,
    pass: usize,
    to: &mut [u16],
) {
    if layout.point {
        fill_points(s, spikes, layout, images, rows, pass, to);
    } else {
        fill_framed(s, spikes, layout, images, rows, pass, to);
    }
}

crate::simd::multiversion! {
    fn fill_framed(s: &ConvShape, spikes: &[u8], layout: &Layout, images: &Range<usize>, rows: &Range<usize>, pass: usize, to: &mut [u16]) {
        let above = (rows.start * s.stride).saturating_sub(1);
        let below = s.h.min((rows.end - 1) * s.stride + 2);
        let pixels = above * s.w..below * s.w;
        // The first row in the frame is the one above the first output's.
        let first = (above + 1 - rows.start * s.stride) * layout.line + 1;
        let channels = pass * BITS..s.c_in.min((pass + 1) * BITS);
        for (image, to) in images.clone().zip(to.chunks_exact_mut(layout.image)) {
            let bits = rows_of(s, spikes, image, &channels);
            let width = (s.h * s.w).div_ceil(8);
            if s.w.is_multiple_of(MANY) {
                spread::<MANY>(bits, width, &pixels, s.w, layout.line, &mut to[first..]);
            } else if s.w.is_multiple_of(4) {
                spread::<4>(bits, width, &pixels, s.w, layout.line, &mut to[first..]);
            } else {
                spread::<1>(bits, width, &pixels, s.w, layout.line, &mut to[first..]);
            }
        }
    }
}

/// Lays the places of some pixels out in lines for rows of `w`, `RUN` at a time; `RUN` divides `w`.
#[inline(always)]
fn spread<const RUN: usize>(
    bits: &[u8],
    width: usize,
    pixels: &Range<usize>,
    w: usize,
    line: usize,
    to: &mut [u16],
) {
    let (mut at, mut column) = (0, 0);
    for start in (pixels.start / MANY * MANY..pixels.end).step_by(MANY) {
        let found = places_at(bits, width, start);
        let used = &found[pixels.start.saturating_sub(start)..MANY.min(pixels.end - start)];
        for run in used.as_chunks::<RUN>().0 {
            if let Some(to) = to.get_mut(at + column..at + column + RUN) {
                to.copy_from_slice(run);
            }
            column += RUN;
            if column == w {
                (at, column) = (at + line, 0);
            }
        }
    }
}

crate::simd::multiversion! {
    fn fill_points(s: &ConvShape, spikes: &[u8], layout: &Layout, images: &Range<usize>, rows: &Range<usize>, pass: usize, to: &mut [u16]) {
        if s.stride == 1 && s.h * s.w == FEW {
            return fill_few(s, spikes, layout, images, pass, to);
        }
        let pixels = rows.start * s.out_w()..rows.end * s.out_w();
        let width = (s.h * s.w).div_ceil(8);
        for (image, to) in images.clone().zip(to.chunks_exact_mut(layout.image)) {
            for (table, to) in to.chunks_exact_mut(layout.line).enumerate() {
                let first = (pass * TABLES + table) * BITS;
                let channels = first.min(s.c_in)..s.c_in.min(first + BITS);
                if channels.is_empty() {
                    break;
                }
                let bits = rows_of(s, spikes, image, &channels);
                if s.stride == 1 && pixels.start.is_multiple_of(MANY) {
                    for (i, to) in to[..pixels.len()].chunks_mut(MANY).enumerate() {
                        let found = places_at(bits, width, pixels.start + i * MANY);
                        match to.first_chunk_mut() {
                            Some(to) => *to = found,
                            None => to.copy_from_slice(&found[..to.len()]),
                        }
                    }
                    continue;
                }
                for (row, to) in rows.clone().zip(to.chunks_mut(s.out_w())) {
                    let first = row * s.stride * s.w;
                    let (mut start, mut found) = (usize::MAX, [0; MANY]);
                    for (column, to) in to.iter_mut().enumerate() {
                        let pixel = first + column * s.stride;
                        if pixel / MANY * MANY != start {
                            start = pixel / MANY * MANY;
                            found = places_at(bits, width, start);
                        }
                        *to = found[pixel - start];
                    }
                }
            }
        }
    }
}

/// As `fill_points`, for maps of `FEW` pixels: those of several images make one word.
#[inline(always)]
fn fill_few(
    s: &ConvShape,
    spikes: &[u8],
    layout: &Layout,
    images: &Range<usize>,
    pass: usize,
    to: &mut [u16],
) {
    const IMAGES: usize = MANY / FEW;
    let first = (pass * TABLES * BITS).min(s.c_in);
    for (several, to) in images.clone().step_by(IMAGES).zip(to.chunks_mut(IMAGES * layout.image)) {
        let mut rows: [&[u8]; IMAGES] = [&[]; IMAGES];
        for (image, rows) in (several..images.end).zip(&mut rows) {
            *rows = &spikes[image * s.c_in + first..(image + 1) * s.c_in];
        }
        for table in 0..TABLES.min((s.c_in - first).div_ceil(BITS)) {
            let mut numbers = [0_u16; MANY];
            for channel in (table * BITS..((table + 1) * BITS).min(s.c_in - first)).rev() {
                let mut word = 0;
                for (i, rows) in rows.iter().enumerate() {
                    let bits = rows.get(channel).copied().unwrap_or(0);
                    word |= u16::from(bits % (1 << FEW)) << (i * FEW);
                }
                for (place, number) in numbers.iter_mut().enumerate() {
                    *number = 2 * *number + (word >> place & 1);
                }
            }
            let found = numbers.map(|number| number * ENTRY);
            for (to, found) in to.chunks_mut(layout.image).zip(found.as_chunks::<FEW>().0) {
                to[table * layout.line..][..FEW].copy_from_slice(found);
            }
        }
    }
}

/// The bits of some channels of an image, one row after the other.
#[inline(always)]
fn rows_of<'a>(s: &ConvShape, spikes: &'a [u8], image: usize, channels: &Range<usize>) -> &'a [u8] {
    let width = (s.h * s.w).div_ceil(8);
    &spikes[(image * s.c_in + channels.start) * width..(image * s.c_in + channels.end) * width]
}

/// `MANY` places from `first` on, a multiple of it; what lies behind a row's end is not its own.
#[inline(always)]
fn places_at(bits: &[u8], width: usize, first: usize) -> [u16; MANY] {
    let mut numbers = [0; MANY];
    for bits in bits.chunks_exact(width).rev() {
        let word = match bits.get(first / 8..first / 8 + 2) {
            Some(two) => u16::from_le_bytes([two[0], two[1]]),
            None => u16::from(bits[first / 8]),
        };
        for (place, number) in numbers.iter_mut().enumerate() {
            *number = 2 * *number + (word >> place & 1);
        }
    }
    numbers.map(|number| number * ENTRY)
}
