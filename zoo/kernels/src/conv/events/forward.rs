//! The forward pass of 3x3 and 1x1 convolutions of spikes, by tables of sums.
//!
//! ```text
//! y[n, o, i, j] = b[o] + sum over (five channels, tap) of table[which of the five spike at the tap's place][o]
//! ```
//!
//! A 3x3 filter reads nine places, each in the table of its tap; a 1x1 filter reads one place, and the nine tables are
//! those of its next 45 channels. Passes over the channels follow each other, and in a pass the tables, so every sum
//! has one order whatever the rate, the threads and the instruction set.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::places::{self, Layout};
use super::tables::{self, BITS, Pass, QUAD, Reach, TABLE, TABLES, VECTORS};
use super::{ConvShape, LANES, TASKS, blocks_of, with_places};
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;
use crate::turn::{Extent, turn, turn_into};

/// Sums of a task, at most: they should stay in the second-level cache.
const SUMS: usize = 1 << 17;

/// Pixels of a part, at least: making the tables costs as much as 50 pixels.
const PIXELS: usize = 512;

/// Blocks of outputs of a task, at most: they share the work on the spikes.
const BLOCKS: usize = 4;

/// How the output is cut into tasks.
#[derive(Clone, Copy)]
struct Cut {
    /// Blocks of outputs.
    blocks: usize,
    /// Images.
    images: usize,
    /// Output rows of each; all of them when there are several images.
    rows: usize,
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        let all = s.c_out.div_ceil(LANES);
        let (blocks, whole) = (BLOCKS.min(all), pixels(s, s.out_h()));
        let most = SUMS / LANES / blocks;
        if whole > most {
            let rows = (most / s.out_w().next_multiple_of(QUAD)).max(1);
            return Self { blocks, images: 1, rows: s.out_h().div_ceil(s.out_h().div_ceil(rows)) };
        }
        let parts = TASKS.div_ceil(all.div_ceil(blocks));
        let images = s.n.div_ceil(parts).max(PIXELS.div_ceil(whole)).min(most / whole).clamp(1, s.n.max(1));
        // Few pixels and many channels: tasks of fewer blocks.
        let blocks = (all * s.n.div_ceil(images) / TASKS).clamp(1, blocks);
        Self { blocks, images, rows: s.out_h() }
    }

    /// Parts of the images, parts of an image's rows, and parts of the outputs.
    fn parts(&self, s: &ConvShape) -> (usize, usize, usize) {
        let blocks = s.c_out.div_ceil(LANES);
        (s.n.div_ceil(self.images), s.out_h().div_ceil(self.rows), blocks.div_ceil(self.blocks))
    }
}

/// Whether the filter is 1x1.
fn is_point(s: &ConvShape) -> bool {
    s.kernel == (1, 1)
}

/// Pixels of some output rows of an image with those that fill the last quads up: of each row, or of a 1x1 filter, which
/// knows no rows, of all.
fn pixels(s: &ConvShape, rows: usize) -> usize {
    if is_point(s) {
        (rows * s.out_w()).next_multiple_of(QUAD)
    } else {
        rows * s.out_w().next_multiple_of(QUAD)
    }
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let cut = Cut::of(s);
    let pixels = pixels(s, cut.rows);
    let places = Layout::of(s, cut.rows, pixels).len(cut.images).div_ceil(2);
    (MADE + places + cut.blocks * cut.images * pixels * LANES + 2 * ALIGNED) * size_of::<f32>()
}

/// Values of the tables of a pass, the weights that they are made of, and the bias.
const MADE: usize = TABLES * TABLE + VECTORS * LANES + LANES;

/// See [`crate::conv::forward`]; `spikes` are rows of `h * w` bits, one an image and channel.
pub(in crate::conv) fn forward(s: &ConvShape, spikes: &[u8], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let cut = Cut::of(s);
    let (packs, strips, chunks) = cut.parts(s);
    // SAFETY: the parts cover the output; each writes its own pixels of its own channels.
    unsafe {
        filled(s.output_len(), |y| {
            let y = Disjoint::new(y);
            each_task(packs * strips * chunks, s.output_len() * s.patch(), |task| {
                let (part, chunk) = (task / chunks, task % chunks);
                let (pack, strip) = (part / strips, part % strips);
                let part = Part {
                    images: pack * cut.images..s.n.min((pack + 1) * cut.images),
                    rows: strip * cut.rows..s.out_h().min((strip + 1) * cut.rows),
                    outputs: chunk * cut.blocks * LANES..s.c_out.min((chunk + 1) * cut.blocks * LANES),
                };
                let blocks = part.outputs.len().div_ceil(LANES);
                let len = part.images.len() * pixels(s, part.rows.len()) * LANES;
                aligned(Slot::Gathered, blocks * len, |sums| {
                    add_up(s, spikes, w, b, &part, sums);
                    for (outputs, sums) in blocks_of(&part.outputs).zip(sums.chunks_exact(len)) {
                        leave(s, sums, &part, &outputs, &y);
                    }
                });
            });
        })
    }
}

/// What a task computes.
struct Part {
    images: Range<usize>,
    rows: Range<usize>,
    outputs: Range<usize>,
}

/// Computes the outputs of a part into `sums`, `[blocks, images, pixels, LANES]`.
fn add_up(s: &ConvShape, spikes: &[u8], w: &[f32], b: Option<&[f32]>, part: &Part, sums: &mut [f32]) {
    let (point, patch, pixels) = (is_point(s), s.patch(), pixels(s, part.rows.len()));
    let layout = Layout::of(s, part.rows.len(), pixels);
    let (image, images) = (layout.image, part.images.len());
    let rows = if point { 1 } else { part.rows.len() };
    // Which of a pass's weights the tables and their bits choose: `[tap, channel]` of a pass lies as `[channel, tap]`.
    let (table_apart, bit_apart) = if point { (BITS, 1) } else { (1, TABLES) };
    aligned(Slot::Columns, MADE, |made| {
        let (tables, rest) = made.split_at_mut(TABLES * TABLE);
        let (weights, bias) = rest.split_at_mut(VECTORS * LANES);
        with_places(layout.len(images), |places| {
            for (pass, first) in (0..patch).step_by(VECTORS).enumerate() {
                places::fill(s, spikes, &layout, &part.images, &part.rows, pass, places);
                let many = VECTORS.min(patch - first);
                let used = if point { many.div_ceil(BITS) } else { TABLES };
                let reach = match point {
                    true => Reach::Own { line: layout.line, used },
                    false => Reach::Around { line: layout.line, step: s.stride },
                };
                for (outputs, sums) in
                    blocks_of(&part.outputs).zip(sums.chunks_exact_mut(images * pixels * LANES))
                {
                    let extent = Extent { rows: outputs.len(), columns: many, row: patch };
                    turn(&w[outputs.start * patch + first..], extent, weights, LANES, LANES);
                    weights[many * LANES..].fill(0.0);
                    tables::make(weights, table_apart, bit_apart, &mut tables[..used * TABLE]);
                    if pass == 0 {
                        bias.fill(0.0);
                        let given = b.iter().flat_map(|b| &b[outputs.clone()]);
                        bias.iter_mut().zip(given).for_each(|(to, b)| *to = *b);
                    }
                    let (start, columns) = ((pass == 0).then_some(&*bias), pixels / rows);
                    let pass = Pass { tables, places, reach, image, images, rows, columns, start, sums };
                    // SAFETY: `places` holds zeros and what `places::fill` writes: multiples of an entry.
                    unsafe { pass.run() };
                }
            }
        });
    });
}

/// Writes the sums of a block of a part to their places in the output.
fn leave(s: &ConvShape, sums: &[f32], part: &Part, outputs: &Range<usize>, y: &Disjoint<MaybeUninit<f32>>) {
    let (plane, wide, lanes) = (s.out_h() * s.out_w(), s.out_w(), outputs.len());
    let pixels = pixels(s, part.rows.len());
    // Rows that no quad fills up follow each other without a gap.
    let (runs, run) = if pixels == part.rows.len() * wide || is_point(s) {
        (1, part.rows.len() * wide)
    } else {
        (part.rows.len(), wide)
    };
    for (image, sums) in part.images.clone().zip(sums.chunks_exact(pixels * LANES)) {
        for (row, sums) in sums.chunks_exact(pixels / runs * LANES).enumerate() {
            let at = (image * s.c_out + outputs.start) * plane + part.rows.start * wide + row * run;
            let extent = Extent { rows: run, columns: lanes, row: LANES };
            // SAFETY: these pixels of these channels belong to the calling task alone, and lie inside.
            unsafe {
                assert!(at + (lanes - 1) * plane + run <= s.output_len());
                turn_into(sums, extent, y.pointer().cast::<f32>().add(at), plane, run);
            }
        }
    }
}
