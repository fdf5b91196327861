//! The weight gradient of a 3x3 convolution from spikes, event by event.
//!
//! ```text
//! dw[o, c, p, q] = sum over the spikes (n, c, i, j) of dy[n, o, i + 1 - p, j + 1 - q]
//! ```
//!
//! A spike adds nine vectors of the output gradient, which the window holds in a frame of zeros; while the spikes of one
//! channel pass, its nine sums stay in registers. They run over images, rows and columns in order: without parts of the
//! images the bits are those of the plain loop in that order.

use std::ops::Range;

use super::{ALIGNED, ConvShape, LANES, SUMS, Spikes, TAPS, TASKS, Windows, aligned, parts, reach_inside};
use crate::scratch::{Slot, with};
use crate::storage::{Disjoint, each_task};

/// Input channels of a task, at least: each task copies the output gradient into windows of its own.
const CHANNELS: usize = 64;

/// Input channels of a task, at most: their sums should stay in the second-level cache.
const MOST_CHANNELS: usize = 512;

/// Tasks: parts of the images, blocks of output channels, chunks of input channels.
struct Cut {
    windows: Windows,
    blocks: usize,
    chunks: usize,
    /// Input channels of a chunk.
    channels: usize,
    parts: usize,
    images_per_part: usize,
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        let windows = Windows::of(s);
        let blocks = s.c_out.div_ceil(LANES);
        let least = s.c_in.div_ceil(MOST_CHANNELS);
        let chunks = TASKS.div_ceil(blocks).clamp(least, s.c_in.div_ceil(CHANNELS).max(least));
        let channels = s.c_in.div_ceil(chunks);
        let (parts, images_per_part) = parts(s, &windows, blocks * chunks);
        Self { windows, blocks, chunks, channels, parts, images_per_part }
    }

    /// Values of the sums of all tasks that are not the weights' own.
    fn partial_len(&self, s: &ConvShape) -> usize {
        if self.parts == 1 { 0 } else { self.parts * s.weight_len() }
    }
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let cut = Cut::of(s);
    (cut.windows.len(s) + cut.channels * SUMS + 2 * ALIGNED) * size_of::<f32>()
}

/// See [`crate::conv::backward_weight`]; `spikes` are rows of `h * w` bits, one an image and channel.
pub(in crate::conv) fn backward_weight(
    s: &ConvShape,
    spikes: &[u8],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let cut = Cut::of(s);
    let spikes = Spikes::new(s, spikes);
    if cut.parts == 1 {
        let into = Disjoint::new(&mut *dw);
        each_part(s, &cut, &spikes, dy, &into, accumulate);
        return;
    }
    with(Slot::Sums, cut.partial_len(s), |sums| {
        each_part(s, &cut, &spikes, dy, &Disjoint::new(&mut *sums), false);
        for (part, sum) in sums.chunks(s.weight_len()).enumerate() {
            if part == 0 && !accumulate {
                dw.copy_from_slice(sum);
            } else {
                dw.iter_mut().zip(sum).for_each(|(dw, sum)| *dw += *sum);
            }
        }
    });
}

/// Runs all tasks; `into` holds the weights once a part.
fn each_part(
    s: &ConvShape,
    cut: &Cut,
    spikes: &Spikes<'_>,
    dy: &[f32],
    into: &Disjoint<f32>,
    accumulate: bool,
) {
    let tasks = cut.parts * cut.blocks * cut.chunks;
    each_task(tasks, s.output_len() * s.patch(), |task| {
        let (part, block, chunk) =
            (task / cut.chunks / cut.blocks, task / cut.chunks % cut.blocks, task % cut.chunks);
        let images = part * cut.images_per_part..s.n.min((part + 1) * cut.images_per_part);
        let channels = chunk * cut.channels..s.c_in.min((chunk + 1) * cut.channels);
        let outputs = block * LANES..s.c_out.min((block + 1) * LANES);
        aligned(Slot::Columns, channels.len() * SUMS, |sums| {
            sums.fill(0.0);
            aligned(Slot::Values, cut.windows.len(s), |window| {
                cut.windows.each(s, images, |images, rows| {
                    fill_window(s, &cut.windows, dy, &outputs, &images, &rows, window);
                    for (channel, sums) in channels.clone().zip(sums.chunks_exact_mut(SUMS)) {
                        spikes.each(&cut.windows, channel, &images, &rows, |events| {
                            add(events, window, (s.w + 2) * LANES, sums);
                        });
                    }
                });
            });
            for (channel, sums) in channels.zip(sums.chunks_exact(SUMS)) {
                for (lane, output) in outputs.clone().enumerate() {
                    let at = part * s.weight_len() + (output * s.c_in + channel) * TAPS;
                    // SAFETY: each task has its own part, output channels and input channels of the weights.
                    let weights = unsafe { into.part(at..at + TAPS) };
                    for (weight, sums) in weights.iter_mut().zip(sums.chunks_exact(LANES)) {
                        *weight = if accumulate { *weight + sums[lane] } else { sums[lane] };
                    }
                }
            }
        });
    });
}

/// Copies a block of channels of the output gradient, pixel by pixel, with zeros around it.
fn fill_window(
    s: &ConvShape,
    windows: &Windows,
    dy: &[f32],
    outputs: &Range<usize>,
    images: &Range<usize>,
    rows: &Range<usize>,
    window: &mut [f32],
) {
    let (plane, framed) = (s.h * s.w, (s.w + 2) * LANES);
    for (image, window) in images.clone().zip(window.chunks_exact_mut(windows.image_len(s))) {
        for (line, window) in window.chunks_exact_mut(framed).enumerate().take(rows.len() + 2) {
            let row = (rows.start + line).wrapping_sub(1);
            if row >= s.h {
                window.fill(0.0);
                continue;
            }
            window[..LANES].fill(0.0);
            window[framed - LANES..].fill(0.0);
            let first = (image * s.c_out + outputs.start) * plane + row * s.w;
            turn(&dy[first..], plane, outputs.len(), &mut window[LANES..framed - LANES]);
        }
    }
}

crate::simd::multiversion! {
    /// `to[pixel, lane] = from[lane, pixel]`, rows of `from` being `row` apart; lanes from `lanes` on become 0.
    fn turn(from: &[f32], row: usize, lanes: usize, to: &mut [f32]) {
        let pixels = to.len() / LANES;
        for first in (0..pixels).step_by(16) {
            let many = 16.min(pixels - first);
            let to = &mut to[first * LANES..(first + many) * LANES];
            for lane in 0..LANES {
                if lane >= lanes {
                    to.iter_mut().skip(lane).step_by(LANES).for_each(|to| *to = 0.0);
                    continue;
                }
                let from = &from[lane * row + first..][..many];
                to.iter_mut().skip(lane).step_by(LANES).zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Adds, for each event, the nine vectors from its place on: `sums[8 - (3 a + b)] += window[event + a * row + b]`.
fn add(events: &[u32], window: &[f32], row: usize, sums: &mut [f32]) {
    assert!(sums.len() == SUMS && reach_inside(events, row, window.len()));
    #[cfg(target_arch = "x86_64")]
    match crate::simd::level() {
        // SAFETY: `level` has asked the processor; every event reaches inside the window, and there are `SUMS` sums.
        crate::simd::Level::Avx512 => return unsafe { add_wide(events, window, row, sums) },
        // SAFETY: as above.
        crate::simd::Level::Avx2 => return unsafe { add_middle(events, window, row, sums) },
        crate::simd::Level::Portable => {}
    }
    for &event in events {
        for (tap, sums) in sums.chunks_exact_mut(LANES).rev().enumerate() {
            let at = event as usize + tap / 3 * row + tap % 3 * LANES;
            sums.iter_mut().zip(&window[at..at + LANES]).for_each(|(sum, value)| *sum += *value);
        }
    }
}

/// All 18 vectors of sums in registers.
///
/// # Safety
/// The processor has AVX-512F, every event plus the reach of nine vectors lies in the window, and there are `SUMS` sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn add_wide(events: &[u32], window: &[f32], row: usize, sums: &mut [f32]) {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_loadu_ps, _mm512_storeu_ps};
    // SAFETY: all addresses are inside the slices, by the caller's contract.
    unsafe {
        let mut kept: [_; 2 * TAPS] = std::array::from_fn(|i| _mm512_loadu_ps(sums.as_ptr().add(16 * i)));
        for &event in events {
            let first = window.as_ptr().add(event as usize);
            for tap in 0..TAPS {
                let at = first.add(tap / 3 * row + tap % 3 * LANES);
                let to = 2 * (TAPS - 1 - tap);
                kept[to] = _mm512_add_ps(kept[to], _mm512_loadu_ps(at));
                kept[to + 1] = _mm512_add_ps(kept[to + 1], _mm512_loadu_ps(at.add(16)));
            }
        }
        for (i, kept) in kept.into_iter().enumerate() {
            _mm512_storeu_ps(sums.as_mut_ptr().add(16 * i), kept);
        }
    }
}

/// A quarter of the lanes at a time: nine vectors of sums in registers.
///
/// # Safety
/// As [`add_wide`], with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn add_middle(events: &[u32], window: &[f32], row: usize, sums: &mut [f32]) {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_loadu_ps, _mm256_storeu_ps};
    for quarter in (0..LANES).step_by(8) {
        // SAFETY: all addresses are inside the slices, by the caller's contract.
        unsafe {
            let place = |tap: usize| (TAPS - 1 - tap) * LANES + quarter;
            let mut kept: [_; TAPS] =
                std::array::from_fn(|tap| _mm256_loadu_ps(sums.as_ptr().add(place(tap))));
            for &event in events {
                let first = window.as_ptr().add(event as usize + quarter);
                for (tap, kept) in kept.iter_mut().enumerate() {
                    *kept = _mm256_add_ps(*kept, _mm256_loadu_ps(first.add(tap / 3 * row + tap % 3 * LANES)));
                }
            }
            for (tap, kept) in kept.into_iter().enumerate() {
                _mm256_storeu_ps(sums.as_mut_ptr().add(place(tap)), kept);
            }
        }
    }
}
