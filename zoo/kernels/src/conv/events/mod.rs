//! Convolutions of spikes.
//!
//! Forward, five channels at a place are a number that reads the sum of their weights in a table, and so costs the same at
//! any rate (`forward`); five pixels of a channel do so for the weights' gradient of 1x1 filters (`points`). For that of
//! 3x3 filters a spike adds the vectors around it, and what does not spike costs nothing (`weights`).
//!
//! Every sum has one order, whatever the threads, the rate and the instruction set.

mod forward;
mod places;
mod points;
mod tables;
mod weights;
mod windows;

use std::ops::Range;

use super::ConvShape;
use super::parts::{TOGETHER, give_columns, in_parts};
use crate::scratch::{Slot, with};

pub(super) use forward::forward;

/// Output channels of a block.
const LANES: usize = 32;

/// Tasks that the work is cut into, at least, where there are images enough.
const TASKS: usize = 8;

/// Whether these kernels serve the weights' gradient of the shape.
pub(super) fn serves(s: &ConvShape) -> bool {
    let filter = match s.kernel {
        (3, 3) => s.pad == 1,
        (1, 1) => s.pad == 0,
        _ => false,
    };
    filter && s.stride <= 2 && s.groups == 1 && s.c_out >= LANES / 2
}

/// Whether they serve the forward pass. On maps of a few pixels the quads that are computed together hang over.
pub(super) fn serves_forward(s: &ConvShape) -> bool {
    serves(s) && s.out_h() * s.out_w() >= 4
}

/// See [`crate::conv::backward_weight`]; `spikes` are rows of `h * w` bits, one an image and channel.
pub(super) fn backward_weight(s: &ConvShape, spikes: &[u8], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    match s.kernel {
        (1, 1) => points::backward_weight(s, spikes, dy, dw, accumulate),
        _ => weights::backward_weight(s, spikes, dy, dw, accumulate),
    }
}

/// Bytes of scratch that each thread keeps.
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    let forward = if serves_forward(s) { forward::workspace_bytes(s) } else { 0 };
    let weights = match s.kernel {
        _ if !serves(s) => 0,
        (1, 1) => points::workspace_bytes(s),
        _ => weights::workspace_bytes(s),
    };
    forward.max(weights)
}

/// Some outputs in blocks of `LANES`.
fn blocks_of(outputs: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = outputs.end;
    outputs.clone().step_by(LANES).map(move |first| first..end.min(first + LANES))
}

/// Eight bytes from `at` on; bytes behind the end are 0.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at + 8) {
        Some(whole) => u64::from_le_bytes(whole.try_into().unwrap_or_default()),
        None => {
            let mut word = [0; 8];
            let rest = &bytes[at.min(bytes.len())..];
            word[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(word)
        }
    }
}

/// Lends room for `len` places of spikes in a window.
fn with_events<R>(len: usize, f: impl FnOnce(&mut [u32]) -> R) -> R {
    with(Slot::Gathered, len, |values| {
        // SAFETY: any bits are a `u32`.
        let (_, events, _) = unsafe { values.align_to_mut::<u32>() };
        f(events)
    })
}

/// Lends `len` places in tables, all 0.
fn with_places<R>(len: usize, f: impl FnOnce(&mut [u16]) -> R) -> R {
    with(Slot::Values, len.div_ceil(2), |values| {
        // SAFETY: any bits are a `u16`.
        let (_, places, _) = unsafe { values.align_to_mut::<u16>() };
        places.fill(0);
        f(&mut places[..len])
    })
}
