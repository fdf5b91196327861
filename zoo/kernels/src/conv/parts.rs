//! Weight gradients whose images are cut into parts, so that few weights make tasks enough.

use crate::scratch::{Slot, with};

/// Adds the gradients of a task to its part of the weights, or writes them there.
pub(super) fn give(from: &[f32], to: &mut [f32], add: bool) {
    if add {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
    } else {
        to.copy_from_slice(from);
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
