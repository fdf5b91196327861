//! The forward pass of a 3x3 convolution of spikes, event by event.
//!
//! ```text
//! every spike (n, c, i, j):   y[n, o, i + 1 - p, j + 1 - q] += w[o, c, p, q]
//! ```
//!
//! While the spikes of one channel pass, its nine vectors of weights stay in registers and are added to the window of
//! outputs. The frame of the window takes what falls outside, and is left behind; where a window ends inside an image,
//! its last two lines, which the next rows add to, go on to the next window.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::{ALIGNED, ConvShape, LANES, SUMS, Spikes, TAPS, Windows, aligned, parts, reach_inside};
use crate::scratch::Slot;
use crate::storage::{Disjoint, each_task, filled};

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    (Windows::of(s).len(s) + s.c_in * SUMS + 2 * ALIGNED) * size_of::<f32>()
}

/// See [`crate::conv::forward`]; `spikes` are rows of `h * w` bits, one an image and channel.
pub(in crate::conv) fn forward(s: &ConvShape, spikes: &[u8], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let windows = Windows::of(s);
    let blocks = s.c_out.div_ceil(LANES);
    let (parts, images_per_part) = parts(s, &windows, blocks);
    let spikes = Spikes::new(s, spikes);
    // SAFETY: the windows of all images and blocks cover the output; each writes its own pixels of its own channels.
    unsafe {
        filled(s.output_len(), |y| {
            let y = Disjoint::new(y);
            each_task(parts * blocks, s.output_len() * s.patch(), |task| {
                let (part, block) = (task / blocks, task % blocks);
                let images = part * images_per_part..s.n.min((part + 1) * images_per_part);
                let outputs = block * LANES..s.c_out.min((block + 1) * LANES);
                aligned(Slot::Columns, s.c_in * SUMS, |weights| {
                    pack(s, w, &outputs, weights);
                    aligned(Slot::Values, windows.len(s), |window| {
                        windows.each(s, images, |images, rows| {
                            let line = (s.w + 2) * LANES;
                            let carried = if rows.start > 0 { 2 * line } else { 0 };
                            window.copy_within(windows.rows * line..windows.rows * line + carried, 0);
                            window[carried..].fill(0.0);
                            for (channel, weights) in weights.chunks_exact(SUMS).enumerate() {
                                spikes.each(&windows, channel, &images, &rows, |events| {
                                    scatter(events, weights, line, window);
                                });
                            }
                            // The last row waits for the spikes below it.
                            let done = if rows.end == s.h { s.h } else { rows.end - 1 };
                            let (first, rows) = (rows.start, rows.start.saturating_sub(1)..done);
                            let place = Place { images, rows, first, outputs: outputs.clone() };
                            leave(s, &windows, window, &place, b, &y);
                        });
                    });
                });
            });
        })
    }
}

/// Weights of a block as `[c_in, 8 - tap, LANES]`: in the order of the places that a spike touches.
fn pack(s: &ConvShape, w: &[f32], outputs: &Range<usize>, weights: &mut [f32]) {
    for lane in 0..LANES {
        let row = outputs.clone().nth(lane).map(|output| &w[output * s.patch()..][..s.patch()]);
        for (channel, weights) in weights.chunks_exact_mut(SUMS).enumerate() {
            for (tap, to) in weights.iter_mut().skip(lane).step_by(LANES).enumerate() {
                *to = row.map_or(0.0, |row| row[channel * TAPS + TAPS - 1 - tap]);
            }
        }
    }
}

/// Where a window's pixels go.
struct Place {
    images: Range<usize>,
    rows: Range<usize>,
    /// The row whose upper neighbour is line 0.
    first: usize,
    outputs: Range<usize>,
}

/// Writes a window's own rows to the output, with the bias.
fn leave(
    s: &ConvShape,
    windows: &Windows,
    window: &[f32],
    place: &Place,
    b: Option<&[f32]>,
    y: &Disjoint<MaybeUninit<f32>>,
) {
    let (plane, line) = (s.h * s.w, (s.w + 2) * LANES);
    for (image, window) in place.images.clone().zip(window.chunks_exact(windows.image_len(s))) {
        for row in place.rows.clone() {
            let from = &window[(row + 1 - place.first) * line + LANES..][..s.w * LANES];
            let at = (image * s.c_out + place.outputs.start) * plane + row * s.w;
            turn_back(from, b.map(|b| &b[place.outputs.clone()]), place.outputs.len(), plane, at, y);
        }
    }
}

crate::simd::multiversion! {
    /// `to[at + lane * plane + pixel] = from[pixel, lane] + bias[lane]`.
    fn turn_back(
        from: &[f32],
        bias: Option<&[f32]>,
        lanes: usize,
        plane: usize,
        at: usize,
        to: &Disjoint<MaybeUninit<f32>>,
    ) {
        let pixels = from.len() / LANES;
        for first in (0..pixels).step_by(16) {
            let many = 16.min(pixels - first);
            let from = &from[first * LANES..(first + many) * LANES];
            for lane in 0..lanes {
                let bias = bias.map_or(0.0, |bias| bias[lane]);
                let start = at + lane * plane + first;
                // SAFETY: these pixels of this channel belong to the calling task alone.
                let to = unsafe { to.part(start..start + many) };
                for (to, from) in to.iter_mut().zip(from.iter().skip(lane).step_by(LANES)) {
                    to.write(*from + bias);
                }
            }
        }
    }
}

/// Adds the nine vectors of weights at each event: `window[event + a * line + b] += weights[3 a + b]`.
fn scatter(events: &[u32], weights: &[f32], line: usize, window: &mut [f32]) {
    assert!(weights.len() == SUMS && reach_inside(events, line, window.len()));
    #[cfg(target_arch = "x86_64")]
    match crate::simd::level() {
        // SAFETY: `level` has asked the processor; every event reaches inside the window, and there are `SUMS` weights.
        crate::simd::Level::Avx512 => return unsafe { scatter_wide(events, weights, line, window) },
        // SAFETY: as above.
        crate::simd::Level::Avx2 => return unsafe { scatter_middle(events, weights, line, window) },
        crate::simd::Level::Portable => {}
    }
    for &event in events {
        for (tap, weights) in weights.chunks_exact(LANES).enumerate() {
            let at = event as usize + tap / 3 * line + tap % 3 * LANES;
            window[at..at + LANES].iter_mut().zip(weights).for_each(|(sum, weight)| *sum += *weight);
        }
    }
}

/// All 18 vectors of weights in registers.
///
/// # Safety
/// The processor has AVX-512F, the nine vectors of every event lie in the window, and there are `SUMS` weights.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn scatter_wide(events: &[u32], weights: &[f32], line: usize, window: &mut [f32]) {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_loadu_ps, _mm512_storeu_ps};
    // SAFETY: all addresses are inside the slices, by the caller's contract.
    unsafe {
        let kept: [_; 2 * TAPS] = std::array::from_fn(|i| _mm512_loadu_ps(weights.as_ptr().add(16 * i)));
        for &event in events {
            let first = window.as_mut_ptr().add(event as usize);
            for tap in 0..TAPS {
                let at = first.add(tap / 3 * line + tap % 3 * LANES);
                _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), kept[2 * tap]));
                let at = at.add(16);
                _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), kept[2 * tap + 1]));
            }
        }
    }
}

/// A quarter of the lanes at a time: nine vectors of weights in registers.
///
/// # Safety
/// As [`scatter_wide`], with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn scatter_middle(events: &[u32], weights: &[f32], line: usize, window: &mut [f32]) {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_loadu_ps, _mm256_storeu_ps};
    for quarter in (0..LANES).step_by(8) {
        // SAFETY: all addresses are inside the slices, by the caller's contract.
        unsafe {
            let kept: [_; TAPS] =
                std::array::from_fn(|tap| _mm256_loadu_ps(weights.as_ptr().add(tap * LANES + quarter)));
            for &event in events {
                let first = window.as_mut_ptr().add(event as usize + quarter);
                for (tap, kept) in kept.iter().enumerate() {
                    let at = first.add(tap / 3 * line + tap % 3 * LANES);
                    _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), *kept));
                }
            }
        }
    }
}
