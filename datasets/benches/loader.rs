//! Loader throughput on one thread: photographs to `[3, 224, 224]`. Small images are in `cached.rs`.
//!
//! `cargo bench -p datasets --bench loader -- DIR`, where DIR was made by `benches/peers/loader.py make DIR`; without DIR
//! the stand-in's pictures serve, whose figures are not comparable with Pillow's.

#![expect(clippy::unwrap_used, reason = "a bench ends where something is wrong")]

use std::{path::Path, sync::Arc, time::Instant};

use datasets::{Dataset, Loader, Pipeline, Protocol, Split, find, open_part};
use keys::Key;

fn main() {
    // Cargo adds `--bench`.
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| photographs(folder.as_deref()));
}

fn say(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

/// The best of some rounds, in seconds of the processor: what the machine can do when nothing else does.
fn best(rounds: usize, mut round: impl FnMut()) -> f64 {
    let seconds = (0..rounds).map(|_| {
        let began = (Instant::now(), on_processor());
        round();
        match (began.1, on_processor()) {
            (Some(began), Some(end)) => end - began,
            _ => began.0.elapsed().as_secs_f64(),
        }
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// Seconds that this thread has had a processor, where Linux tells: other work on the machine does not count.
fn on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
}

fn photographs(folder: Option<&str>) {
    let set: Arc<dyn Dataset> = match folder {
        Some(folder) => open_part("imagenet", Path::new(folder)).unwrap(),
        None => (find("synth-imagenet-10").unwrap().open)(None).unwrap(),
    };
    let count = set.len(Split::Train).min(128);
    for id in ["imagenet/ottt", "imagenet/trevsnn"] {
        let protocol = Protocol { train_limit: None, ..Protocol::of(Pipeline::find(id).unwrap()) };
        let loader =
            Loader::new(Arc::clone(&set), Split::Train, protocol, count, Key::new(1), false).unwrap();
        let mut epoch = 0;
        let seconds = best(8, || {
            let batch = loader.batch(epoch, 0).unwrap();
            assert_eq!(batch.indices.len(), count);
            epoch += 1;
        });
        say(format_args!(
            "{id}: {:.0} images/s on one thread ({count} images, best of 8)",
            count as f64 / seconds
        ));
    }
}
