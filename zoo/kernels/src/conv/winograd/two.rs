//! Tiles of 2 x 2 outputs: F(2x2, 3x3).

use super::filters::Taps;
use crate::conv::vectors::BLOCK;
use crate::lanes::{LANES, Lanes, load, on_lanes};

on_lanes! {
    /// `to[place, tile] = B' d B` for `high * wide` tiles.
    ///
    /// # Safety
    /// `pixels` has `2 high + 2` rows of `2 wide + 2` vectors; `to` has room for all places and tiles.
    pub(super) unsafe fn inputs[L](pixels: &[f32], high: usize, wide: usize, tile: usize, place: usize, to: &mut [f32]) {
        let line = (2 * wide + 2) * LANES;
        for i in 0..high {
            for j in 0..wide {
                // SAFETY: by the contract.
                unsafe {
                    let from = pixels.as_ptr().add(2 * i * line + 2 * j * LANES);
                    let mut d = [[L::splat(0.0); 4]; 4];
                    for (a, d) in d.iter_mut().enumerate() {
                        *d = differences(load::<L, 4>(from.add(a * line), LANES));
                    }
                    let to = to.as_mut_ptr().add((i * wide + j) * tile);
                    for (b, column) in turn_four(d).into_iter().enumerate() {
                        for (a, v) in differences(column).into_iter().enumerate() {
                            v.store(to.add((4 * a + b) * place));
                        }
                    }
                }
            }
        }
    }
}

/// Rows as columns.
#[inline(always)]
fn turn_four<L: Copy>([a, b, c, d]: [[L; 4]; 4]) -> [[L; 4]; 4] {
    [[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]], [a[2], b[2], c[2], d[2]], [a[3], b[3], c[3], d[3]]]
}

/// `B' d` of a column, or `d B` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn differences<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 4] {
    // SAFETY: by the caller's contract.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
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

on_lanes! {
    /// `pixels[2, 2 wide] = A' m A + offset` for a row of tiles.
    ///
    /// # Safety
    /// `sums` has `wide` tiles at each place, `pixels` room for four blocks a tile; `vectors` is 1 or 2.
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
                    let mut m = [[L::splat(0.0); 2]; 4];
                    for (a, m) in m.iter_mut().enumerate() {
                        *m = totals(load::<L, 4>(from.add(4 * a * place), place));
                    }
                    let [m0, m1, m2, m3] = m;
                    for (b, column) in
                        [[m0[0], m1[0], m2[0], m3[0]], [m0[1], m1[1], m2[1], m3[1]]].into_iter().enumerate()
                    {
                        for (a, y) in totals(column).into_iter().enumerate() {
                            y.add(offset).store(
                                pixels.as_mut_ptr().add((a * 2 * wide + 2 * j + b) * BLOCK + first),
                            );
                        }
                    }
                }
            }
        }
    }
}

/// `A' m` of a column, or `m A` of a row.
///
/// # Safety
/// The processor has the instruction set of `L`.
#[inline(always)]
unsafe fn totals<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 2] {
    // SAFETY: by the caller's contract.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}
