//! The weight gradient of a 1x1 convolution from spikes, by tables of sums.
//!
//! ```text
//! dw[o, c] = sum over (five pixels) of table[at which of the five channel c spikes][o]
//! ```
//!
//! Five pixels of the output gradient and their 32 sums make a table, which all channels read by their bits at these
//! pixels; a pass takes 45 pixels in nine tables. Pixels count through a part's images one after the other.

use std::ops::Range;

use super::tables::{self, BITS, ENTRY, Pass, QUAD, Reach, TABLE, TABLES, VECTORS};
use super::{ConvShape, LANES, TASKS, TOGETHER, blocks_of, give_columns, in_parts, with_places, word_at};
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::Disjoint;
use crate::tasks::each_task;
use crate::turn::{Extent, turn};

/// Values of the tables of a pass, and of the pixels that they are made of.
const MADE: usize = TABLES * TABLE + VECTORS * LANES;

/// Blocks of outputs of a task, at most: they share the work on the spikes.
const BLOCKS: usize = 4;

/// Pixels of a part of the images, at least.
const PIXELS: usize = 512;

/// Pixels of a row that one word of bits holds, wherever it begins.
const RUN: usize = 28;

/// Tasks: parts of the images, chunks of output channels.
struct Cut {
    /// Blocks of a chunk.
    blocks: usize,
    chunks: usize,
    parts: usize,
    images_per_part: usize,
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        let all = s.c_out.div_ceil(LANES);
        let blocks = (all / TASKS).clamp(1, BLOCKS);
        let chunks = all.div_ceil(blocks);
        let least = PIXELS.div_ceil(s.out_h() * s.out_w());
        let images_per_part = s.n.div_ceil(TASKS.div_ceil(chunks)).max(least).min(s.n.max(1));
        Self { blocks, chunks, parts: s.n.div_ceil(images_per_part).max(1), images_per_part }
    }
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let channels = s.c_in.next_multiple_of(QUAD);
    let places = (TABLES * channels).div_ceil(2);
    (MADE + places + Cut::of(s).blocks * channels * LANES + 2 * ALIGNED) * size_of::<f32>()
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: &ConvShape, spikes: &[u8], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let cut = Cut::of(s);
    in_parts(cut.parts, dw, accumulate, |into, add| {
        let into = Disjoint::new(into);
        each_task(cut.parts * cut.chunks, s.output_len() * s.patch(), |task| {
            let (part, chunk) = (task / cut.chunks, task % cut.chunks);
            let images = part * cut.images_per_part..s.n.min((part + 1) * cut.images_per_part);
            let outputs = chunk * cut.blocks * LANES..s.c_out.min((chunk + 1) * cut.blocks * LANES);
            let len = s.c_in.next_multiple_of(QUAD) * LANES;
            aligned(Slot::Gathered, outputs.len().div_ceil(LANES) * len, |sums| {
                sums.fill(0.0);
                add_up(s, spikes, dy, &images, &outputs, sums);
                for (outputs, sums) in blocks_of(&outputs).zip(sums.chunks_exact(len)) {
                    let first = part * s.weight_len() + outputs.start * s.c_in;
                    // SAFETY: each task has its own part and output channels of the weights.
                    unsafe {
                        give_columns::<{ LANES * TOGETHER }>(
                            &sums[..s.c_in * LANES],
                            (outputs.len(), s.c_in),
                            first,
                            &into,
                            add,
                        )
                    };
                }
            });
        });
    });
}

/// Adds the gradients of some outputs over some images to `sums`, `[blocks, channels, LANES]`.
fn add_up(
    s: &ConvShape,
    spikes: &[u8],
    dy: &[f32],
    images: &Range<usize>,
    outputs: &Range<usize>,
    sums: &mut [f32],
) {
    let (plane, columns) = (s.out_h() * s.out_w(), s.c_in.next_multiple_of(QUAD));
    aligned(Slot::Columns, MADE, |made| {
        let (tables, pixels) = made.split_at_mut(TABLES * TABLE);
        with_places(TABLES * columns, |places| {
            for first in (images.start * plane..images.end * plane).step_by(VECTORS) {
                let all = first..(images.end * plane).min(first + VECTORS);
                let used = all.len().div_ceil(BITS);
                fill(s, spikes, &all, columns, places);
                for (outputs, sums) in blocks_of(outputs).zip(sums.chunks_exact_mut(columns * LANES)) {
                    for (image, run) in runs(&all, plane) {
                        let from = &dy[(image * s.c_out + outputs.start) * plane + run.start..];
                        let extent = Extent { rows: outputs.len(), columns: run.len(), row: plane };
                        let at = image * plane + run.start - first;
                        turn(from, extent, &mut pixels[at * LANES..], LANES, LANES);
                    }
                    pixels[all.len() * LANES..].fill(0.0);
                    tables::make(pixels, BITS, 1, &mut tables[..used * TABLE]);
                    let reach = Reach::Own { line: columns, used };
                    let pass = Pass {
                        tables,
                        places,
                        reach,
                        image: 0,
                        images: 1,
                        rows: 1,
                        columns,
                        start: None,
                        sums,
                    };
                    // SAFETY: `places` holds zeros and what `fill` writes: multiples of an entry.
                    unsafe { pass.run() };
                }
            }
        });
    });
}

/// The images of some pixels, and the pixels inside each.
fn runs(pixels: &Range<usize>, plane: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let pixels = pixels.clone();
    (pixels.start / plane..pixels.end.div_ceil(plane)).map(move |image| {
        let first = image * plane;
        (image, pixels.start.max(first) - first..pixels.end.min(first + plane) - first)
    })
}

crate::simd::multiversion! {
    /// The bits of all channels at some pixels as places, `[TABLES, channels]`.
    fn fill(s: &ConvShape, spikes: &[u8], pixels: &Range<usize>, columns: usize, places: &mut [u16]) {
        const MANY: usize = 8;
        let width = (s.h * s.w).div_ceil(8);
        for first in (0..s.c_in).step_by(MANY) {
            let many = MANY.min(s.c_in - first);
            let mut words = [0_u64; MANY];
            for (image, run) in runs(pixels, s.out_h() * s.out_w()) {
                let shift = image * s.out_h() * s.out_w() + run.start - pixels.start;
                let row = (image * s.c_in + first) * width;
                // Rows of one byte lie together.
                if let (1, 1, Some(rows)) = (s.stride, width, spikes[row..].first_chunk::<MANY>()) {
                    let mask = !(!0 << run.len());
                    for (word, bits) in words.iter_mut().zip(rows) {
                        *word |= (u64::from(*bits) >> run.start & mask) << shift;
                    }
                    continue;
                }
                for (i, word) in words.iter_mut().enumerate().take(many) {
                    *word |= bits_of(s, spikes, row + i * width, &run) << shift;
                }
            }
            for (table, places) in places.chunks_exact_mut(columns).enumerate() {
                let found = words.map(|word| (word >> (table * BITS)) as u16 % (1 << BITS) * ENTRY);
                match places[first..].first_chunk_mut() {
                    Some(places) if many == MANY => *places = found,
                    _ => places[first..first + many].copy_from_slice(&found[..many]),
                }
            }
        }
    }
}

/// The bits of the row that begins at byte `row` at some of the output's pixels, at most `VECTORS`.
#[inline(always)]
fn bits_of(s: &ConvShape, spikes: &[u8], row: usize, pixels: &Range<usize>) -> u64 {
    let low = |many: usize| !(!0 << many);
    if s.stride == 1 {
        return (word_at(spikes, row + pixels.start / 8) >> (pixels.start % 8)) & low(pixels.len());
    }
    let (mut at, mut found) = (pixels.start, 0);
    let (mut line, mut column) = (at / s.out_w(), at % s.out_w());
    while at < pixels.end {
        let run = (s.out_w() - column).min(pixels.end - at).min(RUN);
        let first = (line * s.w + column) * 2;
        let word = word_at(spikes, row + first / 8) >> (first % 8);
        found |= (halve(word) & low(run)) << (at - pixels.start);
        (at, column) = (at + run, column + run);
        if column == s.out_w() {
            (line, column) = (line + 1, 0);
        }
    }
    found
}

/// Every other bit, moved together.
#[inline(always)]
fn halve(word: u64) -> u64 {
    let steps = [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ];
    steps.iter().fold(word & 0x5555_5555_5555_5555, |word, (shift, mask)| (word | word >> shift) & mask)
}
