//! An epoch of CIFAR-10's size from memory, with crop, mirror and statistics, beside loops that do less.
//!
//! `cargo bench -p datasets --bench cached`. Batches of 125 go into one kept buffer a thread, or into 800 in turn, of which
//! an epoch fills half: the kinds take turns, so each kind always has the same half, and a buffer is met again when 1.2 GB
//! have been written. Fastest of the rounds by the clock. `u8 to f32` is the least that any loader of bytes does, in an
//! order as scattered; `copy` is of numbers that are there already and reads as much as it writes, `fill` reads nothing.

#![expect(clippy::unwrap_used, reason = "a bench ends where something is wrong")]

use std::{
    hint::black_box,
    sync::Arc,
    thread::{available_parallelism, scope},
    time::Instant,
};

use datasets::{Batch, Card, Dataset, Loader, Protocol, Split, find};
use keys::Key;

const IMAGES: usize = 50_000;
const BATCH: usize = 125;
const BATCHES: usize = IMAGES / BATCH;
const NUMBERS: usize = 3 * 32 * 32;
const ROUNDS: usize = 12;
/// Two epochs' batches, 1.2 GB.
const MANY: usize = 2 * BATCHES;

/// Where a batch goes, and what is copied into it.
struct Buffer {
    into: Batch,
    source: Vec<f32>,
}

fn main() {
    let cores = available_parallelism().unwrap().get();
    eprintln!("cores that may be used: {cores}");
    let set: Arc<dyn Dataset> = Arc::new(Bytes::new());
    let protocol = Protocol { normalise: true, flip: true, shift: 4, ..Protocol::PLAIN };
    let loader = Loader::new(Arc::clone(&set), Split::Train, protocol, BATCH, Key::new(1), true).unwrap();
    for threads in [1, 2] {
        if threads > cores {
            eprintln!("{threads} threads: left out, for they would share {cores} core");
            continue;
        }
        report(&loader, &set, threads, 1);
        report(&loader, &set, threads, MANY / threads);
    }
    let seconds =
        (0..ROUNDS).map(|round| timed(|| loader.epoch(round as u64).for_each(|batch| drop(batch.unwrap()))));
    eprintln!("allocated anew and dropped");
    say("batches of `epoch`, made by its thread", seconds.fold(f64::INFINITY, f64::min));
}

/// What each kind makes of an epoch, each thread into buffers of its own.
fn report(loader: &Loader, set: &Arc<dyn Dataset>, threads: usize, buffers: usize) {
    eprintln!("threads: {threads}, buffers of each: {buffers}");
    type Kind<'k> = (&'k str, &'k (dyn Fn(u64, usize, &mut Buffer) + Sync));
    let kinds: [Kind<'_>; 4] = [
        ("loader", &|epoch, batch, buffer| loader.batch_into(epoch, batch, &mut buffer.into).unwrap()),
        ("u8 to f32", &|_, batch, buffer| {
            let into = &mut buffer.into.pixels;
            pulp::Arch::new().dispatch(Convert { set: &**set, first: batch * BATCH, into });
        }),
        ("copy", &|_, _, buffer| buffer.into.pixels.copy_from_slice(&buffer.source)),
        ("fill", &|_, batch, buffer| buffer.into.pixels.fill(batch as f32)),
    ];
    let numbers = || vec![1.0; BATCH * NUMBERS];
    let buffer = || Buffer { into: Batch { pixels: numbers(), ..Batch::default() }, source: numbers() };
    let mut each: Vec<Vec<Buffer>> = (0..threads).map(|_| (0..buffers).map(|_| buffer()).collect()).collect();
    let mut fastest = [f64::INFINITY; 4];
    for round in 0..ROUNDS {
        for (turn, ((_, make), fastest)) in kinds.iter().zip(&mut fastest).enumerate() {
            let half = turn % 2 * buffers / 2;
            let seconds = timed(|| {
                scope(|scope| {
                    for (thread, buffers) in each.iter_mut().enumerate() {
                        let mut work = move || {
                            for (place, batch) in (thread..BATCHES).step_by(threads).enumerate() {
                                let place = (half + place) % buffers.len();
                                make(round as u64, batch, &mut buffers[place]);
                                black_box(&mut buffers[place]);
                            }
                        };
                        // One thread is this one.
                        if threads == 1 { work() } else { drop(scope.spawn(work)) }
                    }
                });
            });
            *fastest = fastest.min(seconds);
        }
    }
    for ((name, _), seconds) in kinds.iter().zip(fastest) {
        say(name, seconds);
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn say(name: &str, seconds: f64) {
    let bytes = (IMAGES * NUMBERS * 4) as f64;
    eprintln!("  {name}: {:.0} images/s, {:.2} GB/s written", IMAGES as f64 / seconds, bytes / seconds / 1e9);
}

/// Bytes to numbers and nothing else, compiled for the processor as the loader is.
struct Convert<'c> {
    set: &'c dyn Dataset,
    first: usize,
    into: &'c mut [f32],
}

impl pulp::NullaryFnOnce for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (image, into) in (self.first..).zip(self.into.chunks_exact_mut(NUMBERS)) {
            // Any order that no cache can foresee: 7,919 is prime to the count.
            let image = self.set.image(Split::Train, image * 7_919 % IMAGES);
            for (to, &byte) in into.iter_mut().zip(image) {
                *to = f32::from(byte);
            }
        }
    }
}

/// Bytes in CIFAR-10's shape.
struct Bytes(Vec<u8>);

impl Bytes {
    fn new() -> Self {
        let mut stream = Key::new(1).stream();
        Self((0..IMAGES * NUMBERS / 4).flat_map(|_| stream.bits().to_le_bytes()).collect())
    }
}

impl Dataset for Bytes {
    fn card(&self) -> &Card {
        find("cifar10").unwrap().card
    }

    fn len(&self, _: Split) -> usize {
        IMAGES
    }

    fn image(&self, _: Split, index: usize) -> &[u8] {
        &self.0[index * NUMBERS..][..NUMBERS]
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        index as u32 % 10
    }

    fn manifest(&self) -> &str {
        ""
    }
}
