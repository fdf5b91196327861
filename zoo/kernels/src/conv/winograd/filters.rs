//! Filters on their way in: `u = G w G'`, as `[block of outputs, place, channel, BLOCK]`.

use std::ops::Range;

use super::{Job, PLACES};
use crate::conv::vectors::BLOCK;
use crate::lanes::{LANES, Lanes, load, on_lanes};

/// The nine taps of a block of outputs.
type Taps = [[f32; BLOCK]; 9];

/// Transforms the filters of some outputs; outputs and channels that fill up vectors become 0.
pub(super) fn transform(job: &Job, w: &[f32], outputs: &Range<usize>, filters: &mut [f32]) {
    let place = job.padded_channels() * BLOCK;
    for (first, filters) in outputs.clone().step_by(BLOCK).zip(filters.chunks_exact_mut(PLACES * place)) {
        let lanes = BLOCK.min(outputs.end - first);
        let mut taps = [[0.0; BLOCK]; 9];
        for channel in 0..job.channels {
            gather(job, w, first, lanes, channel, &mut taps);
            let to = &mut filters[channel * BLOCK..];
            assert!(to.len() >= (PLACES - 1) * place + BLOCK);
            // SAFETY: the last place's vectors end inside `to`.
            unsafe { spread(&taps, place, to) };
        }
        for place in filters.chunks_exact_mut(place) {
            place[job.channels * BLOCK..].fill(0.0);
        }
    }
}

/// The taps of `lanes` outputs from `first` on; the lanes behind them stay 0.
fn gather(job: &Job, w: &[f32], first: usize, lanes: usize, channel: usize, taps: &mut Taps) {
    for (lane, output) in (first..first + lanes).enumerate() {
        let at = if job.turned { channel * job.outputs + output } else { output * job.channels + channel };
        for (tap, w) in w[9 * at..9 * at + 9].iter().enumerate() {
            taps[if job.turned { 8 - tap } else { tap }][lane] = *w;
        }
    }
}

on_lanes! {
    /// `to[place] = G w G'`, places being `place` values apart.
    ///
    /// # Safety
    /// `to` has room for all places.
    unsafe fn spread[L](taps: &Taps, place: usize, to: &mut [f32]) {
        // SAFETY: vectors of a block of taps, and of a place of `to`, by the contract.
        unsafe {
            for first in (0..BLOCK).step_by(LANES) {
                let w = load::<L, 9>(taps.as_flattened().as_ptr().add(first), BLOCK);
                let a = halves([w[0], w[1], w[2]]);
                let b = halves([w[3], w[4], w[5]]);
                let c = halves([w[6], w[7], w[8]]);
                for j in 0..4 {
                    for (i, u) in halves([a[j], b[j], c[j]]).into_iter().enumerate() {
                        u.store(to.as_mut_ptr().add((4 * i + j) * place + first));
                    }
                }
            }
        }
    }
}

/// `G w` of a column, or `w G'` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn halves<L: Lanes>([a, b, c]: [L; 3]) -> [L; 4] {
    // SAFETY: by the caller's contract.
    unsafe {
        let (half, ends) = (L::splat(0.5), a.add(c));
        [a, ends.add(b).mul(half), ends.sub(b).mul(half), c]
    }
}
