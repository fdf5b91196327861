//! Sums over the images and places of a channel, in `f64` and in an order fixed by the shape.

use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::map_tasks;

/// Accumulators of a sum: a fixed number, so that every instruction set adds in the same order.
const LANES: usize = 16;

/// Elements that are read twice in a row.
const PIECE: usize = 1024;

/// Channels that one task sums when a plane is a single value.
const CHANNELS: usize = 64;

/// Sums `[a, a * b]` over `n` images and `plane` places, for each of `groups * c` channels.
///
/// `a` and `b` are `[groups * n, c, plane]`.
pub(crate) fn sums<T: Real>(
    groups: usize,
    n: usize,
    c: usize,
    plane: usize,
    a: &[T],
    b: &[T],
) -> Vec<[f64; 2]> {
    if plane == 1 {
        let blocks = c.div_ceil(CHANNELS);
        return map_tasks(groups * blocks, a.len(), |task| {
            let (g, first) = (task / blocks, task % blocks * CHANNELS);
            let many = CHANNELS.min(c - first);
            let mut sums = vec![[0.0; 2]; many];
            for i in 0..n {
                let at = (g * n + i) * c + first;
                add_columns(&a[at..at + many], &b[at..at + many], &mut sums);
            }
            sums
        })
        .concat();
    }
    map_tasks(groups * c, a.len(), |task| {
        channel(task / c * n, n, c, task % c, plane, |at| (&a[at.clone()], &b[at]))
    })
}

/// Sums one channel of images `first .. first + n`; `at` lends the elements of a range of both operands.
#[inline]
pub(crate) fn channel<'a, T: Real>(
    first: usize,
    n: usize,
    c: usize,
    channel: usize,
    plane: usize,
    at: impl Fn(std::ops::Range<usize>) -> (&'a [T], &'a [T]),
) -> [f64; 2] {
    let mut total = [0.0; 2];
    for i in first..first + n {
        let start = (i * c + channel) * plane;
        let (a, b) = at(start..start + plane);
        let part = span(a, b);
        total = [total[0] + part[0], total[1] + part[1]];
    }
    total
}

multiversion! {
    fn add_columns<T: Real>(a: &[T], b: &[T], sums: &mut [[f64; 2]]) {
        for ((a, b), sum) in a.iter().zip(b).zip(sums) {
            *sum = [sum[0] + a.wide(), sum[1] + a.wide() * b.wide()];
        }
    }
}

multiversion! {
    /// Sums `[a, a * b]` of one run of elements.
    pub(crate) fn span<T: Real>(a: &[T], b: &[T]) -> [f64; 2] {
        let (mut single, mut double) = ([0.0f64; LANES], [0.0f64; LANES]);
        // Two loops over a piece that stays in cache: as one loop they are not vectorised.
        for (a, b) in a.chunks(PIECE).zip(b.chunks(PIECE)) {
            let (a_blocks, a_tail) = a.as_chunks::<LANES>();
            let (b_blocks, b_tail) = b.as_chunks::<LANES>();
            for a in a_blocks {
                for (sum, a) in single.iter_mut().zip(a) {
                    *sum += a.wide();
                }
            }
            for (a, b) in a_blocks.iter().zip(b_blocks) {
                for ((sum, a), b) in double.iter_mut().zip(a).zip(b) {
                    *sum += a.wide() * b.wide();
                }
            }
            for (lane, (a, b)) in a_tail.iter().zip(b_tail).enumerate() {
                single[lane] += a.wide();
                double[lane] += a.wide() * b.wide();
            }
        }
        [single.iter().sum(), double.iter().sum()]
    }
}
