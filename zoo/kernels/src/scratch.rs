//! Buffers that a thread keeps for the run, so that a step allocates only its results.
//!
//! They grow and never shrink; [`release`] gives back those of the calling thread. Each slot is one buffer:
//! a kernel that needs three takes three slots. A buffer is lent by taking it out, so a task that starts
//! another kernel while it waits gets a fresh one and nothing is shared by accident.

use std::any::Any;
use std::cell::RefCell;

use crate::real::Real;

/// Which of the thread's buffers a kernel borrows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    /// Unfolded input patches, or their gradient.
    Columns,
    /// Values expanded from bits, or padded planes.
    Values,
    /// Gathered or not yet scattered results.
    Gathered,
    /// The membrane over all steps of a block of neurons.
    Membrane,
    /// Partial sums of a weight gradient.
    Sums,
    /// Transformed filters.
    Filters,
    /// A row of spikes as numbers.
    Row,
    /// Another such row, or what a kernel makes of a row.
    Other,
}

const SLOTS: usize = 8;

/// Values of a cache line: as many more than its length are taken by [`aligned`].
pub(crate) const ALIGNED: usize = 16;

thread_local! {
    static SINGLE: RefCell<[Vec<f32>; SLOTS]> = const { RefCell::new([const { Vec::new() }; SLOTS]) };
}

/// Lends `len` values of a slot; they hold whatever the last borrower left.
pub(crate) fn with<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SINGLE.with_borrow_mut(|all| std::mem::take(&mut all[slot as usize]));
    if buffer.len() < len {
        buffer.clear();
        buffer.shrink_to_fit();
        buffer.resize(len, 0.0);
    }
    let out = f(&mut buffer[..len]);
    keep(slot, buffer);
    out
}

/// Lends scratch that begins on a cache line: a vector that lies across two costs two loads.
pub(crate) fn aligned<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(slot, len + ALIGNED, |all| {
        let skip = all.as_ptr().align_offset(ALIGNED * size_of::<f32>()).min(ALIGNED);
        f(&mut all[skip..skip + len])
    })
}

/// Lends a slot's buffer as an empty vector, to grow as it must: kept for `f32`, made anew for others. Of a buffer a task, a
/// thread asks the heap once in a run, where threads that all ask wait for each other.
pub(crate) fn vector<T: Real, R>(slot: Slot, f: impl FnOnce(&mut Vec<T>) -> R) -> R {
    let mut buffer = SINGLE.with_borrow_mut(|all| std::mem::take(&mut all[slot as usize]));
    let lent: &mut dyn Any = &mut buffer;
    let Some(values) = lent.downcast_mut::<Vec<T>>() else { return f(&mut Vec::new()) };
    values.clear();
    let out = f(values);
    keep(slot, buffer);
    out
}

/// Puts a buffer back, if it is the larger one of its slot.
fn keep(slot: Slot, buffer: Vec<f32>) {
    SINGLE.with_borrow_mut(|all| {
        let kept = &mut all[slot as usize];
        if kept.capacity() < buffer.capacity() {
            *kept = buffer;
        }
    });
}

/// Gives back the buffers of the calling thread.
pub fn release() {
    SINGLE.with_borrow_mut(|all| all.iter_mut().for_each(|buffer| *buffer = Vec::new()));
}

/// Bytes that the calling thread keeps.
pub fn kept_bytes() -> usize {
    SINGLE.with_borrow(|all| all.iter().map(|buffer| buffer.capacity() * size_of::<f32>()).sum())
}

/// Buffers of the plain reference loops, which are made anew each time.
pub(crate) fn fresh<T: Real>(len: usize) -> Vec<T> {
    vec![T::ZERO; len]
}
