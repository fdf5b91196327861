//! What this machine can do at most, on a number of threads: sums and products a second, bytes a second.
//!
//! Each number is the best of several repetitions, because other work on the machine can only slow one down.
#![allow(
    unsafe_code,
    reason = "a ceiling is reached by instructions, not by what a compiler makes of a loop"
)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![allow(dead_code, reason = "each benchmark uses its part")]

mod lane;
mod loops;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use lane::Line;
use loops::{CHAINS, Copy, Load, Registers, Store, widest};

/// Repetitions, of which the best counts.
const REPETITIONS: usize = 40;
/// Instructions on each chain in a repetition.
const ROUNDS: usize = 1 << 20;
/// Bytes that a repetition moves, on buffers that are smaller.
const BYTES: usize = 1 << 27;
/// What the system gives at once.
const PAGE: usize = 4096;

/// Buffers of a thread: inside the first-level cache, inside the second-level one, and two that are in neither.
pub(crate) const SIZES: [(&str, usize); 4] =
    [("24 KiB", 24 << 10), ("1 MiB", 1 << 20), ("64 MiB", 64 << 20), ("512 MiB", 512 << 20)];

/// The place in [`SIZES`] of what a layer's activations are like.
pub(crate) const ACTIVATIONS: usize = 2;

/// The ceilings on a number of threads, all threads together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceilings {
    /// Multiplies and adds a second: an fma is two.
    pub(crate) fma: f64,
    /// Adds a second.
    pub(crate) add: f64,
    /// Bytes read a second, by size of the buffer.
    pub(crate) load: [f64; SIZES.len()],
    /// Bytes written a second.
    pub(crate) store: [f64; SIZES.len()],
    /// Bytes read and bytes written a second; the two buffers have the size together.
    pub(crate) copy: [f64; SIZES.len()],
    /// Seconds to write to a page for the first time.
    pub(crate) page: f64,
}

impl Ceilings {
    /// Measures them all, in some seconds.
    pub(crate) fn measure(threads: usize) -> Self {
        let registers = |fma: bool| {
            let work = |(): &mut ()| widest(Registers { rounds: ROUNDS, fma }).0;
            let (_, width) = widest(Registers { rounds: 1, fma });
            let each = ROUNDS * CHAINS * width * if fma { 2 } else { 1 };
            (threads * each) as f64 / best(threads, || (), work)
        };
        let moved = |work: &(dyn Fn(usize, usize) -> f64 + Sync)| {
            SIZES.map(|(_, size)| {
                let rounds = (BYTES / size).max(1);
                (threads * size * rounds) as f64 / work(size, rounds)
            })
        };
        Self {
            fma: registers(true),
            add: registers(false),
            load: moved(&|size, rounds| {
                best(threads, || lines(size), |lines| widest(Load { lines, rounds }).0)
            }),
            store: moved(&|size, rounds| {
                best(threads, || lines(size), |lines| widest(Store { lines, rounds }).0)
            }),
            copy: moved(&|size, rounds| {
                let halves = || (lines(size / 2), lines(size / 2));
                best(threads, halves, |(from, to)| widest(Copy { from, to, rounds }).0)
            }),
            page: pages(threads),
        }
    }
}

/// Buffers whose pages are the process's already.
fn lines(bytes: usize) -> Vec<Line> {
    vec![Line([1.0; 16]); bytes / size_of::<Line>()]
}

/// What a page costs all threads together that is new to the process.
fn pages(threads: usize) -> f64 {
    const BYTES: usize = 64 << 20;
    let fresh = |(): &mut ()| {
        // Zeros of this size are a mapping of their own, of which no page is there yet.
        let mut bytes = black_box(vec![0_u8; BYTES]);
        bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        f32::from(black_box(bytes)[0])
    };
    best(threads, || (), fresh) / (threads * (BYTES / PAGE)) as f64
}

/// Seconds of the best repetition on so many threads, each with a buffer of its own; a repetition is as long as its
/// slowest thread.
fn best<B>(threads: usize, make: impl Fn() -> B + Sync, work: impl Fn(&mut B) -> f32 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || -> Vec<f64> {
        let mut buffer = make();
        black_box(work(&mut buffer));
        let repetition = |_| {
            barrier.wait();
            let began = Instant::now();
            black_box(work(&mut buffer));
            began.elapsed().as_secs_f64()
        };
        (0..REPETITIONS).map(repetition).collect()
    };
    let all: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        started.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let slowest = |repetition: usize| all.iter().map(|seconds| seconds[repetition]).fold(0.0, f64::max);
    (0..REPETITIONS).map(slowest).fold(f64::INFINITY, f64::min)
}
