//! Filters on their way in: `u = G w G'`, as `[block of outputs, place, channel, BLOCK]`.

use std::ops::Range;

use super::{Job, Tiles, four, two};
use crate::conv::vectors::BLOCK;
use crate::lanes::{LANES, on_lanes};

/// The nine taps of a block of outputs.
pub(super) type Taps = [[f32; BLOCK]; TAPS];

/// Taps of a filter.
const TAPS: usize = 9;

/// Transforms the filters of some outputs; outputs and channels that fill up vectors become 0.
pub(super) fn transform(job: &Job, w: &[f32], outputs: &Range<usize>, filters: &mut [f32]) {
    let (place, places) = (job.padded_channels() * BLOCK, job.tiles.places());
    let mut taps = [[0.0; BLOCK]; TAPS];
    for (first, filters) in outputs.clone().step_by(BLOCK).zip(filters.chunks_exact_mut(places * place)) {
        let lanes = BLOCK.min(outputs.end - first);
        for channel in 0..job.channels {
            gather(job, w, first, lanes, channel, &mut taps);
            let to = &mut filters[channel * BLOCK..];
            assert!(to.len() >= (places - 1) * place + BLOCK);
            // SAFETY: the last place's vectors end inside `to`.
            unsafe {
                match job.tiles {
                    Tiles::Two => two::filters(&taps, place, to),
                    Tiles::Four => four::filters(&taps, place, to),
                }
            }
        }
        for place in filters.chunks_exact_mut(place) {
            place[job.channels * BLOCK..].fill(0.0);
        }
    }
}

/// The taps of `lanes` outputs from `first` on; the lanes behind them become 0.
fn gather(job: &Job, w: &[f32], first: usize, lanes: usize, channel: usize, taps: &mut Taps) {
    let (at, apart) = if job.turned {
        (channel * job.outputs + first, TAPS)
    } else {
        (first * job.channels + channel, job.channels * TAPS)
    };
    let from = &w[at * TAPS..];
    assert!(from.len() >= (lanes - 1) * apart + TAPS);
    // SAFETY: so many outputs' taps lie in `from`, by the assertion.
    unsafe { turn(from, apart, lanes, job.turned, taps) };
}

on_lanes! {
    /// `taps[t, lane] = from[lane, t]`, or `from[lane, 8 - t]` of filters turned around; lanes from `lanes` on become 0.
    ///
    /// # Safety
    /// `from` has `lanes` filters, `apart` values apart.
    unsafe fn turn[L](from: &[f32], apart: usize, lanes: usize, around: bool, taps: &mut Taps) {
        for first in (0..BLOCK).step_by(LANES) {
            // SAFETY: by the contract.
            unsafe {
                let mut rows = [L::splat(0.0); LANES];
                for (lane, row) in rows.iter_mut().enumerate().take(lanes.saturating_sub(first)) {
                    *row = L::load_some(from.as_ptr().add((first + lane) * apart), TAPS);
                }
                for (tap, row) in L::turn(rows).into_iter().enumerate().take(TAPS) {
                    row.store(taps[if around { TAPS - 1 - tap } else { tap }].as_mut_ptr().add(first));
                }
            }
        }
    }
}
