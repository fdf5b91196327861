//! Products of `f32` matrices on one thread.
//!
//! Parallel work is cut by the kernels, by shape; the product itself never starts threads, so its bits depend
//! on its sizes alone.

use gemm::Parallelism;

/// A matrix that is read: its first element, and the distance from one row and one column to the next.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

impl<'a> View<'a> {
    /// Rows of `row` values that lie one after the other.
    pub(crate) fn rows(values: &'a [f32], row: usize) -> Self {
        View { values, row, column: 1 }
    }

    /// The same, turned over: element `(i, j)` is value `j * row + i`.
    pub(crate) fn turned(values: &'a [f32], row: usize) -> Self {
        View { values, row: 1, column: row }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row + (columns - 1) * self.column < self.values.len()
    }
}

/// Where a product goes: rows that lie `row` values apart.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) first: *mut f32,
    pub(crate) row: usize,
    /// Whether the product is added to what is there, else it takes its place.
    pub(crate) add: bool,
}

/// Computes `out (+)= a * b` with `a` `[m, k]`, `b` `[k, n]`, `out` `[m, n]`.
///
/// # Safety
/// `out` must be valid for writes of `m` rows of `n` values, initialised if `add`, and nobody else may touch
/// these values meanwhile.
pub(crate) unsafe fn multiply(m: usize, n: usize, k: usize, out: Target, a: View, b: View) {
    assert!(a.holds(m, k) && b.holds(k, n));
    // SAFETY: `a` and `b` lie inside their slices by the assertion; `out` by the contract.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.first,
            1,
            out.row as isize,
            out.add,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
