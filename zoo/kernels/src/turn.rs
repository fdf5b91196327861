//! Transposition between planes of pixels and vectors of channels.
//!
//! ```text
//! to[j, i] = from[i, j]
//! ```
//!
//! Squares of 16 by 16 are turned in registers.

/// Side of a square.
const SIDE: usize = 16;

/// Where a matrix lies: rows of `columns` values, which begin `row` values apart.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row: usize,
}

impl Extent {
    /// Values from the first to the last.
    fn reach(self) -> usize {
        if self.rows == 0 || self.columns == 0 { 0 } else { (self.rows - 1) * self.row + self.columns }
    }
}

/// Turns the matrix `from`, whose columns become rows of `to_row` values in `to`; a row is `width` values, those from
/// `extent.rows` on 0.
pub(crate) fn turn(from: &[f32], extent: Extent, to: &mut [f32], to_row: usize, width: usize) {
    let target = Extent { rows: extent.columns, columns: width, row: to_row };
    assert!(extent.rows <= width && target.reach() <= to.len());
    // SAFETY: the target lies inside `to`.
    unsafe { turn_into(from, extent, to.as_mut_ptr(), to_row, width) }
}

/// See [`turn`].
///
/// # Safety
/// `to` must be valid for writes of `extent.columns` rows of `width` values, `to_row` apart, and `width` at least
/// `extent.rows`.
pub(crate) unsafe fn turn_into(from: &[f32], extent: Extent, to: *mut f32, to_row: usize, width: usize) {
    assert!(extent.reach() <= from.len());
    let all = Turned { from: from.as_ptr(), extent, to, to_row, width };
    #[cfg(target_arch = "x86_64")]
    match crate::simd::level() {
        // SAFETY: `level` has asked the processor, and the matrices lie where they should.
        crate::simd::Level::Avx512 => return unsafe { turn_wide(all) },
        // SAFETY: as above.
        crate::simd::Level::Avx2 => return unsafe { turn_middle(all) },
        crate::simd::Level::Portable => {}
    }
    // SAFETY: the matrices lie where they should.
    unsafe { all.part(0..extent.columns, 0..width) }
}

/// A matrix and where its turned copy goes.
#[derive(Clone, Copy)]
struct Turned {
    from: *const f32,
    extent: Extent,
    to: *mut f32,
    to_row: usize,
    width: usize,
}

impl Turned {
    /// Writes some rows and columns of the target one by one.
    ///
    /// # Safety
    /// Both matrices must be valid.
    #[inline(always)]
    unsafe fn part(self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        for column in columns {
            for row in rows.clone() {
                // SAFETY: inside both matrices.
                unsafe {
                    let value = if column < self.extent.rows {
                        *self.from.add(column * self.extent.row + row)
                    } else {
                        0.0
                    };
                    *self.to.add(row * self.to_row + column) = value;
                }
            }
        }
    }
}

/// # Safety
/// The processor has AVX-512F, and both matrices are valid.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn turn_wide(all: Turned) {
    use std::arch::x86_64::*;
    let Turned { from, extent, to, to_row, width } = all;
    let mask = |many: usize| if many >= SIDE { !0 } else { (1_u16 << many) - 1 };
    // Along the lines of the planes, which lie far apart: the processor fetches what comes next in a line.
    let (across, down) = (width.div_ceil(SIDE), extent.columns.div_ceil(SIDE));
    for square in 0..across * down {
        let (column, first) = if extent.row > to_row {
            (square / down * SIDE, square % down * SIDE)
        } else {
            (square % across * SIDE, square / across * SIDE)
        };
        {
            let stored = mask(width - column);
            let many = SIDE.min(extent.columns - first);
            let loaded = mask(many);
            // SAFETY: the masks keep all reads and writes inside the matrices.
            unsafe {
                let rows: [__m512; SIDE] = std::array::from_fn(|i| {
                    let row = column + i;
                    if row < extent.rows {
                        _mm512_maskz_loadu_ps(loaded, from.add(row * extent.row + first))
                    } else {
                        _mm512_setzero_ps()
                    }
                });
                // Pairs, then quadruples of rows inside each 128 bits, then the 128 bits among each other.
                let pairs: [__m512; SIDE] = std::array::from_fn(|i| {
                    let (a, b) = (rows[i / 4 * 4 + i % 2 * 2], rows[i / 4 * 4 + i % 2 * 2 + 1]);
                    if i % 4 < 2 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
                });
                let fours: [__m512; SIDE] = std::array::from_fn(|i| {
                    let at = i / 4 * 4 + i % 4 / 2 * 2;
                    let (a, b) = (_mm512_castps_pd(pairs[at]), _mm512_castps_pd(pairs[at + 1]));
                    _mm512_castpd_ps(if i % 2 == 0 {
                        _mm512_unpacklo_pd(a, b)
                    } else {
                        _mm512_unpackhi_pd(a, b)
                    })
                });
                let halves: [__m512; SIDE] = std::array::from_fn(|i| {
                    let (a, b) = (fours[i / 8 * 8 + i % 4], fours[i / 8 * 8 + i % 4 + 4]);
                    if i % 8 < 4 {
                        _mm512_shuffle_f32x4::<0x88>(a, b)
                    } else {
                        _mm512_shuffle_f32x4::<0xdd>(a, b)
                    }
                });
                for i in 0..SIDE {
                    if i >= many {
                        break;
                    }
                    // Column `4 l + k` lies in 128 bits `l` of row `k`: even `l` went to the first four, odd to the others.
                    let at = i % 4 + i / 4 % 2 * 4;
                    let (a, b) = (halves[at], halves[at + 8]);
                    let turned = if i < 8 {
                        _mm512_shuffle_f32x4::<0x88>(a, b)
                    } else {
                        _mm512_shuffle_f32x4::<0xdd>(a, b)
                    };
                    let place = to.add((first + i) * to_row + column);
                    _mm512_mask_storeu_ps(place, stored, turned);
                }
            }
        }
    }
}

/// # Safety
/// The processor has AVX2, and both matrices are valid.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn turn_middle(all: Turned) {
    use std::arch::x86_64::*;
    let Turned { from, extent, to, to_row, width } = all;
    for column in (0..width).step_by(8) {
        let columns = column..width.min(column + 8);
        for first in (0..extent.columns).step_by(8) {
            let rows = first..extent.columns.min(first + 8);
            if rows.len() < 8 || column + 8 > extent.rows {
                // SAFETY: inside both matrices.
                unsafe { all.part(rows, columns.clone()) };
                continue;
            }
            // SAFETY: a square of 8 by 8 inside both matrices.
            unsafe {
                let rows: [__m256; 8] =
                    std::array::from_fn(|i| _mm256_loadu_ps(from.add((column + i) * extent.row + first)));
                let pairs: [__m256; 8] = std::array::from_fn(|i| {
                    let (a, b) = (rows[i / 4 * 4 + i % 2 * 2], rows[i / 4 * 4 + i % 2 * 2 + 1]);
                    if i % 4 < 2 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
                });
                let fours: [__m256; 8] = std::array::from_fn(|i| {
                    let at = i / 4 * 4 + i % 4 / 2 * 2;
                    let (a, b) = (_mm256_castps_pd(pairs[at]), _mm256_castps_pd(pairs[at + 1]));
                    _mm256_castpd_ps(if i % 2 == 0 {
                        _mm256_unpacklo_pd(a, b)
                    } else {
                        _mm256_unpackhi_pd(a, b)
                    })
                });
                for i in 0..8 {
                    let (a, b) = (fours[i % 4], fours[i % 4 + 4]);
                    let turned = if i < 4 {
                        _mm256_permute2f128_ps::<0x20>(a, b)
                    } else {
                        _mm256_permute2f128_ps::<0x31>(a, b)
                    };
                    _mm256_storeu_ps(to.add((first + i) * to_row + column), turned);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_turns_any_matrix() {
        for (rows, columns, width) in
            [(1, 1, 1), (16, 16, 16), (32, 45, 32), (17, 33, 32), (3, 50, 7), (40, 9, 41)]
        {
            let (row, to_row) = (columns + 3, width + 2);
            let from: Vec<f32> = (0..rows * row).map(|i| i as f32 + 1.0).collect();
            let extent = Extent { rows, columns, row };
            let mut expected = vec![-1.0; columns * to_row];
            for (i, j) in (0..columns).flat_map(|i| (0..width).map(move |j| (i, j))) {
                expected[i * to_row + j] = if j < rows { from[j * row + i] } else { 0.0 };
            }
            let check = |f: unsafe fn(Turned)| {
                let mut to = vec![-1.0; columns * to_row];
                // SAFETY: the matrices are as large as they say; the caller has asked the processor.
                unsafe { f(Turned { from: from.as_ptr(), extent, to: to.as_mut_ptr(), to_row, width }) };
                assert_eq!(to, expected, "{rows} {columns} {width}");
            };
            // SAFETY: as above.
            check(|all| unsafe { all.part(0..all.extent.columns, 0..all.width) });
            #[cfg(target_arch = "x86_64")]
            {
                use crate::simd::{Level, level};
                if matches!(level(), Level::Avx512 | Level::Avx2) {
                    // SAFETY: as above.
                    check(|all| unsafe { turn_middle(all) });
                }
                if level() == Level::Avx512 {
                    // SAFETY: as above.
                    check(|all| unsafe { turn_wide(all) });
                }
            }
            let mut to = vec![-1.0; columns * to_row];
            turn(&from, extent, &mut to, to_row, width);
            assert_eq!(to, expected, "{rows} {columns} {width}");
        }
    }
}
