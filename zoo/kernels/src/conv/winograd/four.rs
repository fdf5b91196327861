//! Tiles of 4 x 4 outputs: F(4x4, 3x3), by the points 0, 1, -1, 1/2, -2.
//!
//! ```text
//!      1 -3/2  -2  3/2  1   0           1       0      0
//!      0  -1  1/2  5/2  1   0          1/3     1/3    1/3            1  1  1   1   1  0
//! B' = 0   1 -5/2  1/2  1   0     G = -1/3     1/3   -1/3      A' =  0  1 -1  1/2 -2  0
//!      0  -2  -1   2    1   0        -16/15  -8/15  -4/15            0  1  1  1/4  4  0
//!      0  1/2 -1 -1/2   1   0          1/15   -2/15   4/15           0  1 -1  1/8 -8  1
//!      0   1 -3/2  -2  3/2  1           0       0      1
//! ```
//!
//! With 1/2 and -2 in place of 2 and -2 products grow less before they cancel (Barabasz et al., 2020).

use super::filters::Taps;
use crate::conv::vectors::BLOCK;
use crate::lanes::{LANES, Lanes, load, on_lanes};

/// Outputs along a side of a tile.
const SIDE: usize = 4;

/// Inputs along a side of what a tile sees.
const SEEN: usize = SIDE + 2;

on_lanes! {
    /// `to[place, tile] = B' d B` for `high * wide` tiles.
    ///
    /// # Safety
    /// `pixels` has `4 high + 2` rows of `4 wide + 2` vectors; `to` has room for all places and tiles.
    pub(super) unsafe fn inputs[L](
        pixels: &[f32],
        high: usize,
        wide: usize,
        tile: usize,
        place: usize,
        to: &mut [f32],
    ) {
        let line = (SIDE * wide + 2) * LANES;
        for i in 0..high {
            for j in 0..wide {
                // SAFETY: by the contract.
                unsafe {
                    let from = pixels.as_ptr().add(SIDE * i * line + SIDE * j * LANES);
                    let mut columns = [[L::splat(0.0); SEEN]; SEEN];
                    for (b, column) in columns.iter_mut().enumerate() {
                        *column = differences(load::<L, SEEN>(from.add(b * LANES), line));
                    }
                    let to = to.as_mut_ptr().add((i * wide + j) * tile);
                    for a in 0..SEEN {
                        for (b, v) in differences(across(&columns, a)).into_iter().enumerate() {
                            v.store(to.add((SEEN * a + b) * place));
                        }
                    }
                }
            }
        }
    }
}

on_lanes! {
    /// `to[place] = G w G'`, places being `place` values apart.
    ///
    /// # Safety
    /// `to` has room for all places.
    pub(super) unsafe fn filters[L](taps: &Taps, place: usize, to: &mut [f32]) {
        // SAFETY: vectors of a block of taps, and of a place of `to`, by the contract.
        unsafe {
            for first in (0..BLOCK).step_by(LANES) {
                let w = load::<L, 9>(taps.as_flattened().as_ptr().add(first), BLOCK);
                let (left, middle, right) =
                    (shares([w[0], w[3], w[6]]), shares([w[1], w[4], w[7]]), shares([w[2], w[5], w[8]]));
                for a in 0..SEEN {
                    for (b, u) in shares([left[a], middle[a], right[a]]).into_iter().enumerate() {
                        u.store(to.as_mut_ptr().add((SEEN * a + b) * place + first));
                    }
                }
            }
        }
    }
}

on_lanes! {
    /// `pixels[4, 4 wide] = A' m A + offset` for a row of tiles.
    ///
    /// # Safety
    /// `sums` has `wide` tiles at each place, `pixels` room for sixteen blocks a tile; `vectors` is 1 or 2.
    pub(super) unsafe fn outputs[L](
        sums: &[f32],
        wide: usize,
        place: usize,
        vectors: usize,
        offset: &[f32; BLOCK],
        pixels: &mut [f32],
    ) {
        for j in 0..wide {
            for first in (0..vectors * LANES).step_by(LANES) {
                // SAFETY: by the contract.
                unsafe {
                    let from = sums.as_ptr().add(j * BLOCK + first);
                    let offset = L::load(offset.as_ptr().add(first));
                    let mut columns = [[L::splat(0.0); SIDE]; SEEN];
                    for (b, column) in columns.iter_mut().enumerate() {
                        *column = totals(load::<L, SEEN>(from.add(b * place), SEEN * place));
                    }
                    for a in 0..SIDE {
                        for (b, y) in totals(across(&columns, a)).into_iter().enumerate() {
                            let at = (a * SIDE * wide + SIDE * j + b) * BLOCK + first;
                            y.add(offset).store(pixels.as_mut_ptr().add(at));
                        }
                    }
                }
            }
        }
    }
}

/// Row `a` of what lies in columns.
#[inline(always)]
fn across<L: Copy, const ROWS: usize>([b0, b1, b2, b3, b4, b5]: &[[L; ROWS]; SEEN], a: usize) -> [L; SEEN] {
    [b0[a], b1[a], b2[a], b3[a], b4[a], b5[a]]
}

/// `B' d` of a column, or `d B` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn differences<L: Lanes>([d0, d1, d2, d3, d4, d5]: [L; SEEN]) -> [L; SEEN] {
    // SAFETY: by the caller's contract.
    unsafe {
        let (half, two, more) = (L::splat(0.5), L::splat(2.0), L::splat(1.5));
        let (even, odd) = (d4.sub(d2), d3.sub(d1));
        [
            odd.mul_add(more, d0.sub(d2).add(even)),
            d2.add(d3).mul_add(more, even.add(odd)),
            d3.sub(d2).mul_add(more, even.sub(odd)),
            odd.mul_add(two, even),
            even.sub(odd.mul(half)),
            even.mul_add(more, d5.sub(d3).sub(odd)),
        ]
    }
}

/// `G w` of a column, or `w G'` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn shares<L: Lanes>([a, b, c]: [L; 3]) -> [L; SEEN] {
    // SAFETY: by the caller's contract.
    unsafe {
        let (third, fifteenth, two, four) =
            (L::splat(1.0 / 3.0), L::splat(1.0 / 15.0), L::splat(2.0), L::splat(4.0));
        let ends = a.add(c);
        let down = a.mul_add(four, b.mul_add(two, c)).mul(four);
        let up = c.mul_add(four, a.sub(b.mul(two)));
        [
            a,
            ends.add(b).mul(third),
            b.sub(ends).mul(third),
            L::splat(0.0).sub(down).mul(fifteenth),
            up.mul(fifteenth),
            c,
        ]
    }
}

/// `A' m` of a column, or `m A` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn totals<L: Lanes>([m0, m1, m2, m3, m4, m5]: [L; SEEN]) -> [L; SIDE] {
    // SAFETY: by the caller's contract.
    unsafe {
        let (sum, difference) = (m1.add(m2), m1.sub(m2));
        let (half, two, quarter, four, eighth, eight) =
            (L::splat(0.5), L::splat(-2.0), L::splat(0.25), L::splat(4.0), L::splat(0.125), L::splat(-8.0));
        [
            m0.add(sum).add(m3).add(m4),
            m3.mul_add(half, m4.mul_add(two, difference)),
            m3.mul_add(quarter, m4.mul_add(four, sum)),
            m3.mul_add(eighth, m4.mul_add(eight, difference)).add(m5),
        ]
    }
}
