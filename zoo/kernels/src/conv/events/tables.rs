//! Sums of five values at a time, read in tables.
//!
//! ```text
//! sums[p] += sum over t < 9 of table[t][place(p, t)]      table [9, 32, LANES]      sums [p, LANES]
//! ```
//!
//! Five bits are set in one of 32 ways, so the sums of the five vectors that they choose from are a table of 32, and nine
//! such tables fit into the first-level cache. A sum then takes nine additions of vectors where multiplication takes
//! 45, whatever the bits. The order of the additions is that of the tables, and in a table that of its bits.

use super::LANES;
use crate::vector::Vector;

/// Bits that read a table.
pub(super) const BITS: usize = 5;

/// Values of a table.
pub(super) const TABLE: usize = (1 << BITS) * LANES;

/// Tables of a pass.
pub(super) const TABLES: usize = 9;

/// Vectors that the tables of a pass are made of.
pub(super) const VECTORS: usize = TABLES * BITS;

/// Sums that are computed together.
pub(super) const QUAD: usize = 4;

/// Bytes of a table's entry: a place holds a multiple of them.
pub(super) const ENTRY: u16 = (LANES * size_of::<f32>()) as u16;

/// Which places the tables are read at.
#[derive(Clone, Copy)]
pub(super) enum Reach {
    /// Those of a 3x3 filter, in rows that lie `line` apart; the next sum's lie `step` columns or rows on.
    Around { line: usize, step: usize },
    /// Those of the first `used` tables, which lie `line` apart.
    Own { line: usize, used: usize },
}

crate::simd::multiversion! {
    /// Fills tables; bit `k` of table `t` chooses vector `t * table_apart + k * bit_apart` of `vectors`.
    pub(super) fn make(vectors: &[f32], table_apart: usize, bit_apart: usize, tables: &mut [f32]) {
        for (table, sums) in tables.chunks_exact_mut(TABLE).enumerate() {
            sums[..LANES].fill(0.0);
            for bit in 0..BITS {
                let vector = &vectors[(table * table_apart + bit * bit_apart) * LANES..][..LANES];
                let (without, with) = sums.split_at_mut(LANES << bit);
                for (with, without) in with.chunks_exact_mut(LANES).zip(without.chunks_exact(LANES)) {
                    for ((with, without), vector) in with.iter_mut().zip(without).zip(vector) {
                        *with = *without + *vector;
                    }
                }
            }
        }
    }
}

/// One pass over sums.
pub(super) struct Pass<'a> {
    /// `[TABLES, 32, LANES]`.
    pub(super) tables: &'a [f32],
    /// Bytes from the beginning of a table to what is read there.
    pub(super) places: &'a [u16],
    pub(super) reach: Reach,
    /// Places from one image to the next.
    pub(super) image: usize,
    pub(super) images: usize,
    pub(super) rows: usize,
    /// Columns of a row, a multiple of `QUAD`.
    pub(super) columns: usize,
    /// What all sums begin with; without it they go on.
    pub(super) start: Option<&'a [f32]>,
    /// `[images, rows, columns, LANES]`.
    pub(super) sums: &'a mut [f32],
}

impl Pass<'_> {
    /// Places from one row of sums to the next, and from one column.
    fn steps(&self) -> (usize, usize) {
        match self.reach {
            Reach::Around { line, step } => (line * step, step),
            Reach::Own { .. } => (self.columns, 1),
        }
    }

    /// Adds the pass.
    ///
    /// # Safety
    /// Each place is a multiple of [`ENTRY`] inside a table.
    pub(super) unsafe fn run(mut self) {
        if self.images * self.rows * self.columns == 0 {
            return;
        }
        let (row, column) = self.steps();
        let (known, last) = match self.reach {
            Reach::Around { line, step } => (step == 1 || step == 2, 2 * line + 2),
            Reach::Own { line, used } => (used <= TABLES, used.saturating_sub(1) * line),
        };
        let last =
            last + (self.images - 1) * self.image + (self.rows - 1) * row + (self.columns - 1) * column;
        assert!(known && last < self.places.len() && self.tables.len() >= TABLES * TABLE);
        assert!(self.sums.len() >= self.images * self.rows * self.columns * LANES);
        assert!(self.columns.is_multiple_of(QUAD) && self.start.is_none_or(|start| start.len() >= LANES));
        debug_assert!(self.places.iter().all(|place| usize::from(*place) < TABLE * size_of::<f32>()));
        #[cfg(target_arch = "x86_64")]
        match crate::simd::level() {
            // SAFETY: `level` has asked the processor; the assertions and the caller's contract keep all reads inside.
            crate::simd::Level::Avx512 => return unsafe { wide(&mut self) },
            // SAFETY: as above.
            crate::simd::Level::Avx2 => return unsafe { middle(&mut self) },
            crate::simd::Level::Portable => {}
        }
        // SAFETY: as above.
        unsafe { narrow(&mut self) }
    }
}

/// # Safety
/// The processor has AVX-512F, and the pass holds what it says.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn wide(pass: &mut Pass<'_>) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::__m512, 2, QUAD>(pass) }
}

/// # Safety
/// As [`wide`], with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn middle(pass: &mut Pass<'_>) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::__m256, 4, 2>(pass) }
}

/// # Safety
/// The pass holds what it says.
unsafe fn narrow(pass: &mut Pass<'_>) {
    // SAFETY: the caller's contract.
    unsafe { run::<crate::vector::Narrow, 8, 1>(pass) }
}

/// Adds a pass, `SUMS` sums of `WIDTH` vectors at a time.
///
/// # Safety
/// The processor has the vector's instruction set, `WIDTH` of them are `LANES` values, `SUMS` divides a quad, and the
/// pass holds what it says: all places that it reads lie inside, and each leads to an entry of a table.
#[inline(always)]
unsafe fn run<V: Vector, const WIDTH: usize, const SUMS: usize>(pass: &mut Pass<'_>) {
    // SAFETY: the caller's contract.
    unsafe {
        match pass.reach {
            Reach::Own { line, used } => each::<V, WIDTH, SUMS>(pass, |places, sums, pass| {
                for table in 0..used {
                    let entries = entries::<SUMS>(places.add(table * line), SUMS);
                    add::<V, WIDTH, SUMS>(&entries, 1, table, pass, sums);
                }
            }),
            // The distance is a constant, so that a place which several sums read is loaded once.
            Reach::Around { line, step: 1 } => each::<V, WIDTH, SUMS>(pass, |places, sums, pass| {
                around::<V, WIDTH, SUMS, 1>(places, line, pass, sums);
            }),
            Reach::Around { line, .. } => each::<V, WIDTH, SUMS>(pass, |places, sums, pass| {
                around::<V, WIDTH, SUMS, 2>(places, line, pass, sums);
            }),
        }
    }
}

/// Entries that some sums read in a row of a filter's tables, at most.
const ENTRIES: usize = 2 * (QUAD - 1) + 3;

/// Adds what some sums, whose places lie `STEP` apart, read in the nine tables of a filter.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn around<V: Vector, const WIDTH: usize, const SUMS: usize, const STEP: usize>(
    places: *const u16,
    line: usize,
    pass: &Pass<'_>,
    sums: &mut [[V; WIDTH]; SUMS],
) {
    for row in 0..3 {
        // SAFETY: the caller's contract.
        unsafe {
            let entries = entries::<ENTRIES>(places.add(row * line), (SUMS - 1) * STEP + 3);
            for column in 0..3 {
                add::<V, WIDTH, SUMS>(&entries[column..], STEP, 3 * row + column, pass, sums);
            }
        }
    }
}

/// The first `many` of the entries that lie from `from` on. Four are one load: sums wait for loads, and not for what takes
/// a word apart.
///
/// # Safety
/// So many are valid, and `many` is at most `N`.
#[inline(always)]
unsafe fn entries<const N: usize>(from: *const u16, many: usize) -> [usize; N] {
    let mut all = [0; N];
    // SAFETY: the caller's contract. Without a loop, whose array would lie in memory.
    unsafe {
        match many {
            3 => {
                two(from, &mut all, 0);
                all[2] = usize::from(*from.add(2));
            }
            4 => four(from, &mut all, 0),
            5 => {
                four(from, &mut all, 0);
                all[4] = usize::from(*from.add(4));
            }
            6 => {
                four(from, &mut all, 0);
                two(from, &mut all, 4);
            }
            9 => {
                four(from, &mut all, 0);
                four(from, &mut all, 4);
                all[8] = usize::from(*from.add(8));
            }
            _ => {
                for (i, entry) in all.iter_mut().enumerate().take(many) {
                    *entry = usize::from(*from.add(i));
                }
            }
        }
    }
    all
}

/// The two entries from place `at` on.
///
/// # Safety
/// They are valid, and there is room.
#[inline(always)]
unsafe fn two<const N: usize>(from: *const u16, all: &mut [usize; N], at: usize) {
    // SAFETY: the caller's contract.
    let word = u32::from_le(unsafe { from.add(at).cast::<u32>().read_unaligned() }) as usize;
    (all[at], all[at + 1]) = (word & 0xffff, word >> 16);
}

/// The four entries from place `at` on.
///
/// # Safety
/// As [`two`].
#[inline(always)]
unsafe fn four<const N: usize>(from: *const u16, all: &mut [usize; N], at: usize) {
    // SAFETY: the caller's contract.
    let word = u64::from_le(unsafe { from.add(at).cast::<u64>().read_unaligned() });
    (all[at], all[at + 1]) = (word as usize & 0xffff, (word >> 16) as usize & 0xffff);
    (all[at + 2], all[at + 3]) = ((word >> 32) as usize & 0xffff, (word >> 48) as usize);
}

/// Adds what some sums read in one table, at entries that lie `step` apart.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn add<V: Vector, const WIDTH: usize, const SUMS: usize>(
    entries: &[usize],
    step: usize,
    table: usize,
    pass: &Pass<'_>,
    sums: &mut [[V; WIDTH]; SUMS],
) {
    // SAFETY: the caller's contract.
    unsafe {
        let table = pass.tables.as_ptr().add(table * TABLE);
        for (i, sum) in sums.iter_mut().enumerate() {
            let entry = table.byte_add(entries[i * step]);
            for (vector, sum) in sum.iter_mut().enumerate() {
                *sum = sum.plus(V::load(entry.add(vector * (LANES / WIDTH))));
            }
        }
    }
}

/// Runs `f(places of the first, sums, pass)` on all sums.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn each<V: Vector, const WIDTH: usize, const SUMS: usize>(
    pass: &mut Pass<'_>,
    f: impl Fn(*const u16, &mut [[V; WIDTH]; SUMS], &Pass<'_>),
) {
    let (lanes, (row_step, column_step)) = (LANES / WIDTH, pass.steps());
    let mut at = pass.sums.as_mut_ptr();
    let (mut from, apart) = pass.start.map_or((at.cast_const(), LANES), |start| (start.as_ptr(), 0));
    for image in 0..pass.images {
        for row in 0..pass.rows {
            let line = image * pass.image + row * row_step;
            for column in (0..pass.columns).step_by(SUMS) {
                // SAFETY: the caller's contract.
                unsafe {
                    let mut sums = [[V::zero(); WIDTH]; SUMS];
                    for (i, sum) in sums.iter_mut().enumerate() {
                        for (vector, sum) in sum.iter_mut().enumerate() {
                            *sum = V::load(from.add(i * apart + vector * lanes));
                        }
                    }
                    f(pass.places.as_ptr().add(line + column * column_step), &mut sums, pass);
                    for (i, sum) in sums.iter().enumerate() {
                        for (vector, sum) in sum.iter().enumerate() {
                            sum.store(at.add(i * LANES + vector * lanes));
                        }
                    }
                    from = from.add(SUMS * apart);
                    at = at.add(SUMS * LANES);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums of a pass, all ones before it, by one instruction set.
    fn sums_of(run: unsafe fn(&mut Pass<'_>), reach: Reach) -> Vec<f32> {
        let (images, rows, columns) = if matches!(reach, Reach::Own { .. }) { (2, 1, 28) } else { (2, 3, 8) };
        let tables: Vec<f32> = (0..TABLES * TABLE).map(|i| ((i * 37 % 1009) as f32).sqrt()).collect();
        let places: Vec<u16> = (0..1000).map(|i| i * 31 % 32 * ENTRY).collect();
        let mut sums = vec![1.0; images * rows * columns * LANES];
        let (tables, places, sums_of_pass) = (&*tables, &*places, &mut *sums);
        let start = None;
        let pass =
            &mut Pass { tables, places, reach, image: 300, images, rows, columns, start, sums: sums_of_pass };
        // SAFETY: the pass holds what it says, and the caller has asked the processor.
        unsafe { run(pass) };
        sums
    }

    #[test]
    fn every_instruction_set_adds_the_same_bits() {
        let around = |step| Reach::Around { line: 19, step };
        for reach in [around(1), around(2), Reach::Own { line: 28, used: 7 }] {
            let expected = sums_of(narrow, reach);
            assert!(expected.iter().all(|sum| *sum > 1.0));
            #[cfg(target_arch = "x86_64")]
            {
                use crate::simd::{Level, level};
                if matches!(level(), Level::Avx512 | Level::Avx2) {
                    assert_eq!(sums_of(middle, reach), expected);
                }
                if level() == Level::Avx512 {
                    assert_eq!(sums_of(wide, reach), expected);
                }
            }
        }
    }
}
