//! Averages over windows of 3 by 3 that are two places apart, in a frame of one: how residual networks halve a map.
//!
//! A window sees a left, a middle and a right place of an odd line, of the even line below it and of the next odd line.
//! These six planes, each as large as the output, lie apart, so that all windows of a plane are summed as one row:
//!
//! ```text
//! window (i, j):   odd line 2i - 1    even line 2i    odd line 2i + 1        places 2j - 1, 2j, 2j + 1 of each
//! ```
//!
//! Places outside the plane are zeros, which change no bit of a sum that begins with zero; the order of each sum is that of
//! the general loops.

use super::PoolShape;
use crate::real::Real;
use crate::simd::multiversion;

/// Whether these loops serve the shape.
pub(super) fn serves(s: &PoolShape) -> bool {
    (s.kernel, s.stride, s.pad) == (3, 2, 1)
}

/// What each window's sum is divided by.
pub(super) fn counts<T: Real>(s: &PoolShape, count_pad: bool) -> Vec<T> {
    let mut counts = vec![T::ZERO; s.out()];
    s.each_window(|o, rows, columns| {
        counts[o] = T::of(s.count(rows.len() * columns.len(), count_pad) as f64);
    });
    counts
}

multiversion! {
    /// Writes the averages of one plane. `places` comes empty, or as the last plane of the same shape left it: what
    /// lies outside a plane is never written and stays zero.
    pub(super) fn average<T: Real>(s: &PoolShape, counts: &[T], x: &[T], y: &mut [T], places: &mut Vec<T>) {
        let (wo, out) = (s.out_w(), s.out());
        // Above the first odd line there is another, outside the plane.
        places.resize(6 * out + 3 * wo, T::ZERO);
        let (odd, even) = places.split_at_mut(3 * (out + wo));
        for (i, line) in x.chunks_exact(s.w).enumerate() {
            let (all, apart, at) =
                if i % 2 == 1 { (&mut *odd, out + wo, (i / 2 + 1) * wo) } else { (&mut *even, out, i / 2 * wo) };
            let (left, rest) = all.split_at_mut(apart);
            let (middle, right) = rest.split_at_mut(apart);
            let (middle, right) = (&mut middle[at..at + wo], &mut right[at..at + wo]);
            let (pairs, last) = line.as_chunks::<2>();
            for ((pair, middle), right) in pairs.iter().zip(middle.iter_mut()).zip(right.iter_mut()) {
                (*middle, *right) = (pair[0], pair[1]);
            }
            if let ([last], Some(middle)) = (last, middle.last_mut()) {
                *middle = *last;
            }
            left[at + 1..at + wo].copy_from_slice(&right[..wo - 1]);
        }
        let [al, am, ar] = thirds(odd, out + wo, 0, out);
        let [bl, bm, br] = thirds(even, out, 0, out);
        let [cl, cm, cr] = thirds(odd, out + wo, wo, out);
        let (y, counts) = (&mut y[..out], &counts[..out]);
        for k in 0..out {
            let sum = T::ZERO + al[k] + am[k] + ar[k] + bl[k] + bm[k] + br[k] + cl[k] + cm[k] + cr[k];
            y[k] = sum / counts[k];
        }
    }
}

/// The left, middle and right places of `len` windows, from window `first` on.
#[inline(always)]
fn thirds<T>(all: &[T], apart: usize, first: usize, len: usize) -> [&[T]; 3] {
    [0, 1, 2].map(|third| &all[third * apart + first..third * apart + first + len])
}

multiversion! {
    /// Writes the gradient of one plane. `shares` is kept between planes as [`average`]'s places are.
    pub(super) fn spread<T: Real>(s: &PoolShape, counts: &[T], dy: &[T], dx: &mut [T], shares: &mut Vec<T>) {
        let (wo, out) = (s.out_w(), s.out());
        // Below the last line of windows there is another of zeros; `next` holds each window's right neighbour.
        shares.resize(2 * (out + wo), T::ZERO);
        let (here, next) = shares.split_at_mut(out + wo);
        for ((share, dy), count) in here.iter_mut().zip(dy).zip(counts) {
            *share = *dy / *count;
        }
        for (next, here) in next.chunks_exact_mut(wo).zip(here.chunks_exact(wo)) {
            next[..wo - 1].copy_from_slice(&here[1..]);
        }
        let windows = here.windows(2 * wo).zip(next.windows(2 * wo)).step_by(wo);
        for (lines, (here, next)) in dx.chunks_mut(2 * s.w).zip(windows) {
            let ((a, c), (b, d)) = (here.split_at(wo), next.split_at(wo));
            let (upper, lower) = lines.split_at_mut(s.w);
            // An even line: each place is in the windows of one line, odd places in two of them.
            let (pairs, last) = upper.as_chunks_mut::<2>();
            for (dx, (a, b)) in pairs.iter_mut().zip(a.iter().zip(b)) {
                *dx = [T::ZERO + *a, T::ZERO + *a + *b];
            }
            if let ([last], Some(a)) = (last, a.last()) {
                *last = T::ZERO + *a;
            }
            // An odd line, which the windows of the next line see too.
            let (pairs, last) = lower.as_chunks_mut::<2>();
            for (dx, ((a, b), (c, d))) in pairs.iter_mut().zip(a.iter().zip(b).zip(c.iter().zip(d))) {
                *dx = [T::ZERO + *a + *c, T::ZERO + *a + *b + *c + *d];
            }
            if let ([last], Some(a), Some(c)) = (last, a.last(), c.last()) {
                *last = T::ZERO + *a + *c;
            }
        }
    }
}
