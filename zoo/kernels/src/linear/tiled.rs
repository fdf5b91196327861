//! Linear maps as matrix products, tile by tile, in `f32`.
//!
//! The result is cut into tiles by its sizes; a task makes one tile and no two tasks write one value. Spikes are
//! expanded into the thread's scratch, as much as one product needs.

use super::Sizes;
use crate::bits::Source;
use crate::product::{Target, View, multiply};
use crate::scratch::{Slot, with};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;

/// Rows of a tile of outputs.
const ROWS: usize = 256;

/// Tiles that a result is cut into, at least, where its sizes allow.
const TASKS: usize = 16;

/// Columns of a tile are at least this many.
const COLUMNS: usize = 128;

/// Values of one expansion of spikes.
const EXPANDED: usize = 1 << 18;

/// How a result of `rows` by `columns` is cut.
#[derive(Clone, Copy)]
struct Cut {
    rows: usize,
    columns: usize,
    /// Tiles of a row of tiles.
    across: usize,
    tasks: usize,
}

impl Cut {
    fn new(rows: usize, columns: usize, most_rows: usize) -> Cut {
        let down = rows.div_ceil(most_rows).max(1);
        let across = TASKS.div_ceil(down).min(columns.div_ceil(COLUMNS)).max(1);
        let (rows, columns) = (rows.div_ceil(down).max(1), columns.div_ceil(across).next_multiple_of(16));
        Cut { rows, columns, across, tasks: down * across }
    }

    /// First row and column of a task's tile, and its rows and columns; rounding may leave the last ones empty.
    fn tile(&self, task: usize, rows: usize, columns: usize) -> Option<(usize, usize, usize, usize)> {
        let (row, column) = (task / self.across * self.rows, task % self.across * self.columns);
        (row < rows && column < columns)
            .then(|| (row, column, self.rows.min(rows - row), self.columns.min(columns - column)))
    }
}

/// See [`super::forward`].
pub(super) fn forward(s: Sizes, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let most = if matches!(x, Source::Spikes(..)) { (EXPANDED / s.inputs).clamp(1, ROWS) } else { ROWS };
    let cut = Cut::new(s.rows, s.outputs, most);
    // SAFETY: the tiles cover the result, and each task writes its own.
    unsafe {
        filled(s.rows * s.outputs, |y| {
            let y = Disjoint::new(y);
            each_task(cut.tasks, s.rows * s.outputs * s.inputs, |task| {
                let Some((row, column, rows, columns)) = cut.tile(task, s.rows, s.outputs) else { return };
                let w = View::turned(&w[column * s.inputs..(column + columns) * s.inputs], s.inputs);
                values(x, row * s.inputs, rows * s.inputs, |x| {
                    let first = y.pointer().cast::<f32>().add(row * s.outputs + column);
                    let out = Target { first, row: s.outputs, add: false };
                    multiply(rows, columns, s.inputs, out, View::rows(x, s.inputs), w);
                });
                let Some(b) = b.map(|b| &b[column..column + columns]) else { return };
                for row in row..row + rows {
                    let at = row * s.outputs + column;
                    // The product has just written these values.
                    y.part(at..at + columns).iter_mut().zip(b).for_each(|(y, b)| *y.assume_init_mut() += *b);
                }
            });
        })
    }
}

/// Lends `len` values from `first` on: where they lie, or expanded.
fn values(x: Source<f32>, first: usize, len: usize, f: impl FnOnce(&[f32])) {
    match x {
        Source::Dense(x) => f(&x[first..first + len]),
        Source::Spikes(..) => with(Slot::Values, len, |kept| {
            x.expand(first, kept);
            f(kept);
        }),
    }
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: Sizes, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let cut = Cut::new(s.rows, s.inputs, ROWS);
    // SAFETY: the tiles cover the result, and each task writes its own.
    unsafe {
        filled(s.rows * s.inputs, |dx| {
            let dx = Disjoint::new(dx);
            each_task(cut.tasks, s.rows * s.outputs * s.inputs, |task| {
                let Some((row, column, rows, columns)) = cut.tile(task, s.rows, s.inputs) else { return };
                let dy = View::rows(&dy[row * s.outputs..(row + rows) * s.outputs], s.outputs);
                let first = dx.pointer().cast::<f32>().add(row * s.inputs + column);
                let out = Target { first, row: s.inputs, add: false };
                multiply(rows, columns, s.outputs, out, dy, View::rows(&w[column..], s.inputs));
            });
        })
    }
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: Sizes, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
    if s.rows == 0 {
        if !accumulate {
            dw.fill(0.0);
        }
        return;
    }
    let cut = Cut::new(s.outputs, s.inputs, s.outputs.max(1));
    let out = Disjoint::new(dw);
    each_task(cut.tasks, s.rows * s.outputs * s.inputs, |task| {
        let Some((_, column, _, columns)) = cut.tile(task, s.outputs, s.inputs) else { return };
        let block = match x {
            Source::Dense(_) => s.rows,
            Source::Spikes(..) => (EXPANDED / columns).clamp(1, s.rows),
        };
        for first in (0..s.rows).step_by(block) {
            let rows = block.min(s.rows - first);
            let add = accumulate || first > 0;
            let dy = View::turned(&dy[first * s.outputs..(first + rows) * s.outputs], s.outputs);
            let product = |x: View| {
                // SAFETY: each task has its own columns of the weights, in bounds.
                unsafe {
                    let out = Target { first: out.pointer().add(column), row: s.inputs, add };
                    multiply(s.outputs, columns, rows, out, dy, x);
                }
            };
            match x {
                Source::Dense(x) => product(View::rows(&x[first * s.inputs + column..], s.inputs)),
                Source::Spikes(..) => with(Slot::Values, rows * columns, |kept| {
                    for (i, kept) in kept.chunks_mut(columns).enumerate() {
                        x.expand((first + i) * s.inputs + column, kept);
                    }
                    product(View::rows(kept, columns));
                }),
            }
        }
    });
}
