//! What this machine can do at most, on a number of threads: sums and products a second, bytes a second.
//!
//! Each number is the best of many repetitions, because other work on the machine can only slow one down; and each
//! repetition is a millisecond or two, so that some fit between two turns of that work.
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
use loops::{CHAINS, Change, Copy, Load, Registers, Store, widest};

/// Repetitions, of which the best counts.
const REPETITIONS: usize = 256;
/// Instructions on each chain in a repetition.
const ROUNDS: usize = 1 << 19;
/// Bytes of a buffer that a repetition passes over: a smaller one several times, of a larger one the next part.
const BYTES: usize = 1 << 24;
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
    /// Bytes read and bytes written a second where they are written to where they were read.
    pub(crate) change: [f64; SIZES.len()],
    /// Seconds to write to a page for the first time.
    pub(crate) page: f64,
}

impl Ceilings {
    /// Measures them all, in some seconds.
    pub(crate) fn measure(threads: usize) -> Self {
        let registers = |fma: bool| {
            let work = |(): &mut (), _| widest(Registers { rounds: ROUNDS, fma }).0;
            let (_, width) = widest(Registers { rounds: 1, fma });
            let each = ROUNDS * CHAINS * width * if fma { 2 } else { 1 };
            (threads * each) as f64 / best(threads, || (), work)
        };
        let rates = |times: usize, work: &(dyn Fn(&mut [Line], usize) -> f32 + Sync)| {
            SIZES.map(|(_, size)| {
                let (part, rounds) = (BYTES.min(size), (BYTES / size).max(1));
                let each = part / size_of::<Line>();
                let pass = |lines: &mut Vec<Line>, repetition: usize| {
                    let first = repetition % (size / part) * each;
                    work(&mut lines[first..first + each], rounds)
                };
                (times * threads * part * rounds) as f64 / best(threads, || lines(size), pass)
            })
        };
        Self {
            fma: registers(true),
            add: registers(false),
            load: rates(1, &|lines, rounds| widest(Load { lines, rounds }).0),
            store: rates(1, &|lines, rounds| widest(Store { lines, rounds }).0),
            // One half to the other.
            copy: rates(1, &|lines, rounds| {
                let (from, to) = lines.split_at_mut(lines.len() / 2);
                widest(Copy { from, to, rounds }).0
            }),
            // Every byte is read and written.
            change: rates(2, &|lines, rounds| widest(Change { lines, rounds }).0),
            page: pages(threads),
        }
    }
}

/// Buffers whose pages are the process's already.
fn lines(bytes: usize) -> Vec<Line> {
    vec![Line([1.0; 16]); bytes / size_of::<Line>()]
}

/// What a page costs all threads together that is new to the process, and given back afterwards.
fn pages(threads: usize) -> f64 {
    // Zeros of this size are always a mapping of their own, of which no page is there yet. A few of them are asked for.
    const MAPPING: usize = 64 << 20;
    const PAGES: usize = 1 << 10;
    let fresh = |(): &mut (), _| {
        let mut bytes = black_box(vec![0_u8; MAPPING]);
        bytes.iter_mut().step_by(PAGE).take(PAGES).for_each(|byte| *byte = 1);
        f32::from(black_box(bytes)[0])
    };
    best(threads, || (), fresh) / (threads * PAGES) as f64
}

/// Seconds of the best repetition on so many threads, each with a buffer of its own; a repetition is as long as its
/// slowest thread.
fn best<B>(threads: usize, make: impl Fn() -> B + Sync, work: impl Fn(&mut B, usize) -> f32 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let one = || -> Vec<f64> {
        let mut buffer = make();
        let repetition = |number| {
            barrier.wait();
            let began = Instant::now();
            black_box(work(&mut buffer, number));
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
