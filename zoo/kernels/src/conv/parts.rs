//! Weight gradients whose images are cut into parts, so that few weights make tasks enough.

use crate::scratch::{Slot, with};
use crate::storage::Disjoint;
use crate::turn::{Extent, turn};

/// Weights of an output that are written together, at most: those of sixteen input channels of a 3x3 filter.
pub(super) const TOGETHER: usize = 16 * 9;

/// Adds the gradients of a task to its part of the weights, or writes them there.
fn give(from: &[f32], to: &mut [f32], add: bool) {
    if add {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
    } else {
        to.copy_from_slice(from);
    }
}

/// Gives a task's gradients `[weights, lanes]`, a column an output, to the rows of the first `outputs` of them: rows are `row`
/// values apart, and the first begins at `at`. A row is written in runs, where one input channel after the other would
/// touch a page for each output. `ROOM` is `lanes * TOGETHER`.
///
/// # Safety
/// These weights are the calling task's alone.
pub(super) unsafe fn give_columns<const ROOM: usize>(
    from: &[f32],
    (outputs, row): (usize, usize),
    at: usize,
    into: &Disjoint<f32>,
    add: bool,
) {
    let lanes = ROOM / TOGETHER;
    let mut turned = [0.0; ROOM];
    for (run, from) in from.chunks(ROOM).enumerate() {
        let many = from.len() / lanes;
        turn(from, Extent { rows: many, columns: lanes, row: lanes }, &mut turned, TOGETHER, many);
        for (output, from) in turned.chunks_exact(TOGETHER).enumerate().take(outputs) {
            let at = at + output * row + run * TOGETHER;
            // SAFETY: by the caller's contract.
            give(&from[..many], unsafe { into.part(at..at + many) }, add);
        }
    }
}

/// Runs `f(weights, accumulate)` on the weights' gradient, or where there are several `parts`, on one a part, and sums
/// these in order.
pub(super) fn in_parts(parts: usize, dw: &mut [f32], accumulate: bool, f: impl Fn(&mut [f32], bool)) {
    if parts == 1 {
        return f(dw, accumulate);
    }
    with(Slot::Sums, parts * dw.len(), |sums| {
        f(sums, false);
        for (part, sum) in sums.chunks(dw.len()).enumerate() {
            give(sum, dw, accumulate || part > 0);
        }
    });
}
