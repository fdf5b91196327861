//! Products of turned operands on one thread: `out[i, j] (+)= sum over k of a[i, k] * b[k, j]`, in the order of `k`.
//!
//! Summands come in passes, each summed from zero and then added to the passes before it: rounding errors grow with the
//! length of a pass and not with that of the whole sum. A product and a sum are one rounding with AVX-512 and AVX2, two without.

use crate::lanes::{LANES, Lanes, load, on_lanes};

/// Summands of a pass: so many rows of a block stay in the first-level cache for all rows of the product.
const TERMS: usize = 192;

/// Distances in the operands of a product.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Strides {
    /// From one row of the left operand to the next.
    pub(in crate::conv) row: usize,
    /// From one summand of the left operand to the next.
    pub(in crate::conv) step: usize,
    /// From one summand of the right operand to the next.
    pub(in crate::conv) filter: usize,
    /// From one row of the sums to the next.
    pub(in crate::conv) out: usize,
}

on_lanes! {
    /// `out[i, j] = sum over k of a[i, k] * b[k, j]` for `rows` rows and `vectors` vectors of `j`, one or two.
    ///
    /// # Safety
    /// `a` has `rows * terms` values, `b` `terms` rows and `out` `rows` rows of `vectors` vectors, by `strides`.
    pub(in crate::conv) unsafe fn multiply[L](
        a: &[f32],
        b: &[f32],
        out: &mut [f32],
        rows: usize,
        terms: usize,
        vectors: usize,
        strides: Strides,
    ) {
        // SAFETY: by the contract.
        unsafe {
            let now = terms.min(TERMS);
            product::<L, false>(a.as_ptr(), b.as_ptr(), out.as_mut_ptr(), rows, now, vectors, strides);
            // The rest in parts, in order.
            for first in (now..terms).step_by(TERMS) {
                let (a, b) = (a.as_ptr().add(first * strides.step), b.as_ptr().add(first * strides.filter));
                product::<L, true>(a, b, out.as_mut_ptr(), rows, TERMS.min(terms - first), vectors, strides);
            }
        }
    }
}

on_lanes! {
    /// As [`multiply`], on top of what `out` holds.
    ///
    /// # Safety
    /// As [`multiply`].
    pub(in crate::conv) unsafe fn multiply_onto[L](
        a: &[f32],
        b: &[f32],
        out: &mut [f32],
        rows: usize,
        terms: usize,
        vectors: usize,
        strides: Strides,
    ) {
        // SAFETY: by the contract.
        unsafe { product::<L, true>(a.as_ptr(), b.as_ptr(), out.as_mut_ptr(), rows, terms, vectors, strides) }
    }
}

/// See [`multiply`].
#[inline(always)]
unsafe fn product<L: Lanes, const ONTO: bool>(
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    rows: usize,
    terms: usize,
    vectors: usize,
    s: Strides,
) {
    let mut row = 0;
    // SAFETY: by the caller's contract; each call has the rows that are left.
    unsafe {
        if L::WIDE && vectors == 2 {
            row = strips::<L, 12, 2, ONTO>(row, rows, a, b, terms, out, s);
            row = strips::<L, 8, 2, ONTO>(row, rows, a, b, terms, out, s);
            // Rows that are left one by one would each wait for the sum before: two images of 3x3 tiles leave six.
            row = strips::<L, 6, 2, ONTO>(row, rows, a, b, terms, out, s);
            row = strips::<L, 4, 2, ONTO>(row, rows, a, b, terms, out, s);
            row = strips::<L, 3, 2, ONTO>(row, rows, a, b, terms, out, s);
            row = strips::<L, 2, 2, ONTO>(row, rows, a, b, terms, out, s);
            strips::<L, 1, 2, ONTO>(row, rows, a, b, terms, out, s);
            return;
        }
        for vector in 0..vectors {
            let (b, out) = (b.add(vector * LANES), out.add(vector * LANES));
            let mut row = row;
            if L::WIDE {
                row = strips::<L, 12, 1, ONTO>(row, rows, a, b, terms, out, s);
            }
            row = strips::<L, 6, 1, ONTO>(row, rows, a, b, terms, out, s);
            row = strips::<L, 3, 1, ONTO>(row, rows, a, b, terms, out, s);
            strips::<L, 1, 1, ONTO>(row, rows, a, b, terms, out, s);
        }
    }
}

/// Multiplies strips of `R` rows as long as there are so many, from `row` on; returns the first row that is left.
#[inline(always)]
unsafe fn strips<L: Lanes, const R: usize, const V: usize, const ONTO: bool>(
    mut row: usize,
    rows: usize,
    a: *const f32,
    b: *const f32,
    terms: usize,
    out: *mut f32,
    s: Strides,
) -> usize {
    while row + R <= rows {
        // SAFETY: by the caller's contract.
        unsafe {
            let (a, out) = (a.add(row * s.row), out.add(row * s.out));
            let mut sums = [[L::splat(0.0); V]; R];
            for term in 0..terms {
                let right = load::<L, V>(b.add(term * s.filter), LANES);
                for (i, sums) in sums.iter_mut().enumerate() {
                    let left = L::splat(*a.add(i * s.row + term * s.step));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = left.mul_add(right, *sum);
                    }
                }
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (v, mut sum) in sums.into_iter().enumerate() {
                    let out = out.add(i * s.out + v * LANES);
                    if ONTO {
                        sum = L::load(out).add(sum);
                    }
                    sum.store(out);
                }
            }
        }
        row += R;
    }
    row
}
