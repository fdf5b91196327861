//! The weight gradient of a 3x3 convolution from spikes, event by event.
//!
//! ```text
//! dw[o, c, p, q] = sum over the spikes (n, c, i, j) of dy[n, o, i + 1 - p, j + 1 - q]
//! ```
//!
//! A spike adds nine vectors of output channels, and what does not spike costs nothing. The output gradient of a window
//! of rows (or of several small images) is copied into scratch as `[rows + 2, columns + 2, LANES]` with a frame of
//! zeros; while the spikes of one channel pass, its nine sums stay in registers. Sums run over images, rows and columns
//! in order for every instruction set, so all of them give the same bits: those of the plain loop in that order.

use std::ops::Range;

use super::ConvShape;
use crate::scratch::{Slot, with};
use crate::storage::{Disjoint, each_task};

/// Output channels of a block.
const LANES: usize = 32;

/// Taps of the filter.
const TAPS: usize = 9;

/// Sums of one input channel.
const SUMS: usize = TAPS * LANES;

/// Pixels of a window with its frame: with so many the first-level cache holds it.
const WINDOW: usize = 352;

/// Input channels of a task, at least: each task copies the output gradient into windows of its own.
const CHANNELS: usize = 64;

/// Input channels of a task, at most: their sums should stay in the second-level cache.
const MOST_CHANNELS: usize = 512;

/// Tasks that the work is cut into, at least, where there are images enough.
const TASKS: usize = 8;

/// Spikes that are walked through at a time.
const EVENTS: usize = 512;

/// Whether this kernel serves the shape.
pub(super) fn serves(s: &ConvShape) -> bool {
    s.kernel == (3, 3) && s.stride == 1 && s.pad == 1 && s.groups == 1 && s.c_out >= LANES / 2
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
        let rows = (WINDOW / (s.w + 2)).saturating_sub(2).max(1);
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
}

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
        let wanted = TASKS.div_ceil(blocks * chunks).min(s.n.div_ceil(windows.images)).max(1);
        let images_per_part = s.n.div_ceil(wanted).next_multiple_of(windows.images).max(1);
        Self {
            windows,
            blocks,
            chunks,
            channels,
            parts: s.n.div_ceil(images_per_part).max(1),
            images_per_part,
        }
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

/// Values of a cache line.
const ALIGNED: usize = 16;

/// Lends scratch that begins on a cache line: a vector that lies across two costs two loads.
fn aligned<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(slot, len + ALIGNED, |all| {
        let skip = all.as_ptr().align_offset(ALIGNED * size_of::<f32>()).min(ALIGNED);
        f(&mut all[skip..skip + len])
    })
}

/// See [`super::backward_weight`]; `spikes` are rows of `h * w` bits, one an image and channel.
pub(super) fn backward_weight(s: &ConvShape, spikes: &[u8], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let cut = Cut::of(s);
    let offsets = offsets(s);
    if cut.parts == 1 {
        let into = Disjoint::new(&mut *dw);
        each_part(s, &cut, &offsets, spikes, dy, &into, accumulate);
        return;
    }
    with(Slot::Sums, cut.partial_len(s), |sums| {
        each_part(s, &cut, &offsets, spikes, dy, &Disjoint::new(&mut *sums), false);
        for (part, sum) in sums.chunks(s.weight_len()).enumerate() {
            if part == 0 && !accumulate {
                dw.copy_from_slice(sum);
            } else {
                dw.iter_mut().zip(sum).for_each(|(dw, sum)| *dw += *sum);
            }
        }
    });
}

/// Where the frame above and left of each pixel begins in an image's window, in values.
fn offsets(s: &ConvShape) -> Vec<u32> {
    let row = |i: usize| (0..s.w).map(move |j| ((i * (s.w + 2) + j) * LANES) as u32);
    (0..s.h).flat_map(row).collect()
}

/// Runs all tasks; `into` holds the weights once a part.
fn each_part(
    s: &ConvShape,
    cut: &Cut,
    offsets: &[u32],
    spikes: &[u8],
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
                each_window(s, &cut.windows, images, |images, rows| {
                    fill_window(s, &cut.windows, dy, &outputs, &images, &rows, window);
                    for (channel, sums) in channels.clone().zip(sums.chunks_exact_mut(SUMS)) {
                        let rows = rows.clone();
                        walk(s, &cut.windows, offsets, spikes, channel, &images, rows, window, sums);
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

/// Runs `f(images, rows)` on the windows of some images, in order.
fn each_window(
    s: &ConvShape,
    windows: &Windows,
    images: Range<usize>,
    mut f: impl FnMut(Range<usize>, Range<usize>),
) {
    for first in images.clone().step_by(windows.images) {
        for row in (0..s.h).step_by(windows.rows) {
            f(first..images.end.min(first + windows.images), row..s.h.min(row + windows.rows));
        }
    }
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

/// Adds the spikes of one channel inside a window.
#[expect(clippy::too_many_arguments, reason = "a place in every operand")]
fn walk(
    s: &ConvShape,
    windows: &Windows,
    offsets: &[u32],
    spikes: &[u8],
    channel: usize,
    images: &Range<usize>,
    rows: Range<usize>,
    window: &[f32],
    sums: &mut [f32],
) {
    let (width, framed) = ((s.h * s.w).div_ceil(8), (s.w + 2) * LANES);
    let (mut events, mut many) = ([0_u32; EVENTS], 0);
    for (index, image) in images.clone().enumerate() {
        let bits = &spikes[(image * s.c_in + channel) * width..][..width];
        // Wraps for windows that begin below the first row; the sum does not.
        let base = ((index * windows.image_len(s)) as u32).wrapping_sub((rows.start * framed) as u32);
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
                add(&events[..many], window, framed, sums);
                many = 0;
            }
            while word != 0 {
                events[many] = offsets[first + word.trailing_zeros() as usize].wrapping_add(base);
                many += 1;
                word &= word - 1;
            }
        }
    }
    add(&events[..many], window, framed, sums);
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

/// Adds, for each event, the nine vectors from its place on: `sums[8 - (3 a + b)] += window[event + a * row + b]`.
fn add(events: &[u32], window: &[f32], row: usize, sums: &mut [f32]) {
    let reach = 2 * row + 3 * LANES;
    assert!(sums.len() == SUMS && events.iter().all(|&event| event as usize + reach <= window.len()));
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
        let kept: [_; 2 * TAPS] = std::array::from_fn(|i| _mm512_loadu_ps(sums.as_ptr().add(16 * i)));
        let mut kept = kept;
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
