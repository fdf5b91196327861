//! Maxima of spikes a line of the plane at a time, each line one word.
//!
//! ```text
//! y[i, j] = 1 where the window has a spike     the OR of its lines, and of K neighbouring bits of that
//! ```
//!
//! A gradient goes to the first spike of its window, in reading order, and to the first place where there is none.

use std::mem::MaybeUninit;

use super::PoolShape;
use crate::real::Real;
use crate::simd::multiversion;

/// Whether a padded line fits into a word, and the places of a window too.
pub(super) fn serves(s: &PoolShape) -> bool {
    s.w + 2 * s.pad <= 64 && matches!(s.kernel, 2 | 3)
}

/// The lines of a packed plane, with `pad` zeros before the first place of each.
struct Lines<'a> {
    bytes: &'a [u8],
    s: &'a PoolShape,
}

impl Lines<'_> {
    /// A line, counted with the padding; no spikes outside.
    #[inline(always)]
    fn line(&self, padded_line: usize) -> u64 {
        let s = self.s;
        if padded_line < s.pad || padded_line >= s.pad + s.h {
            return 0;
        }
        let first = (padded_line - s.pad) * s.w;
        let (byte, skip) = (first / 8, first % 8);
        // 64 bits that start inside a byte lie in nine bytes.
        let word = match self.bytes[byte..].first_chunk::<16>() {
            Some(bytes) => u128::from_le_bytes(*bytes),
            None => {
                let mut bytes = [0; 16];
                let rest = &self.bytes[byte..];
                bytes[..rest.len()].copy_from_slice(rest);
                u128::from_le_bytes(bytes)
            }
        };
        ((word >> skip) as u64 & (u64::MAX >> (64 - s.w))) << s.pad
    }

    /// The lines of the windows with output line `i`.
    #[inline(always)]
    fn of_window<const K: usize>(&self, i: usize) -> [u64; K] {
        std::array::from_fn(|p| self.line(i * self.s.stride + p))
    }
}

/// Writes the packed maxima of one plane, each byte of `out`.
pub(super) fn any(s: &PoolShape, x: &[u8], out: &mut [MaybeUninit<u8>]) {
    match s.kernel {
        2 => any_wide::<2>(s, x, out),
        _ => any_wide::<3>(s, x, out),
    }
}

/// Adds the gradients of one plane's maxima to the places that they came from.
pub(super) fn spread<T: Real>(s: &PoolShape, x: &[u8], dy: &[T], dx: &mut [T]) {
    match s.kernel {
        2 => spread_of::<T, 2>(s, x, dy, dx),
        _ => spread_of::<T, 3>(s, x, dy, dx),
    }
}

multiversion! {
    fn any_wide[K](s: &PoolShape, x: &[u8], out: &mut [MaybeUninit<u8>]) {
        let (lines, wo) = (Lines { bytes: x, s }, s.out_w());
        let (mut waiting, mut bits, mut at) = (0u128, 0, 0);
        for i in 0..s.out_h() {
            let all = lines.of_window::<K>(i).into_iter().fold(0, |all, line| all | line);
            let windows = (1..K).fold(all, |any, q| any | all >> q);
            waiting |= u128::from(every(windows, s.stride) & (u64::MAX >> (64 - wo))) << bits;
            bits += wo;
            while bits >= 8 {
                out[at].write(waiting as u8);
                (waiting, bits, at) = (waiting >> 8, bits - 8, at + 1);
            }
        }
        if bits > 0 {
            out[at].write(waiting as u8);
        }
    }
}

/// Bits 0, `stride`, 2 `stride` ... put next to each other.
#[inline(always)]
fn every(word: u64, stride: usize) -> u64 {
    match stride {
        1 => word,
        2 => {
            let pack = |word: u64, shift: u32, mask: u64| (word | word >> shift) & mask;
            let word = pack(word & 0x5555_5555_5555_5555, 1, 0x3333_3333_3333_3333);
            let word = pack(pack(word, 2, 0x0F0F_0F0F_0F0F_0F0F), 4, 0x00FF_00FF_00FF_00FF);
            pack(pack(word, 8, 0x0000_FFFF_0000_FFFF), 16, 0x0000_0000_FFFF_FFFF)
        }
        _ => (0..64usize.div_ceil(stride)).fold(0, |all, j| all | (word >> (j * stride) & 1) << j),
    }
}

#[inline(always)]
fn spread_of<T: Real, const K: usize>(s: &PoolShape, x: &[u8], dy: &[T], dx: &mut [T]) {
    let lines = Lines { bytes: x, s };
    for (i, dy) in dy.chunks_exact(s.out_w()).enumerate() {
        let window = lines.of_window::<K>(i);
        for (j, dy) in dy.iter().enumerate() {
            let (top, left) = (i * s.stride, j * s.stride);
            // The window's bits in reading order.
            let mut spikes = 0u64;
            for (p, line) in window.iter().enumerate() {
                spikes |= (line >> left & ((1 << K) - 1)) << (p * K);
            }
            let (p, q) = match spikes.trailing_zeros() as usize {
                64 => (s.pad.saturating_sub(top), s.pad.saturating_sub(left)),
                first => (first / K, first % K),
            };
            dx[(top + p - s.pad) * s.w + left + q - s.pad] += *dy;
        }
    }
}
