//! Convolution as matrix products over unfolded patches, tile by tile.
//!
//! A tile is some output rows of one image, or several whole images when maps are small. Its patches are
//! unfolded into the thread's scratch, `[c * kh * kw, pixels]`, spikes being expanded on the way. How work is
//! cut depends on the shape alone; no two tasks write one value, except weight gradients of few weights, which
//! are summed over a fixed number of parts in order.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::ConvShape;
use super::parts::in_parts;
use crate::bits::Source;
use crate::product::{Target, View, multiply};
use crate::scratch::{Slot, with};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;
use crate::turn::{Extent, turn};

/// Unfolded values of a tile: they should stay in the second-level cache.
const TILE: usize = 1 << 18;

/// Pixels below which images share a tile.
const FEW_PIXELS: usize = 256;

/// Tasks that the input and weight gradients are cut into, at least, where the shape has them.
const TASKS: usize = 16;

/// Channels of a tile of the input gradient where a tile of all of them would be narrow.
const FEW_CHANNELS: usize = 32;

/// Outputs of a task of the forward pass, at least, where the tiles alone are few tasks: each task unfolds its tile anew.
const FEW_OUTPUTS: usize = 96;

/// Tiles that are tasks enough.
const FEW_TILES: usize = 8;

/// Weights of at most this many values are summed over parts of the images.
const FEW_WEIGHTS: usize = 1 << 16;

/// Some images, and output rows of them (all rows when there are several).
#[derive(Clone, Debug)]
struct Tile {
    images: Range<usize>,
    rows: Range<usize>,
}

/// The channels of one group that a task unfolds.
#[derive(Clone, Debug)]
struct Channels {
    group: usize,
    /// Channels inside the group.
    range: Range<usize>,
}

/// The way a shape is cut for tiles that unfold `channels` channels.
struct Cut {
    /// Images of a tile.
    images: usize,
    /// Output rows of a tile.
    rows: usize,
}

impl Cut {
    fn new(s: &ConvShape, channels: usize) -> Cut {
        let (ho, wo) = (s.out_h(), s.out_w());
        let pixels = (TILE / (channels * s.kernel.0 * s.kernel.1)).max(1);
        if pixels >= 2 * ho * wo && ho * wo < FEW_PIXELS {
            let images = (pixels / (ho * wo)).min(2 * FEW_PIXELS / (ho * wo)).clamp(1, s.n.max(1));
            return Cut { images, rows: ho };
        }
        // Equal parts: a last tile of one row would cost as much packing as a full one.
        let parts = ho.div_ceil((pixels / wo).clamp(1, ho));
        Cut { images: 1, rows: ho.div_ceil(parts) }
    }

    fn tiles_of_image(&self, s: &ConvShape) -> usize {
        s.out_h().div_ceil(self.rows)
    }

    /// Runs `f` on the tiles of `images`, in order.
    fn each_tile(&self, s: &ConvShape, images: Range<usize>, mut f: impl FnMut(Tile)) {
        for first in images.clone().step_by(self.images) {
            for row in (0..s.out_h()).step_by(self.rows) {
                let tile_images = first..images.end.min(first + self.images);
                f(Tile { images: tile_images, rows: row..s.out_h().min(row + self.rows) });
            }
        }
    }

    fn pixels(&self, s: &ConvShape) -> usize {
        self.images * self.rows * s.out_w()
    }
}

impl Tile {
    fn pixels(&self, s: &ConvShape) -> usize {
        self.images.len() * self.rows.len() * s.out_w()
    }

    /// Pixels of one of its images.
    fn image_pixels(&self, s: &ConvShape) -> usize {
        self.rows.len() * s.out_w()
    }
}

/// Whether a pixel's patch is the pixel itself.
fn is_pointwise(s: &ConvShape) -> bool {
    s.kernel == (1, 1) && s.stride == 1 && s.pad == 0
}

/// Channels of a block when a group's channels are cut so that there are enough tasks with `others`.
fn block_of_channels(s: &ConvShape, others: usize) -> usize {
    let ci = s.c_in / s.groups;
    let blocks = TASKS.div_ceil(others.max(1)).min(ci.div_ceil(16)).max(1);
    ci.div_ceil(blocks)
}

/// Output channels of a group that a task of the forward pass has: fewer than all where there are few `tiles` and a patch is
/// a pixel, which is unfolded anew for the price of a copy.
fn block_of_outputs(s: &ConvShape, tiles: usize) -> usize {
    let co = s.c_out / s.groups;
    let most = if is_pointwise(s) { co / FEW_OUTPUTS } else { 1 };
    co.div_ceil(FEW_TILES.div_ceil(tiles.max(1)).min(most).max(1))
}

/// The tiles of the input gradient, and the channels of each.
fn cut_of_input_gradient(s: &ConvShape) -> (Cut, usize) {
    let whole = Cut::new(s, s.c_in / s.groups);
    let block = block_of_channels(s, s.n.div_ceil(whole.images) * s.groups);
    // Where maps are small and channels many, a tile of all channels has so few pixels that its product spends its time
    // on packing the weights: fewer channels make wider tiles.
    let narrow = whole.pixels(s).max(s.out_h() * s.out_w()) < FEW_PIXELS;
    if narrow && block > FEW_CHANNELS { (Cut::new(s, FEW_CHANNELS), FEW_CHANNELS) } else { (whole, block) }
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let (ci, area) = (s.c_in / s.groups, s.kernel.0 * s.kernel.1);
    let scratch = |cut: &Cut, channels: usize| {
        let columns = if is_pointwise(s) && cut.images == 1 { 0 } else { channels * area * cut.pixels(s) };
        let gathered = if cut.images > 1 { s.c_out / s.groups * cut.pixels(s) } else { 0 };
        columns + gathered
    };
    let (back, block) = cut_of_input_gradient(s);
    // Spikes are expanded a plane at a time, or all channels of a pixel.
    let values = if s.h * s.w == 1 { ci } else { s.h * s.w };
    (scratch(&Cut::new(s, ci), ci).max(scratch(&back, block)) + values) * size_of::<f32>()
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (ci, co, k) = (s.c_in / s.groups, s.c_out / s.groups, s.patch());
    let (cut, plane) = (Cut::new(s, ci), s.out_h() * s.out_w());
    let (packs, parts) = (s.n.div_ceil(cut.images), cut.tiles_of_image(s));
    let tiles = packs * parts * s.groups;
    let block = block_of_outputs(s, tiles);
    let blocks = co.div_ceil(block);
    // SAFETY: the tiles of all images, groups and blocks of outputs cover the output; each writes its own pixels of its own
    // channels, all of them.
    unsafe {
        filled(s.output_len(), |y| {
            let y = Disjoint::new(y);
            each_task(tiles * blocks, s.output_len() * k, |task| {
                let (tile, part_of_group) = (task / blocks, task % blocks);
                let (pack, part, group) = (tile / s.groups / parts, tile / s.groups % parts, tile % s.groups);
                let images = pack * cut.images..s.n.min((pack + 1) * cut.images);
                let tile = Tile { images, rows: part * cut.rows..s.out_h().min((part + 1) * cut.rows) };
                let outputs =
                    group * co + part_of_group * block..group * co + co.min((part_of_group + 1) * block);
                let (pixels, first) = (tile.pixels(s), tile.images.start * s.c_out + outputs.start);
                let (w, co) = (View::rows(&w[outputs.start * k..outputs.end * k], k), outputs.len());
                let b = b.map(|b| &b[outputs.clone()]);
                unfold(s, x, &tile, &Channels { group, range: 0..ci }, |columns, row| {
                    let columns = View::rows(columns, row);
                    if tile.images.len() == 1 {
                        let at = first * plane + tile.rows.start * s.out_w();
                        let out = Target { first: y.pointer().cast::<f32>().add(at), row: plane, add: false };
                        multiply(co, pixels, k, out, w, columns);
                        for (o, b) in b.iter().flat_map(|b| b.iter().enumerate()) {
                            let row = y.part(at + o * plane..at + o * plane + pixels);
                            // The product has just written this row.
                            row.iter_mut().for_each(|y| *y.assume_init_mut() += *b);
                        }
                        return;
                    }
                    with(Slot::Gathered, co * pixels, |product| {
                        let out = Target { first: product.as_mut_ptr(), row: pixels, add: false };
                        multiply(co, pixels, k, out, w, columns);
                        for (o, row) in product.chunks(pixels).enumerate() {
                            let b = b.map_or(0.0, |b| b[o]);
                            for (i, row) in row.chunks(plane).enumerate() {
                                let at = (first + i * s.c_out + o) * plane;
                                copy_plus(row, b, y.part(at..at + plane));
                            }
                        }
                    });
                });
            });
        })
    }
}

fn copy_plus(from: &[f32], b: f32, to: &mut [MaybeUninit<f32>]) {
    for (to, from) in to.iter_mut().zip(from) {
        to.write(*from + b);
    }
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let (ci, co, k, area) = (s.c_in / s.groups, s.c_out / s.groups, s.patch(), s.kernel.0 * s.kernel.1);
    let (cut, block) = cut_of_input_gradient(s);
    let (packs, blocks) = (s.n.div_ceil(cut.images), ci.div_ceil(block));
    let plane = s.h * s.w;
    let mut dx = vec![0.0; s.input_len()];
    let out = Disjoint::new(&mut dx);
    each_task(packs * s.groups * blocks, s.output_len() * k, |task| {
        let (pack, group, part) = (task / blocks / s.groups, task / blocks % s.groups, task % blocks);
        let channels = Channels { group, range: part * block..ci.min((part + 1) * block) };
        let (from, rows) = (channels.range.start * area, channels.range.len() * area);
        // `[c_out, rows]` of the group's weights `[c_out, k]`, turned over.
        let w = View::turned(&w[group * co * k + from..(group + 1) * co * k], k);
        cut.each_tile(s, pack * cut.images..s.n.min((pack + 1) * cut.images), |tile| {
            let pixels = tile.pixels(s);
            gather(s, dy, &tile, group, |dy, row| {
                let dy = View::rows(dy, row);
                if is_pointwise(s) && tile.images.len() == 1 {
                    let first = (tile.images.start * s.c_in + group * ci + channels.range.start) * plane;
                    let at = first + tile.rows.start * s.w;
                    // SAFETY: these pixels and channels belong to this task alone, and they are in bounds.
                    unsafe {
                        let out = Target { first: out.pointer().add(at), row: plane, add: false };
                        multiply(rows, pixels, co, out, w, dy);
                    }
                    return;
                }
                with(Slot::Columns, rows * pixels, |columns| {
                    let product = Target { first: columns.as_mut_ptr(), row: pixels, add: false };
                    // SAFETY: the scratch has room for `rows * pixels` values and is this thread's own.
                    unsafe { multiply(rows, pixels, co, product, w, dy) };
                    fold(s, columns, &tile, &channels, &out);
                });
            });
        });
    });
    dx
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: &ConvShape, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let (ci, co, k, area) = (s.c_in / s.groups, s.c_out / s.groups, s.patch(), s.kernel.0 * s.kernel.1);
    let block = block_of_channels(s, s.groups);
    let blocks = ci.div_ceil(block);
    let cut = Cut::new(s, block);
    // Few channels make few tasks; few weights then are summed over parts of the images.
    let wanted = if s.weight_len() <= FEW_WEIGHTS { TASKS.div_ceil(blocks * s.groups) } else { 1 };
    let per_part = s.n.div_ceil(wanted.min(s.n).max(1)).next_multiple_of(cut.images).max(1);
    let parts = s.n.div_ceil(per_part).max(1);
    in_parts(parts, dw, accumulate, |into, add_first| {
        let into = Disjoint::new(into);
        each_task(parts * s.groups * blocks, s.output_len() * k, |task| {
            let (part, group, which) = (task / blocks / s.groups, task / blocks % s.groups, task % blocks);
            let channels = Channels { group, range: which * block..ci.min((which + 1) * block) };
            let (from, columns_of_w) = (channels.range.start * area, channels.range.len() * area);
            let first = part * s.weight_len() + group * co * k + from;
            let mut add = add_first;
            cut.each_tile(s, part * per_part..s.n.min((part + 1) * per_part), |tile| {
                let pixels = tile.pixels(s);
                gather(s, dy, &tile, group, |dy, dy_row| {
                    unfold(s, x, &tile, &channels, |columns, row| {
                        // SAFETY: each task has its own part, group and columns of the weights, in bounds.
                        unsafe {
                            let out = Target { first: into.pointer().add(first), row: k, add };
                            let columns = View::turned(columns, row);
                            multiply(co, columns_of_w, pixels, out, View::rows(dy, dy_row), columns);
                        }
                    });
                });
                add = true;
            });
        });
    });
    if s.n == 0 && !accumulate {
        dw.fill(0.0);
    }
}

/// Lends the output gradient of a tile and group as rows of pixels, one a channel: `f(values, length of a row)`.
fn gather(s: &ConvShape, dy: &[f32], tile: &Tile, group: usize, f: impl FnOnce(&[f32], usize)) {
    let (co, plane) = (s.c_out / s.groups, s.out_h() * s.out_w());
    let first = (tile.images.start * s.c_out + group * co) * plane + tile.rows.start * s.out_w();
    if tile.images.len() == 1 {
        return f(&dy[first..first + (co - 1) * plane + tile.image_pixels(s)], plane);
    }
    let pixels = tile.pixels(s);
    with(Slot::Gathered, co * pixels, |all| {
        for (o, row) in all.chunks_mut(pixels).enumerate() {
            for (i, row) in row.chunks_mut(plane).enumerate() {
                let at = first + (i * s.c_out + o) * plane;
                row.copy_from_slice(&dy[at..at + plane]);
            }
        }
        f(all, pixels);
    });
}

/// Input rows that a tile's patches touch.
fn input_rows(s: &ConvShape, rows: &Range<usize>) -> Range<usize> {
    let start = (rows.start * s.stride).saturating_sub(s.pad).min(s.h);
    start..((rows.end - 1) * s.stride + s.kernel.0).saturating_sub(s.pad).clamp(start, s.h)
}

/// Lends the patches of a tile as `channels * kh * kw` rows of pixels: `f(values, length of a row)`.
fn unfold(s: &ConvShape, x: Source<f32>, tile: &Tile, channels: &Channels, f: impl FnOnce(&[f32], usize)) {
    let (plane, area, pixels) = (s.h * s.w, s.kernel.0 * s.kernel.1, tile.pixels(s));
    let channel = |image: usize, c: usize| image * s.c_in + channels.group * (s.c_in / s.groups) + c;
    let used = input_rows(s, &tile.rows);
    let lines = Lines { first: used.start, image: tile.image_pixels(s), pixels };
    match x {
        Source::Dense(x) if is_pointwise(s) && tile.images.len() == 1 => {
            let at = channel(tile.images.start, channels.range.start) * plane + tile.rows.start * s.w;
            f(&x[at..at + (channels.range.len() - 1) * plane + pixels], plane);
        }
        Source::Dense(x) if is_pointwise(s) => {
            with(Slot::Columns, channels.range.len() * pixels, |columns| {
                let first = channel(tile.images.start, channels.range.start) * plane;
                gather_planes(&x[first..], s.c_in * plane, plane, tile.images.len(), columns);
                f(columns, pixels);
            })
        }
        Source::Dense(x) => with(Slot::Columns, channels.range.len() * area * pixels, |columns| {
            for (c, columns) in channels.range.clone().zip(columns.chunks_mut(area * pixels)) {
                for (i, image) in tile.images.clone().enumerate() {
                    let at = channel(image, c) * plane;
                    unfold_plane(s, &x[at + used.start * s.w..at + used.end * s.w], tile, &lines, i, columns);
                }
            }
            f(columns, pixels);
        }),
        // Spikes of a map of one pixel lie channel by channel.
        Source::Spikes(..) if is_pointwise(s) && plane == 1 => {
            with(Slot::Columns, channels.range.len() * pixels, |columns| {
                with(Slot::Values, channels.range.len(), |values| {
                    for (i, image) in tile.images.clone().enumerate() {
                        x.expand(channel(image, channels.range.start), values);
                        for (column, value) in columns[i..].iter_mut().step_by(pixels).zip(&*values) {
                            *column = *value;
                        }
                    }
                });
                f(columns, pixels);
            })
        }
        // A patch is a pixel: spikes are expanded to where the product reads them.
        Source::Spikes(..) if is_pointwise(s) => {
            with(Slot::Columns, channels.range.len() * pixels, |columns| {
                for (c, columns) in channels.range.clone().zip(columns.chunks_mut(pixels)) {
                    for (image, columns) in tile.images.clone().zip(columns.chunks_mut(lines.image)) {
                        x.expand(channel(image, c) * plane + tile.rows.start * s.w, columns);
                    }
                }
                f(columns, pixels);
            })
        }
        Source::Spikes(..) => with(Slot::Columns, channels.range.len() * area * pixels, |columns| {
            with(Slot::Values, used.len() * s.w, |values| {
                for (c, columns) in channels.range.clone().zip(columns.chunks_mut(area * pixels)) {
                    for (i, image) in tile.images.clone().enumerate() {
                        x.expand(channel(image, c) * plane + used.start * s.w, values);
                        unfold_plane(s, values, tile, &lines, i, columns);
                    }
                }
            });
            f(columns, pixels);
        }),
    }
}

/// Copies the planes of some images, `image` values apart, to rows of all images' pixels, one a channel.
fn gather_planes(x: &[f32], image: usize, plane: usize, images: usize, columns: &mut [f32]) {
    let pixels = images * plane;
    match plane {
        1 => turn(
            x,
            Extent { rows: images, columns: columns.len() / pixels, row: image },
            columns,
            pixels,
            pixels,
        ),
        4 => gather_wide::<4>(x, image, pixels, columns),
        16 => gather_wide::<16>(x, image, pixels, columns),
        _ => {
            for (c, columns) in columns.chunks_mut(pixels).enumerate() {
                for (i, to) in columns.chunks_mut(plane).enumerate() {
                    to.copy_from_slice(&x[i * image + c * plane..][..plane]);
                }
            }
        }
    }
}

/// The same for planes whose size the compiler knows: a call that copies a few values costs more than they do.
fn gather_wide<const PLANE: usize>(x: &[f32], image: usize, pixels: usize, columns: &mut [f32]) {
    for (c, columns) in columns.chunks_mut(pixels).enumerate() {
        for (i, to) in columns.as_chunks_mut::<PLANE>().0.iter_mut().enumerate() {
            if let Some(from) = x[i * image + c * PLANE..].first_chunk() {
                *to = *from;
            }
        }
    }
}

/// How a tile's pixels lie in the columns.
struct Lines {
    /// First input row that is lent.
    first: usize,
    /// Pixels of an image.
    image: usize,
    /// Pixels of the tile.
    pixels: usize,
}

/// Output columns whose patch column `q` lies inside the input, and the input column of the first.
#[inline(always)]
fn inside(s: &ConvShape, q: usize) -> (Range<usize>, usize) {
    let start = s.pad.saturating_sub(q).div_ceil(s.stride).min(s.out_w());
    let end = (s.w + s.pad).saturating_sub(q).div_ceil(s.stride).clamp(start, s.out_w());
    (start..end, (start * s.stride + q).saturating_sub(s.pad))
}

/// Unfolds one plane of one image (`x` holds the rows from `lines.first` on) into `[kh * kw, pixels]`.
#[inline]
fn unfold_plane(s: &ConvShape, x: &[f32], tile: &Tile, lines: &Lines, image: usize, columns: &mut [f32]) {
    let wo = s.out_w();
    for (pq, columns) in columns.chunks_mut(lines.pixels).enumerate() {
        let (p, q) = (pq / s.kernel.1, pq % s.kernel.1);
        let (places, from) = inside(s, q);
        let columns = &mut columns[image * lines.image..(image + 1) * lines.image];
        for (i, out) in tile.rows.clone().zip(columns.chunks_mut(wo)) {
            let row = i * s.stride + p;
            if row < s.pad || row - s.pad >= s.h || places.is_empty() {
                out.fill(0.0);
                continue;
            }
            out[..places.start].fill(0.0);
            out[places.end..].fill(0.0);
            let (x, out) = (&x[(row - s.pad - lines.first) * s.w + from..], &mut out[places.clone()]);
            if s.stride == 1 {
                out.copy_from_slice(&x[..out.len()]);
            } else {
                out.iter_mut().zip(x.iter().step_by(s.stride)).for_each(|(out, x)| *out = *x);
            }
        }
    }
}

/// Adds the gradients of a tile's patches `[channels * kh * kw, pixels]` to that of the input.
fn fold(s: &ConvShape, columns: &[f32], tile: &Tile, channels: &Channels, dx: &Disjoint<f32>) {
    let (plane, area, wo) = (s.h * s.w, s.kernel.0 * s.kernel.1, s.out_w());
    let (pixels, image_pixels) = (tile.pixels(s), tile.image_pixels(s));
    for (c, columns) in channels.range.clone().zip(columns.chunks(area * pixels)) {
        for (i, image) in tile.images.clone().enumerate() {
            let at = (image * s.c_in + channels.group * (s.c_in / s.groups) + c) * plane;
            // SAFETY: this plane belongs to the calling task alone.
            let dx = unsafe { dx.part(at..at + plane) };
            for (pq, columns) in columns.chunks(pixels).enumerate() {
                let (p, q) = (pq / s.kernel.1, pq % s.kernel.1);
                let (places, from) = inside(s, q);
                let columns = &columns[i * image_pixels..(i + 1) * image_pixels];
                for (o, g) in tile.rows.clone().zip(columns.chunks(wo)) {
                    let row = o * s.stride + p;
                    if row < s.pad || row - s.pad >= s.h || places.is_empty() {
                        continue;
                    }
                    let (dx, g) = (&mut dx[(row - s.pad) * s.w + from..], &g[places.clone()]);
                    if s.stride == 1 {
                        dx.iter_mut().zip(g).for_each(|(dx, g)| *dx += *g);
                    } else {
                        dx.iter_mut().step_by(s.stride).zip(g).for_each(|(dx, g)| *dx += *g);
                    }
                }
            }
        }
    }
}
