//! Averages over windows of 3 by 3 that are two places apart, in a frame of one: how residual networks halve a map.
//!
//! Planes get their frame of zeros before they are summed, which changes no bit of a sum that begins with zero; the order
//! of each sum is that of the general loops.

use super::PoolShape;
use crate::real::Real;
use crate::simd::multiversion;

/// Whether these loops serve the shape.
pub(super) fn serves(s: &PoolShape) -> bool {
    (s.kernel, s.stride, s.pad) == (3, 2, 1)
}

/// Writes the averages of one plane.
pub(super) fn average<T: Real>(s: &PoolShape, x: &[T], y: &mut [T], count_pad: bool) {
    // The last window may reach one place beyond the frame's last line or column, where the sides are odd.
    let (lines, wide) = (2 * s.out_h() + 1, 2 * s.out_w() + 1);
    let mut framed = vec![T::ZERO; lines * wide];
    for (line, x) in framed[wide..].chunks_exact_mut(wide).zip(x.chunks_exact(s.w)) {
        line[1..=s.w].copy_from_slice(x);
    }
    sum(&framed, wide, s.out_w(), y);
    divide(s, count_pad, y);
}

/// Writes the gradient of one plane.
pub(super) fn spread<T: Real>(s: &PoolShape, dy: &[T], dx: &mut [T], count_pad: bool) {
    // A line and a column of windows that do not exist stand behind the last.
    let (wo, wide) = (s.out_w(), s.out_w() + 1);
    let mut shares = vec![T::ZERO; (s.out_h() + 1) * wide];
    let mut line = dy.to_vec();
    divide(s, count_pad, &mut line);
    for (shares, line) in shares.chunks_exact_mut(wide).zip(line.chunks_exact(wo)) {
        shares[..wo].copy_from_slice(line);
    }
    for (i, dx) in dx.chunks_mut(2 * s.w).enumerate() {
        let (upper, lower) = dx.split_at_mut(s.w);
        let here = &shares[i * wide..(i + 1) * wide];
        spread_upper(here, upper);
        if !lower.is_empty() {
            spread_lower(here, &shares[(i + 1) * wide..(i + 2) * wide], lower);
        }
    }
}

/// Divides each window's value by the window's count.
fn divide<T: Real>(s: &PoolShape, count_pad: bool, y: &mut [T]) {
    for (i, y) in y.chunks_exact_mut(s.out_w()).enumerate() {
        let rows = s.window(i, s.h).len();
        // Between the first and the last column all windows are alike.
        let last = s.out_w() - 1;
        let count = |j: usize| T::of(s.count(rows * s.window(j, s.w).len(), count_pad) as f64);
        let (first, inner, end) = (count(0), count(last.min(1)), count(last));
        divide_line(y, inner, first, end);
    }
}

multiversion! {
    fn divide_line<T: Real>(y: &mut [T], inner: T, first: T, end: T) {
        if let [head, middle @ .., tail] = y {
            *head /= first;
            for y in middle {
                *y /= inner;
            }
            *tail /= end;
        } else if let [only] = y {
            *only /= first;
        }
    }
}

multiversion! {
    /// Sums of windows of a framed plane with lines of `across`.
    fn sum<T: Real>(framed: &[T], across: usize, wo: usize, y: &mut [T]) {
        for (y, lines) in y.chunks_exact_mut(wo).zip(framed.windows(3 * across).step_by(2 * across)) {
            let (a, rest) = lines.split_at(across);
            let (b, c) = rest.split_at(across);
            for (j, y) in y.iter_mut().enumerate() {
                let mut sum = T::ZERO;
                for line in [a, b, c] {
                    sum = sum + line[2 * j] + line[2 * j + 1] + line[2 * j + 2];
                }
                *y = sum;
            }
        }
    }
}

multiversion! {
    /// An even line of the gradient: each place is in the windows of one line, odd places in two of them.
    fn spread_upper<T: Real>(here: &[T], dx: &mut [T]) {
        for ((dx, a), b) in dx.chunks_mut(2).zip(here).zip(&here[1..]) {
            for (q, dx) in dx.iter_mut().enumerate() {
                *dx = if q == 0 { T::ZERO + *a } else { T::ZERO + *a + *b };
            }
        }
    }
}

multiversion! {
    /// An odd line, which the windows of the next line see too.
    fn spread_lower<T: Real>(here: &[T], next: &[T], dx: &mut [T]) {
        let windows = here.iter().zip(&here[1..]).zip(next.iter().zip(&next[1..]));
        for (dx, ((a, b), (c, d))) in dx.chunks_mut(2).zip(windows) {
            for (q, dx) in dx.iter_mut().enumerate() {
                *dx = if q == 0 { T::ZERO + *a + *c } else { T::ZERO + *a + *b + *c + *d };
            }
        }
    }
}
