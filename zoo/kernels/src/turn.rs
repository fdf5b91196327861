//! Transposition between planes of pixels and vectors of channels.
//!
//! ```text
//! to[j, i] = from[i, j]
//! ```
//!
//! Squares of 16 by 16 are turned in registers.

use crate::lanes::{LANES, load, on_lanes};

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
    // SAFETY: the matrices lie where they should.
    unsafe { squares(from.as_ptr(), extent, to, to_row, width) }
}

on_lanes! {
    /// # Safety
    /// Both matrices must be valid.
    unsafe fn squares[L](from: *const f32, extent: Extent, to: *mut f32, to_row: usize, width: usize) {
        // Along the lines of the planes, which lie far apart: the processor fetches what comes next in a line.
        let (across, down) = (width.div_ceil(LANES), extent.columns.div_ceil(LANES));
        for square in 0..across * down {
            let (column, first) = if extent.row > to_row {
                (square / down * LANES, square % down * LANES)
            } else {
                (square % across * LANES, square / across * LANES)
            };
            let (rows, many) = (extent.rows.saturating_sub(column).min(LANES), LANES.min(extent.columns - first));
            // SAFETY: so many rows and columns lie inside both matrices.
            unsafe {
                let (from, to) = (from.wrapping_add(column * extent.row + first), to.add(first * to_row + column));
                if rows == LANES && many == LANES {
                    for (i, turned) in L::turn(load::<L, LANES>(from, extent.row)).into_iter().enumerate() {
                        turned.store(to.add(i * to_row));
                    }
                    continue;
                }
                let mut part = [L::splat(0.0); LANES];
                for (i, row) in part.iter_mut().enumerate().take(rows) {
                    *row = L::load_some(from.add(i * extent.row), many);
                }
                for (i, turned) in L::turn(part).into_iter().enumerate().take(many) {
                    turned.store_some(to.add(i * to_row), LANES.min(width - column));
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
            for limit in crate::simd::ALL {
                crate::simd::within(limit, || {
                    let mut to = vec![-1.0; columns * to_row];
                    turn(&from, extent, &mut to, to_row, width);
                    assert_eq!(to, expected, "{rows} {columns} {width} {limit:?}");
                });
            }
        }
    }
}
