//! Buffers that a thread keeps for the run, so that a step allocates only its results.
//!
//! They grow and never shrink; [`release`] gives back those of the calling thread. Each slot is one buffer:
//! a kernel that needs three takes three slots. A buffer is lent by taking it out, so a task that starts
//! another kernel while it waits gets a fresh one and nothing is shared by accident.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::num::NonZeroU64;

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
    /// Transformed filters; [`made`] keeps them from task to task.
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
    /// What [`made`] has left in the buffer of [`Slot::Filters`].
    static MADE: Cell<Option<NonZeroU64>> = const { Cell::new(None) };
}

/// Lends `len` values of a slot; they hold whatever the last borrower left.
pub(crate) fn with<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = take(slot);
    grow(&mut buffer, len);
    let out = f(&mut buffer[..len]);
    keep(slot, buffer);
    out
}

/// Lends scratch that begins on a cache line: a vector that lies across two costs two loads.
pub(crate) fn aligned<R>(slot: Slot, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(slot, len + ALIGNED, |all| f(from_line(all, len)))
}

/// Lends what `make` makes in [`Slot::Filters`], from a cache line on. It is made only if this thread made something of another
/// name last, or has used the slot since: tasks in a row share what they need alike. No two things have one name.
pub(crate) fn made<R>(
    name: NonZeroU64,
    len: usize,
    make: impl FnOnce(&mut [f32]),
    f: impl FnOnce(&[f32]) -> R,
) -> R {
    let there = MADE.get() == Some(name);
    let mut buffer = take(Slot::Filters);
    grow(&mut buffer, len + ALIGNED);
    let all = from_line(&mut buffer, len);
    if !there {
        make(all);
    }
    let out = f(all);
    if keep(Slot::Filters, buffer) {
        MADE.set(Some(name));
    }
    out
}

/// Lends a slot's buffer as an empty vector, to grow as it must: kept for `f32`, made anew for others. Of a buffer a task, a
/// thread asks the heap once in a run, where threads that all ask wait for each other.
pub(crate) fn vector<T: Real, R>(slot: Slot, f: impl FnOnce(&mut Vec<T>) -> R) -> R {
    let mut buffer = take(slot);
    let lent: &mut dyn Any = &mut buffer;
    let Some(values) = lent.downcast_mut::<Vec<T>>() else { return f(&mut Vec::new()) };
    values.clear();
    let out = f(values);
    keep(slot, buffer);
    out
}

/// Takes out the buffer of a slot.
fn take(slot: Slot) -> Vec<f32> {
    if matches!(slot, Slot::Filters) {
        MADE.set(None);
    }
    SINGLE.with_borrow_mut(|all| std::mem::take(&mut all[slot as usize]))
}

/// Room for `len` values; what was in a shorter buffer is lost.
fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.clear();
        buffer.shrink_to_fit();
        buffer.resize(len, 0.0);
    }
}

/// The first `len` values that begin on a cache line.
fn from_line(all: &mut [f32], len: usize) -> &mut [f32] {
    let skip = all.as_ptr().align_offset(ALIGNED * size_of::<f32>()).min(ALIGNED);
    &mut all[skip..skip + len]
}

/// Puts a buffer back, if it is the larger one of its slot, and says whether it is.
fn keep(slot: Slot, buffer: Vec<f32>) -> bool {
    SINGLE.with_borrow_mut(|all| {
        let kept = &mut all[slot as usize];
        let larger = kept.capacity() < buffer.capacity();
        if larger {
            *kept = buffer;
        }
        larger
    })
}

/// Gives back the buffers of the calling thread.
pub fn release() {
    MADE.set(None);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of what has the name `name`, and whether it was made now.
    fn of(name: u64, len: usize, inside: impl FnOnce()) -> (f32, bool) {
        let mut now = false;
        let make = |all: &mut [f32]| {
            now = true;
            all.fill(name as f32);
        };
        let value = made(NonZeroU64::new(name).unwrap(), len, make, |all| {
            inside();
            all.iter().for_each(|value| assert_eq!(*value, all[0]));
            all[0]
        });
        (value, now)
    }

    #[test]
    fn what_is_made_stays_until_the_buffer_is_used_otherwise() {
        std::thread::spawn(|| {
            assert_eq!(of(1, 100, || ()), (1.0, true));
            assert_eq!(of(1, 100, || ()), (1.0, false));
            assert_eq!(of(2, 300, || ()), (2.0, true));
            assert_eq!(of(1, 100, || ()), (1.0, true));
            with(Slot::Values, 400, |all| all.fill(7.0));
            assert_eq!(of(1, 100, || ()), (1.0, false));
            with(Slot::Filters, 10, |all| all.fill(7.0));
            assert_eq!(of(1, 100, || ()), (1.0, true));
            release();
            assert_eq!(of(1, 100, || ()), (1.0, true));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_made_meanwhile_is_not_mistaken_for_it() {
        for (inner, outer) in [(100, 100), (100, 300), (300, 100)] {
            std::thread::spawn(move || {
                assert_eq!(of(1, outer, || assert_eq!(of(2, inner, || ()), (2.0, true))), (1.0, true));
                // The larger buffer stays, of two equal ones the inner.
                let stays = outer > inner;
                assert_eq!(of(2, inner, || ()).1, stays);
                assert_eq!(of(1, outer, || aligned(Slot::Filters, inner, |all| all.fill(7.0))), (1.0, true));
                assert_eq!(of(1, outer, || ()), (1.0, !stays));
            })
            .join()
            .unwrap();
        }
    }
}
