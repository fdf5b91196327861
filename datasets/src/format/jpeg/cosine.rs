//! The inverse cosine transform of blocks of eight by eight, in integers.
//!
//! Loeffler, Ligtenberg and Moschytz (ICASSP 1989): eleven products a row, constants times 4096, columns before rows, two bits
//! kept between. Which integers round how is a choice; this is zune-jpeg's, so that its pixels come out.

/// What is added before the last shift: one half, and 128 for bytes; and the first pass's half, as zune-jpeg has it.
const LAST: i32 = 512 + (1 << 16) + (128 << 17);

/// Coefficients, row by row, to bytes in eight rows that lie `stride` apart. `seen` tells how many, in the code's order, may
/// not be zero.
#[inline(always)]
pub(super) fn block(coefficients: &[i32; 64], seen: usize, into: &mut [u8], stride: usize) {
    let mut rows = [[0; 8]; 8];
    if seen > 1 {
        rows.iter_mut().zip(coefficients.as_chunks().0).for_each(|(row, from)| *row = *from);
        columns::<512, 10>(&mut rows);
        rows = transposed(&rows);
        columns::<LAST, 17>(&mut rows);
        rows = transposed(&rows);
    } else {
        // The mean alone: the same as above, by hand.
        rows = [[coefficients[0].wrapping_add(4 + 1024) >> 3; 8]; 8];
    }
    for (to, row) in into.chunks_mut(stride).zip(&rows) {
        to.iter_mut().zip(row).for_each(|(to, &value)| *to = value.clamp(0, 255) as u8);
    }
}

/// One pass down all columns at once; `HALF` is added before the shift.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a column goes through all rows")]
fn columns<const HALF: i32, const SHIFT: i32>(rows: &mut [[i32; 8]; 8]) {
    for at in 0..8 {
        let (r0, r1, r2, r3) = (rows[0][at], rows[1][at], rows[2][at], rows[3][at]);
        let (r4, r5, r6, r7) = (rows[4][at], rows[5][at], rows[6][at], rows[7][at]);
        let turned = times(plus(r2, r6), 2217);
        let (low, high) = (plus(turned, times(r6, -7567)), plus(turned, times(r2, 3135)));
        let (sum, difference) = (plus(plus(r0, r4) << 12, HALF), plus(minus(r0, r4) << 12, HALF));
        let even = [plus(sum, high), plus(difference, low), minus(difference, low), minus(sum, high)];
        let (a, b) = (plus(r7, r3), plus(r5, r1));
        let all = times(plus(a, b), 4816);
        let (a, b) = (times(a, -8034), times(b, -1597));
        let (c, d) = (plus(all, times(plus(r7, r1), -3685)), plus(all, times(plus(r5, r3), -10497)));
        let odd = [
            plus(times(r1, 6149), plus(c, b)),
            plus(times(r3, 12586), plus(d, a)),
            plus(times(r5, 8410), plus(d, b)),
            plus(times(r7, 1223), plus(c, a)),
        ];
        for row in 0..4 {
            rows[row][at] = plus(even[row], odd[row]) >> SHIFT;
            rows[7 - row][at] = minus(even[row], odd[row]) >> SHIFT;
        }
    }
}

#[inline(always)]
fn transposed(rows: &[[i32; 8]; 8]) -> [[i32; 8]; 8] {
    let mut to = [[0; 8]; 8];
    for (row, values) in rows.iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            to[column][row] = value;
        }
    }
    to
}

// Garbled files reach beyond 32 bits: they wrap, as they do in vector registers.

#[inline(always)]
fn plus(a: i32, b: i32) -> i32 {
    a.wrapping_add(b)
}

#[inline(always)]
fn minus(a: i32, b: i32) -> i32 {
    a.wrapping_sub(b)
}

#[inline(always)]
fn times(a: i32, b: i32) -> i32 {
    a.wrapping_mul(b)
}
