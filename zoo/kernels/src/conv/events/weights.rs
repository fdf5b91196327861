//! The weight gradient of a 3x3 convolution from spikes, event by event.
//!
//! ```text
//! dw[o, c, p, q] = sum over the spikes (n, c, i, j) of dy[n, o, (i + 1 - p) / stride, (j + 1 - q) / stride]
//! ```
//!
//! A spike adds the vectors of the output gradient that lie around it in the window; while the spikes of one channel pass,
//! its sums stay in registers. They run over images, rows and columns in order: without parts of the images the bits
//! are those of the plain loop in that order.

use super::windows::{Class, Seen, Spikes, Windows};
use super::{ConvShape, LANES, TASKS, TOGETHER, give_columns, in_parts, with_events};
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::Disjoint;
use crate::tasks::each_task;
use crate::vector::Vector;

/// Taps of the filter.
const TAPS: usize = 9;

/// Values of all taps of one input channel.
const SUMS: usize = TAPS * LANES;

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
        // Parts of the images, so that there are tasks enough.
        let wanted = TASKS.div_ceil(blocks * chunks).min(s.n.div_ceil(windows.images)).max(1);
        let images_per_part = s.n.div_ceil(wanted).next_multiple_of(windows.images).max(1);
        let parts = s.n.div_ceil(images_per_part).max(1);
        Self { windows, blocks, chunks, channels, parts, images_per_part }
    }
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let cut = Cut::of(s);
    (cut.windows.len() + cut.channels * SUMS + cut.windows.events(s) + 2 * ALIGNED) * size_of::<f32>()
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: &ConvShape, spikes: &[u8], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let cut = Cut::of(s);
    let spikes = Spikes::new(s, &cut.windows, spikes);
    in_parts(cut.parts, dw, accumulate, |into, add| {
        each_part(s, &cut, &spikes, dy, &Disjoint::new(into), add);
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
            aligned(Slot::Values, cut.windows.len(), |window| {
                with_events(cut.windows.events(s), |events| {
                    cut.windows.each(s, images, |images, rows| {
                        cut.windows.fill(s, dy, &outputs, &images, &rows, window);
                        for (channel, sums) in channels.clone().zip(sums.chunks_exact_mut(SUMS)) {
                            for (class, which) in Class::all(s.stride).iter().enumerate() {
                                let seen = Seen { channel, class, images: &images, rows: &rows };
                                let many = spikes.list(&seen, events);
                                // SAFETY: the vectors of every place that is listed lie in the window.
                                unsafe {
                                    add(&events[..many], *which, s.stride, window, cut.windows.line, sums)
                                };
                            }
                        }
                    });
                });
            });
            let first = part * s.weight_len() + (outputs.start * s.c_in + channels.start) * TAPS;
            let rows = (outputs.len(), s.c_in * TAPS);
            // SAFETY: each task has its own part, output channels and input channels of the weights.
            unsafe { give_columns::<{ LANES * TOGETHER }>(sums, rows, first, into, accumulate) };
        });
    });
}

/// What some events add to the sums of their channel.
struct Events<'a> {
    events: &'a [u32],
    window: &'a [f32],
    line: usize,
    /// The taps at an event's place, and how much less they are at the next.
    first: [usize; 2],
    stride: usize,
    sums: &'a mut [f32],
}

/// Adds, for each event, the vectors from its place on: `sums[tap] += window[event + a * line + b]` for the class's taps.
///
/// # Safety
/// These vectors lie in the window.
unsafe fn add(events: &[u32], class: Class, stride: usize, window: &[f32], line: usize, sums: &mut [f32]) {
    let [(rows, row), (columns, column)] = class.taps();
    assert!(sums.len() == SUMS);
    let all = &mut Events { events, window, line, first: [row, column], stride, sums };
    #[cfg(target_arch = "x86_64")]
    match crate::simd::level() {
        // SAFETY: `level` has asked the processor; the caller's contract, and there are `SUMS` sums.
        crate::simd::Level::Avx512 => return unsafe { wide(all, rows, columns) },
        // SAFETY: as above.
        crate::simd::Level::Avx2 => return unsafe { middle(all, rows, columns) },
        crate::simd::Level::Portable => {}
    }
    // SAFETY: as above.
    unsafe { narrow(all, rows, columns) }
}

/// # Safety
/// The processor has AVX-512F; the vectors of every event lie in the window, and there are `SUMS` sums.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn wide(all: &mut Events<'_>, rows: usize, columns: usize) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::__m512, 2, 16>(all, rows, columns) }
}

/// # Safety
/// As [`wide`], with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn middle(all: &mut Events<'_>, rows: usize, columns: usize) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::__m256, 1, 8>(all, rows, columns) }
}

/// # Safety
/// As [`wide`], with any instruction set.
unsafe fn narrow(all: &mut Events<'_>, rows: usize, columns: usize) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::Narrow, 1, 4>(all, rows, columns) }
}

/// # Safety
/// As [`keep`], for the class of so many rows and columns.
#[inline(always)]
unsafe fn run<V: Vector, const WIDTH: usize, const LANE: usize>(
    all: &mut Events<'_>,
    rows: usize,
    columns: usize,
) {
    // SAFETY: the caller's contract.
    unsafe {
        match (rows, columns) {
            (3, 3) => keep::<V, WIDTH, LANE, 3, 3>(all),
            (1, 1) => keep::<V, WIDTH, LANE, 1, 1>(all),
            (1, _) => keep::<V, WIDTH, LANE, 1, 2>(all),
            (_, 1) => keep::<V, WIDTH, LANE, 2, 1>(all),
            _ => keep::<V, WIDTH, LANE, 2, 2>(all),
        }
    }
}

/// Walks through the events with all sums of `WIDTH` vectors of `LANE` values in registers, then those of the next lanes.
///
/// # Safety
/// The processor has the vector's instruction set; the vectors of every event lie in the window, and there are `SUMS`
/// sums.
#[inline(always)]
unsafe fn keep<V: Vector, const WIDTH: usize, const LANE: usize, const ROWS: usize, const COLUMNS: usize>(
    all: &mut Events<'_>,
) {
    let place = |row: usize, column: usize| {
        ((all.first[0] - row * all.stride) * 3 + all.first[1] - column * all.stride) * LANES
    };
    for lane in (0..LANES).step_by(WIDTH * LANE) {
        // SAFETY: the caller's contract.
        unsafe {
            let mut kept = [[[V::zero(); WIDTH]; COLUMNS]; ROWS];
            for (row, kept) in kept.iter_mut().enumerate() {
                for (column, kept) in kept.iter_mut().enumerate() {
                    for (i, kept) in kept.iter_mut().enumerate() {
                        *kept = V::load(all.sums.as_ptr().add(place(row, column) + lane + i * LANE));
                    }
                }
            }
            for &event in all.events {
                let first = all.window.as_ptr().add(event as usize + lane);
                for (row, kept) in kept.iter_mut().enumerate() {
                    for (column, kept) in kept.iter_mut().enumerate() {
                        for (i, kept) in kept.iter_mut().enumerate() {
                            *kept = kept.plus(V::load(first.add(row * all.line + column * LANES + i * LANE)));
                        }
                    }
                }
            }
            for (row, kept) in kept.iter().enumerate() {
                for (column, kept) in kept.iter().enumerate() {
                    for (i, kept) in kept.iter().enumerate() {
                        kept.store(all.sums.as_mut_ptr().add(place(row, column) + lane + i * LANE));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums of some events, all ones before them, by one instruction set.
    fn sums_of(run: unsafe fn(&mut Events<'_>, usize, usize), class: Class, stride: usize) -> Vec<f32> {
        let (line, [(rows, row), (columns, column)]) = (11 * LANES, class.taps());
        let window: Vec<f32> = (0..9 * line).map(|i| ((i * 37 % 1009) as f32).sqrt()).collect();
        let events: Vec<u32> =
            [0, 1, 2, 13, 40, 41, 60].iter().map(|place| place / 9 * line as u32 + place % 9 * 32).collect();
        let mut sums = vec![1.0; SUMS];
        let (events, window) = (&*events, &*window);
        let all = &mut Events { events, window, line, first: [row, column], stride, sums: &mut sums };
        // SAFETY: all vectors lie in the window, and the caller has asked the processor.
        unsafe { run(all, rows, columns) };
        sums
    }

    #[test]
    fn every_instruction_set_adds_the_same_bits() {
        for (stride, class) in
            [1, 2].into_iter().flat_map(|s| Class::all(s).iter().map(move |class| (s, *class)))
        {
            let expected = sums_of(narrow, class, stride);
            let [(rows, _), (columns, _)] = class.taps();
            let touched = expected.iter().filter(|sum| **sum > 1.0).count();
            assert_eq!(touched, rows * columns * LANES, "a class has its own taps");
            #[cfg(target_arch = "x86_64")]
            {
                use crate::simd::{Level, level};
                if matches!(level(), Level::Avx512 | Level::Avx2) {
                    assert_eq!(sums_of(middle, class, stride), expected);
                }
                if level() == Level::Avx512 {
                    assert_eq!(sums_of(wide, class, stride), expected);
                }
            }
        }
    }
}
