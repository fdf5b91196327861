//! Sums over the images and places of a channel, in `f64` and in an order fixed by the shape.
//!
//! A task takes neighbouring channels whose planes make one run of memory, and goes through the images run by run: a
//! channel of small planes alone would touch a line of cache here and there. While a run is summed, the next one is fetched,
//! which lies too far away for the processor to see it coming. Each channel keeps its [`Lanes`] over all images and adds
//! them up once, at the end.

use std::ops::Range;

use crate::real::Real;
use crate::simd::{fetch, multiversion};
use crate::tasks::map_tasks;

/// Accumulators of a sum: a fixed number, so that every instruction set adds in the same order.
const LANES: usize = 16;

/// Elements that a task reads in a row, where channels are smaller.
const RUN: usize = 1024;

/// Most channels that one task sums.
const CHANNELS: usize = 64;

/// Tasks that the channels are enough for at least, where there are as many.
const TASKS: usize = 8;

/// The unfinished sums `[a, a * b]` of a channel.
pub(crate) type Lanes = [[f64; LANES]; 2];

/// Neighbouring channels that one task takes.
pub(crate) fn channels_per_task(c: usize, plane: usize) -> usize {
    (RUN / plane.max(1)).clamp(1, CHANNELS).min(c.div_ceil(TASKS).max(1))
}

/// The channels of a block of `width` with index `block`.
pub(crate) fn block_of(block: usize, width: usize, c: usize) -> Range<usize> {
    block * width..c.min((block + 1) * width)
}

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
    let width = channels_per_task(c, plane);
    let blocks = c.div_ceil(width);
    map_tasks(groups * blocks, a.len(), |task| {
        let (g, channels) = (task / blocks, block_of(task % blocks, width, c));
        // One operand twice is loaded once.
        let same = std::ptr::eq(a, b);
        block(g * n..(g + 1) * n, channels, c, plane, |at| {
            if same { (&a[at], None) } else { (&a[at.clone()], Some(&b[at])) }
        })
    })
    .concat()
}

/// Sums neighbouring channels over some images; `at` lends the elements of a range of both operands, or of one that
/// stands for both.
#[inline]
pub(crate) fn block<'a, T: Real>(
    images: Range<usize>,
    channels: Range<usize>,
    c: usize,
    plane: usize,
    at: impl Fn(Range<usize>) -> (&'a [T], Option<&'a [T]>),
) -> Vec<[f64; 2]> {
    let run = |i: usize| (i * c + channels.start) * plane..(i * c + channels.end) * plane;
    if plane == 1 {
        let mut sums = vec![[0.0; 2]; channels.len()];
        for i in images {
            let (a, b) = at(run(i));
            add_columns(a, b.unwrap_or(a), &mut sums);
        }
        return sums;
    }
    let mut lanes: Vec<Lanes> = vec![[[0.0; LANES]; 2]; channels.len()];
    for i in images.clone() {
        // Behind the last run is none: it is its own next.
        let next = if i + 1 < images.end { run(i + 1) } else { run(i) };
        match (at(run(i)), at(next)) {
            ((a, Some(b)), (next_a, next_b)) => {
                add_planes(a, b, next_a, next_b.unwrap_or(next_a), plane, &mut lanes);
            }
            ((a, None), (next_a, _)) => add_squares(a, next_a, plane, &mut lanes),
        }
    }
    lanes.iter().map(finish).collect()
}

fn finish(lanes: &Lanes) -> [f64; 2] {
    lanes.map(|lanes| lanes.iter().sum())
}

/// Adds a block to the lanes. Widened first: else the compiler doesn't vectorise both sums in one loop.
#[inline(always)]
fn add_block<T: Real>(a: [f64; LANES], b: &[T; LANES], [single, double]: &mut Lanes) {
    let b: [f64; LANES] = std::array::from_fn(|lane| b[lane].wide());
    for (sum, a) in single.iter_mut().zip(a) {
        *sum += a;
    }
    for ((sum, a), b) in double.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

/// Adds all elements of two runs to the lanes, and fetches two others of the same length.
#[inline(always)]
fn add_all<T: Real>(a: &[T], b: &[T], next: [&[T]; 2], lanes: &mut Lanes) {
    // Copied out and back, so that they stay in registers.
    let mut kept = *lanes;
    let ((a_blocks, a_tail), (b_blocks, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let next = next[0].as_chunks::<LANES>().0.iter().zip(next[1].as_chunks::<LANES>().0);
    for ((a, b), (next_a, next_b)) in a_blocks.iter().zip(b_blocks).zip(next) {
        fetch(next_a);
        fetch(next_b);
        add_block(std::array::from_fn(|lane| a[lane].wide()), b, &mut kept);
    }
    *lanes = kept;
    for (lane, (a, b)) in a_tail.iter().zip(b_tail).enumerate() {
        lanes[0][lane] += a.wide();
        lanes[1][lane] += a.wide() * b.wide();
    }
}

multiversion! {
    fn add_planes<T: Real>(a: &[T], b: &[T], next_a: &[T], next_b: &[T], plane: usize, lanes: &mut [Lanes]) {
        let next = next_a.chunks_exact(plane).zip(next_b.chunks_exact(plane));
        for (((a, b), (next_a, next_b)), lanes) in a.chunks_exact(plane).zip(b.chunks_exact(plane)).zip(next).zip(lanes) {
            add_all(a, b, [next_a, next_b], lanes);
        }
    }
}

multiversion! {
    fn add_squares<T: Real>(a: &[T], next: &[T], plane: usize, lanes: &mut [Lanes]) {
        for ((a, next), lanes) in a.chunks_exact(plane).zip(next.chunks_exact(plane)).zip(lanes) {
            add_all(a, a, [next, next], lanes);
        }
    }
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
        let mut lanes = [[0.0; LANES]; 2];
        // What follows in one run the processor sees coming.
        add_all(a, b, [a, b], &mut lanes);
        finish(&lanes)
    }
}
