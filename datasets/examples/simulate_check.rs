//! Compares the simulated N-MNIST sensor with the real one, digit by digit.
//!
//! `cargo run --release -p datasets --example simulate_check -- MNIST NMNIST [COUNT]`: MNIST's IDX files, and a folder with
//! `Train.zip` of N-MNIST recordings of the same digits. Prints three figures with the bars that they must reach, and
//! fails if one does not.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use std::{error::Error, io::Read, path::Path, process::ExitCode, sync::Arc, time::Instant};

use datasets::{
    Card, Dataset, Mirror, Split,
    events::Event,
    format::{atis_bin, idx},
    simulate::sim_nmnist,
};
use keys::Key;

const CARD: Card = Card {
    id: "mnist",
    title: "MNIST",
    classes: 10,
    shape: [1, 28, 28],
    counts: [60_000, 0],
    licence: "CC BY-SA 3.0",
    source: "",
    needs_data_dir: true,
    mean: &[0.1307],
    std: &[0.3081],
    class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    known_manifest: None,
    mirror: Mirror::Keeps,
    stand_in: None,
};

/// MNIST's training digits.
struct Digits {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset for Digits {
    fn card(&self) -> &Card {
        &CARD
    }

    fn len(&self, split: Split) -> usize {
        if split == Split::Train { self.labels.len() } else { 0 }
    }

    fn image(&self, _: Split, index: usize) -> &[u8] {
        &self.pixels[index * 784..][..784]
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        u32::from(self.labels[index])
    }

    fn manifest(&self) -> &str {
        ""
    }
}

/// Counts in six bins of time and two polarities, `[6, 2, 34, 34]`.
fn voxels(events: &[Event]) -> Vec<f64> {
    let mut voxels = vec![0.0; 6 * 2 * 34 * 34];
    for event in events {
        let bin = (event.t * 6 / 315_000).clamp(0, 5) as usize;
        let place = (2 * bin + usize::from(event.p)) * 34 + usize::from(event.y);
        voxels[place * 34 + usize::from(event.x)] += 1.0;
    }
    voxels
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a).powi(2);
        bb += (b - mean_b).powi(2);
    }
    ab / (aa * bb).sqrt()
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mnist, nmnist, rest @ ..] = arguments.as_slice() else {
        return Err("usage: simulate_check MNIST NMNIST [COUNT]".into());
    };
    let count: usize = rest.first().map_or(Ok(1_000), |count| count.parse())?;
    let read = |name: &str| std::fs::read(Path::new(mnist).join(name));
    let images = idx::images("train-images", read("train-images-idx3-ubyte.gz")?)?;
    let labels = idx::labels("train-labels", read("train-labels-idx1-ubyte.gz")?)?;
    let simulated = sim_nmnist(Arc::new(Digits { pixels: images.pixels, labels }), Key::new(7))?;
    let mut archive = zip::ZipArchive::new(std::fs::File::open(Path::new(nmnist).join("Train.zip"))?)?;

    let (mut seconds, mut on) = (0.0, 0.0);
    let (mut real_counts, mut made_counts, mut alike) = (Vec::new(), Vec::new(), 0.0);
    for index in 0..count {
        let name = format!("Train/{}/{:05}.bin", simulated.label(Split::Train, index), index + 1);
        let mut bytes = Vec::new();
        archive.by_name(&name)?.read_to_end(&mut bytes)?;
        let real = atis_bin::read(&name, &bytes)?.events;
        let begin = Instant::now();
        let made = simulated.recording(Split::Train, index)?;
        seconds += begin.elapsed().as_secs_f64();
        on += made.statistics().on as f64;
        real_counts.push(real.len() as f64);
        made_counts.push(made.events.len() as f64);
        alike += correlation(&voxels(&real), &voxels(&made.events));
    }
    let n = count as f64;
    let (real, made) = (real_counts.iter().sum::<f64>() / n, made_counts.iter().sum::<f64>() / n);
    let off = (made / real - 1.0).abs();
    let (counts, alike) = (correlation(&real_counts, &made_counts), alike / n);
    println!("{count} digits, {:.2} ms each; ON share {:.3}", 1e3 * seconds / n, on / (made * n));
    println!(
        "events a recording: real {real:.0}, simulated {made:.0}, off by {:.1} % (bar 5 %)",
        100.0 * off
    );
    println!("correlation of counts: {counts:.4} (bar 0.98)");
    println!("correlation of 6 x 2 x 34 x 34 voxels, mean over digits: {alike:.3} (bar 0.75)");
    let passed = off <= 0.05 && counts >= 0.98 && alike >= 0.75;
    println!("{}", if passed { "passed" } else { "FAILED" });
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
