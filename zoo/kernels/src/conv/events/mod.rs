//! 3x3 convolutions of spikes, event by event.
//!
//! A spike touches nine places, and what does not spike costs nothing. Both kernels work on windows: some rows of an
//! image, or several small images, in scratch as `[lines, columns + 2, LANES]` with a frame around them, so that a spike
//! is an offset and its places are nine vectors at fixed distances from it. Spikes come channel by channel, and in a
//! channel pixel by pixel, so every sum has one order whatever the threads and the instruction set.

mod forward;
mod weights;

use std::ops::Range;

use super::ConvShape;
use crate::scratch::{Slot, with};

pub(super) use forward::forward;
pub(super) use weights::backward_weight;

/// Output channels of a block.
const LANES: usize = 32;

/// Taps of the filter.
const TAPS: usize = 9;

/// Values of all taps of one input channel.
const SUMS: usize = TAPS * LANES;

/// Pixels of a window with its frame: with so many the first-level cache holds it.
const WINDOW: usize = 352;

/// Tasks that the work is cut into, at least, where there are images enough.
const TASKS: usize = 8;

/// Spikes that are walked through at a time.
const EVENTS: usize = 512;

/// Values of a cache line.
const ALIGNED: usize = 16;

/// Whether these kernels serve the shape.
pub(super) fn serves(s: &ConvShape) -> bool {
    s.kernel == (3, 3) && s.stride == 1 && s.pad == 1 && s.groups == 1 && s.c_out >= LANES / 2
}

/// Whether the forward pass does. Maps of a few pixels have so few spikes a window that loading a channel's weights costs
/// more than they save.
pub(super) fn serves_forward(s: &ConvShape) -> bool {
    serves(s) && s.h * s.w >= 16
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    forward::workspace_bytes(s).max(weights::workspace_bytes(s))
}

/// How images are cut into windows.
#[derive(Clone, Copy)]
struct Windows {
    /// Images of a window.
    images: usize,
    /// Rows of each; all of them when there are several images.
    rows: usize,
}

impl Windows {
    fn of(s: &ConvShape) -> Self {
        let framed = (s.h + 2) * (s.w + 2);
        if framed <= WINDOW {
            return Self { images: WINDOW / framed, rows: s.h };
        }
        let rows = (WINDOW / (s.w + 2)).saturating_sub(2).max(2);
        // Equal parts: a frame around one last row would cost as much as around a full window.
        Self { images: 1, rows: s.h.div_ceil(s.h.div_ceil(rows)) }
    }

    /// Values of an image's part of a window.
    fn image_len(&self, s: &ConvShape) -> usize {
        (self.rows + 2) * (s.w + 2) * LANES
    }

    fn len(&self, s: &ConvShape) -> usize {
        self.images * self.image_len(s)
    }

    /// Runs `f(images, rows)` on the windows of some images, in order.
    fn each(&self, s: &ConvShape, images: Range<usize>, mut f: impl FnMut(Range<usize>, Range<usize>)) {
        for first in images.clone().step_by(self.images) {
            for row in (0..s.h).step_by(self.rows) {
                f(first..images.end.min(first + self.images), row..s.h.min(row + self.rows));
            }
        }
    }
}

/// Parts of the images, so that there are tasks enough with `others`: how many, and images of each.
fn parts(s: &ConvShape, windows: &Windows, others: usize) -> (usize, usize) {
    let wanted = TASKS.div_ceil(others).min(s.n.div_ceil(windows.images)).max(1);
    let images = s.n.div_ceil(wanted).next_multiple_of(windows.images).max(1);
    (s.n.div_ceil(images).max(1), images)
}

/// The spikes of a layer: rows of `h * w` bits, one an image and channel.
struct Spikes<'a> {
    s: &'a ConvShape,
    bits: &'a [u8],
    /// Where the frame above and left of each pixel begins in an image's window, in values.
    offsets: Vec<u32>,
}

impl<'a> Spikes<'a> {
    fn new(s: &'a ConvShape, bits: &'a [u8]) -> Self {
        let row = |i: usize| (0..s.w).map(move |j| ((i * (s.w + 2) + j) * LANES) as u32);
        Self { s, bits, offsets: (0..s.h).flat_map(row).collect() }
    }

    /// Runs `f` on the places of a channel's spikes in some rows, some at a time; line 0 of an image in the window is
    /// the one above the first of these rows.
    fn each(
        &self,
        windows: &Windows,
        channel: usize,
        images: &Range<usize>,
        rows: &Range<usize>,
        mut f: impl FnMut(&[u32]),
    ) {
        let s = self.s;
        let (width, line) = ((s.h * s.w).div_ceil(8), (s.w + 2) * LANES);
        let (mut events, mut many) = ([0_u32; EVENTS], 0);
        for (index, image) in images.clone().enumerate() {
            let bits = &self.bits[(image * s.c_in + channel) * width..][..width];
            // Wraps for windows that begin below the first row; the sum does not.
            let base = ((index * windows.image_len(s)) as u32).wrapping_sub((rows.start * line) as u32);
            let pixels = rows.start * s.w..rows.end * s.w;
            for first in (pixels.start / 64 * 64..pixels.end).step_by(64) {
                let mut word = word_at(bits, first / 8);
                if first < pixels.start {
                    word &= !0 << (pixels.start - first);
                }
                if first + 64 > pixels.end {
                    word &= !0 >> (first + 64 - pixels.end);
                }
                if many + 64 > EVENTS {
                    f(&events[..many]);
                    many = 0;
                }
                while word != 0 {
                    events[many] = self.offsets[first + word.trailing_zeros() as usize].wrapping_add(base);
                    many += 1;
                    word &= word - 1;
                }
            }
        }
        f(&events[..many]);
    }
}

/// Eight bytes from `at` on; bytes behind the end are 0.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8) {
        Some(whole) => u64::from_le_bytes(whole.try_into().unwrap_or_default()),
        None => {
            let mut word = [0; 8];
            let rest = &bytes[at.min(bytes.len())..];
            word[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(word)
        }
    }
}

/// Whether the nine vectors of every event lie in a window of `len` values with lines of `line`.
fn reach_inside(events: &[u32], line: usize, len: usize) -> bool {
    let reach = 2 * line + 3 * LANES;
    events.iter().all(|&event| event as usize + reach <= len)
}

/// Lends scratch that begins on a cache line: a vector that lies across two costs two loads.
fn aligned<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(slot, len + ALIGNED, |all| {
        let skip = all.as_ptr().align_offset(ALIGNED * size_of::<f32>()).min(ALIGNED);
        f(&mut all[skip..skip + len])
    })
}
