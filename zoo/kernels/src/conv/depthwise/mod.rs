//! One filter a channel: direct loops over padded planes.
//!
//! Planes are copied into the thread's scratch with zeros around them, so that the loops need no bounds. Strides
//! are served on the grid of stride 1: outputs are computed there and picked, output gradients are put there
//! with zeros between. Lines are whole multiples of [`LANES`]. Planes smaller than that have loops of their own (`small`).

mod small;

use super::ConvShape;
use crate::bits::Source;
use crate::scratch::{self, Slot, with};
use crate::simd::multiversion;
use crate::storage::{Disjoint, filled_chunks};
use crate::tasks::{each_chunk, each_task};

/// Neighbouring outputs that are computed together.
const LANES: usize = 16;

/// Output lines that are computed together: as many sums that do not wait for each other.
const LINES: usize = 4;

/// A padded plane, and the outputs of stride 1 that it gives.
#[derive(Clone, Copy)]
struct Grid {
    /// Outputs of a column and of a row.
    out: (usize, usize),
    /// Length of an output line in scratch.
    out_line: usize,
    /// Length of a padded line.
    line: usize,
    /// Values of the padded plane.
    len: usize,
    kernel: (usize, usize),
}

impl Grid {
    fn new(out: (usize, usize), kernel: (usize, usize)) -> Grid {
        let out_line = out.1.next_multiple_of(LANES);
        let line = out_line + kernel.1;
        Grid { out, out_line, line, len: (out.0.next_multiple_of(LINES) + kernel.0) * line, kernel }
    }

    /// For outputs.
    fn forward(s: &ConvShape) -> Grid {
        Grid::new((s.h + 2 * s.pad + 1 - s.kernel.0, s.w + 2 * s.pad + 1 - s.kernel.1), s.kernel)
    }

    /// For input gradients.
    fn backward(s: &ConvShape) -> Grid {
        Grid::new((s.h, s.w), s.kernel)
    }

    fn out_len(&self) -> usize {
        self.out.0.next_multiple_of(LINES) * self.out_line
    }

    /// Puts a plane with lines of `width` at `(top, left)`, its values `step` apart, zeros everywhere else.
    fn place(&self, x: &[f32], width: usize, (top, left): (usize, usize), step: usize, padded: &mut [f32]) {
        padded.fill(0.0);
        match (step, width) {
            (1, 8) => return self.place_lines::<8>(x, (top, left), padded),
            (1, 16) => return self.place_lines::<16>(x, (top, left), padded),
            (1, 32) => return self.place_lines::<32>(x, (top, left), padded),
            _ => {}
        }
        for (i, x) in x.chunks(width).enumerate() {
            let start = (top + i * step) * self.line + left;
            if step == 1 {
                padded[start..start + width].copy_from_slice(x);
            } else {
                padded[start..].iter_mut().step_by(step).zip(x).for_each(|(to, x)| *to = *x);
            }
        }
    }

    /// Puts lines whose length the compiler knows: a call that copies a few values costs more than they do.
    fn place_lines<const W: usize>(&self, x: &[f32], (top, left): (usize, usize), padded: &mut [f32]) {
        let lines = padded[top * self.line..].chunks_exact_mut(self.line);
        for (x, line) in x.as_chunks::<W>().0.iter().zip(lines) {
            if let Some(to) = line[left..].first_chunk_mut::<W>() {
                *to = *x;
            }
        }
    }
}

/// Writes output lines `f(value)` of `width` from lines of scratch that are `line` apart.
fn leave<T>(
    full: &[f32],
    line: usize,
    (width, stride): (usize, usize),
    out: &mut [T],
    f: impl Fn(&mut T, f32) + Copy,
) {
    match (stride, width) {
        (1, 8) => leave_lines::<T, 8>(full, line, out, f),
        (1, 16) => leave_lines::<T, 16>(full, line, out, f),
        (1, 32) => leave_lines::<T, 32>(full, line, out, f),
        (1, _) => {
            for (out, from) in out.chunks_mut(width).zip(full.chunks(line)) {
                out.iter_mut().zip(from).for_each(|(out, x)| f(out, *x));
            }
        }
        _ => {
            for (out, from) in out.chunks_mut(width).zip(full.chunks(line).step_by(stride)) {
                for (out, x) in out.iter_mut().zip(from.iter().step_by(stride)) {
                    f(out, *x);
                }
            }
        }
    }
}

/// The same, for lines whose length the compiler knows.
fn leave_lines<T, const W: usize>(full: &[f32], line: usize, out: &mut [T], f: impl Fn(&mut T, f32)) {
    for (out, from) in out.as_chunks_mut::<W>().0.iter_mut().zip(full.chunks_exact(line)) {
        if let Some(from) = from.first_chunk::<W>() {
            for (out, x) in out.iter_mut().zip(from) {
                f(out, *x);
            }
        }
    }
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    if small::serves(s) {
        return 0;
    }
    let (a, b) = (Grid::forward(s), Grid::backward(s));
    (a.len.max(b.len) + a.out_len().max(b.out_len()) + s.h * s.w) * size_of::<f32>()
}

/// Planes that one task handles.
fn planes_per_task(s: &ConvShape) -> usize {
    ((1 << 13) / (s.h * s.w).max(1)).max(1)
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    if small::serves(s) {
        return small::forward(s, x, w, b);
    }
    let (grid, plane, area) = (Grid::forward(s), s.h * s.w, s.kernel.0 * s.kernel.1);
    let (out, wo, per_task) = (s.out_h() * s.out_w(), s.out_w(), planes_per_task(s));
    // SAFETY: each line of each plane is written whole.
    unsafe {
        filled_chunks(s.output_len(), per_task * out, |task, y| {
            with(Slot::Columns, grid.len, |padded| {
                with(Slot::Gathered, grid.out_len(), |full| {
                    scratch::vector(Slot::Row, |kept| {
                        for (i, y) in y.chunks_mut(out).enumerate() {
                            let row = task * per_task + i;
                            let c = row % s.c_in;
                            grid.place(x.row(row, plane, kept), s.w, (s.pad, s.pad), 1, padded);
                            correlate(&grid, padded, &w[c * area..(c + 1) * area], full);
                            let bias = b.map_or(0.0, |b| b[c]);
                            leave(full, grid.out_line, (wo, s.stride), y, |y, x| {
                                y.write(x + bias);
                            });
                        }
                    });
                });
            });
        })
    }
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    if small::serves(s) {
        return small::backward_input(s, dy, w);
    }
    let (grid, plane, area) = (Grid::backward(s), s.h * s.w, s.kernel.0 * s.kernel.1);
    let (out, per_task) = (s.out_h() * s.out_w(), planes_per_task(s));
    let corner = (s.kernel.0 - 1 - s.pad, s.kernel.1 - 1 - s.pad);
    let mut dx = vec![0.0; s.input_len()];
    each_chunk(&mut dx, per_task * plane, |task, dx| {
        with(Slot::Columns, grid.len, |padded| {
            with(Slot::Gathered, grid.out_len(), |full| {
                let mut turned = Vec::with_capacity(area);
                for (i, dx) in dx.chunks_mut(plane).enumerate() {
                    let row = task * per_task + i;
                    let c = row % s.c_in;
                    turned.clear();
                    turned.extend(w[c * area..(c + 1) * area].iter().rev());
                    grid.place(&dy[row * out..(row + 1) * out], s.out_w(), corner, s.stride, padded);
                    correlate(&grid, padded, &turned, full);
                    leave(full, grid.out_line, (s.w, 1), dx, |dx, x| *dx = x);
                }
            });
        });
    });
    dx
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: &ConvShape, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
    if small::serves(s) {
        return small::backward_weight(s, x, dy, dw, accumulate);
    }
    let (grid, plane, area) = (Grid::forward(s), s.h * s.w, s.kernel.0 * s.kernel.1);
    let out = s.out_h() * s.out_w();
    let dw = Disjoint::new(dw);
    // A task is a channel over all images, so no sums meet.
    each_task(s.c_in, s.output_len() * area, |c| {
        let mut sums = vec![[0.0f32; LANES]; area];
        let mut kept = Vec::new();
        with(Slot::Columns, grid.len, |padded| {
            with(Slot::Gathered, grid.out_len(), |full| {
                full.fill(0.0);
                for n in 0..s.n {
                    let row = n * s.c_in + c;
                    grid.place(x.row(row, plane, &mut kept), s.w, (s.pad, s.pad), 1, padded);
                    let lines = full.chunks_mut(grid.out_line).step_by(s.stride);
                    for (line, dy) in lines.zip(dy[row * out..(row + 1) * out].chunks(s.out_w())) {
                        line.iter_mut().step_by(s.stride).zip(dy).for_each(|(to, g)| *to = *g);
                    }
                    add_products(&grid, padded, full, s.stride, &mut sums);
                }
            });
        });
        // SAFETY: one filter a task.
        let dw = unsafe { dw.part(c * area..(c + 1) * area) };
        for (dw, sum) in dw.iter_mut().zip(&sums) {
            let sum: f32 = sum.iter().sum();
            *dw = if accumulate { *dw + sum } else { sum };
        }
    });
}

/// Correlates a padded plane with one filter, at stride 1.
fn correlate(grid: &Grid, padded: &[f32], w: &[f32], out: &mut [f32]) {
    match grid.kernel.1 {
        3 => correlate_wide::<3>(grid, padded, w, out),
        5 => correlate_wide::<5>(grid, padded, w, out),
        7 => correlate_wide::<7>(grid, padded, w, out),
        _ => correlate_any(grid, padded, w, out),
    }
}

fn add_products(grid: &Grid, padded: &[f32], dy: &[f32], stride: usize, sums: &mut [[f32; LANES]]) {
    match grid.kernel.1 {
        3 => add_products_wide::<3>(grid, padded, dy, stride, sums),
        5 => add_products_wide::<5>(grid, padded, dy, stride, sums),
        7 => add_products_wide::<7>(grid, padded, dy, stride, sums),
        _ => add_products_any(grid, padded, dy, stride, sums),
    }
}

/// The `LANES` values at `at`.
#[inline(always)]
fn lanes(x: &[f32], at: usize) -> &[f32; LANES] {
    const NONE: [f32; LANES] = [0.0; LANES];
    x[at..].first_chunk().unwrap_or(&NONE)
}

#[inline(always)]
fn correlate_lines(grid: &Grid, kw: usize, padded: &[f32], w: &[f32], out: &mut [f32]) {
    for top in (0..grid.out.0).step_by(LINES) {
        for left in (0..grid.out_line).step_by(LANES) {
            let mut sums = [[0.0f32; LANES]; LINES];
            for p in 0..grid.kernel.0 {
                let w = &w[p * kw..(p + 1) * kw];
                for (line, sums) in sums.iter_mut().enumerate() {
                    // Cut once, so that no tap asks again whether it lies inside.
                    let x = &padded[(top + line + p) * grid.line + left..][..LANES + kw - 1];
                    for (q, w) in w.iter().enumerate() {
                        for (sum, x) in sums.iter_mut().zip(lanes(x, q)) {
                            *sum += *w * *x;
                        }
                    }
                }
            }
            for (line, sums) in sums.iter().enumerate() {
                let at = (top + line) * grid.out_line + left;
                out[at..at + LANES].copy_from_slice(sums);
            }
        }
    }
}

multiversion! {
    fn correlate_wide[K](grid: &Grid, padded: &[f32], w: &[f32], out: &mut [f32]) {
        correlate_lines(grid, K, padded, w, out);
    }
}

multiversion! {
    fn correlate_any(grid: &Grid, padded: &[f32], w: &[f32], out: &mut [f32]) {
        correlate_lines(grid, grid.kernel.1, padded, w, out);
    }
}

/// For one line of the filter at a time, the sums stay in registers over the whole plane.
#[inline(always)]
fn add_line_products(
    grid: &Grid,
    padded: &[f32],
    dy: &[f32],
    stride: usize,
    p: usize,
    sums: &mut [[f32; LANES]],
) {
    for i in (0..grid.out.0).step_by(stride) {
        for left in (0..grid.out_line).step_by(LANES) {
            let g = lanes(dy, i * grid.out_line + left);
            let line = &padded[(i + p) * grid.line + left..][..LANES + sums.len() - 1];
            for (q, sum) in sums.iter_mut().enumerate() {
                for ((sum, g), x) in sum.iter_mut().zip(g).zip(lanes(line, q)) {
                    *sum += *g * *x;
                }
            }
        }
    }
}

multiversion! {
    fn add_products_wide[K](grid: &Grid, padded: &[f32], dy: &[f32], stride: usize, sums: &mut [[f32; LANES]]) {
        for (p, sums) in sums.as_chunks_mut::<K>().0.iter_mut().enumerate() {
            let mut kept = *sums;
            add_line_products(grid, padded, dy, stride, p, &mut kept);
            *sums = kept;
        }
    }
}

multiversion! {
    fn add_products_any(grid: &Grid, padded: &[f32], dy: &[f32], stride: usize, sums: &mut [[f32; LANES]]) {
        for (p, sums) in sums.chunks_mut(grid.kernel.1).enumerate() {
            add_line_products(grid, padded, dy, stride, p, sums);
        }
    }
}
