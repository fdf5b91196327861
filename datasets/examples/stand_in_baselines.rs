//! What simple classifiers reach on the stand-in event sets, so that a network's figure can be judged.
//!
//! `cargo run --release -p datasets --example stand_in_baselines -- [TRAIN] [TEST]`. Three nearest neighbours by cosine, on the
//! counts of whole recordings and on frames, both pooled 2x2; and for the gestures how often the arm and the sense of
//! its turn are right, and of each class its events and how many are found.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;

use datasets::{
    Split,
    events::{FrameSet, Framed},
    simulate::stand_in,
};
use keys::Key;

/// Square roots of pooled counts, scaled to length 1: of the sum over time, or of all steps.
fn features(frames: &[f32], [steps, channels, height, width]: [usize; 4], over_time: bool) -> Vec<f32> {
    let (tall, wide) = (height / 2, width / 2);
    let kept = if over_time { 1 } else { steps };
    let mut pooled = vec![0.0; kept * channels * tall * wide];
    for (place, value) in frames.iter().enumerate() {
        let (plane, row, column) = (place / (height * width), place / width % height, place % width);
        let plane = if over_time { plane % channels } else { plane };
        pooled[(plane * tall + (row / 2).min(tall - 1)) * wide + (column / 2).min(wide - 1)] += value;
    }
    let length = pooled.iter().sum::<f32>().sqrt().max(1e-6);
    pooled.iter().map(|value| value.sqrt() / length).collect()
}

/// The class of most of the three nearest; the nearest where all differ.
fn nearest(train: &[(u32, Vec<f32>)], sample: &[f32]) -> u32 {
    let mut near: Vec<(f32, u32)> = train
        .iter()
        .map(|(label, other)| (other.iter().zip(sample).map(|(a, b)| a * b).sum(), *label))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    match near.as_slice() {
        [_, (_, b), (_, c), ..] if b == c => *b,
        [(_, a), ..] => *a,
        [] => 0,
    }
}

/// Labels and frames, or labels and features.
type Samples = Vec<(u32, Vec<f32>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<usize>());
    let (train, test) = (arguments.next().unwrap_or(Ok(500))?, arguments.next().unwrap_or(Ok(130))?);
    for name in ["nmnist", "cifar10dvs", "dvsgesture"] {
        let (set, protocol) = stand_in(name, Key::new(7))?;
        let names = set.card().class_names.clone();
        let set = Framed::new(set, protocol)?;
        let shape = set.card().shape;
        let mut sum = 0.0;
        let mut read = |split, count: usize| -> Result<Samples, Box<dyn Error>> {
            let mut frames = vec![0.0; set.card().numbers()];
            let mut samples = Vec::new();
            for index in 0..count.min(set.len(split)) {
                let label = set.write(split, index, None, &mut frames)?;
                sum += f64::from(frames.iter().sum::<f32>());
                samples.push((label, frames.clone()));
            }
            Ok(samples)
        };
        let (train, test) = (read(Split::Train, train)?, read(Split::Test, test)?);
        println!("{} ({}): {} + {}", set.card().id, set.card().protocol, train.len(), test.len());
        println!("  events in frames, mean: {:.0}", sum / (train.len() + test.len()) as f64);
        for over_time in [true, false] {
            let learnt: Samples =
                train.iter().map(|(label, frames)| (*label, features(frames, shape, over_time))).collect();
            let (mut right, mut turns, mut arms, mut senses) = (0, 0, 0, 0);
            for (label, frames) in &test {
                let found = nearest(&learnt, &features(frames, shape, over_time));
                right += usize::from(found == *label);
                if name == "dvsgesture" && (3..=6).contains(label) {
                    turns += 1;
                    let same_arm = (3..=6).contains(&found) && (found - 3) / 2 == (label - 3) / 2;
                    arms += usize::from(same_arm);
                    senses += usize::from(found == *label);
                }
            }
            let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
            let what = if over_time { "counts" } else { "frames" };
            print!("  3 nearest on {what}: {:.1} %", percent(right, test.len()));
            if turns > 0 {
                print!("; of {turns} turns the arm {:.0} %", percent(arms, turns));
                print!(", and of these the sense {:.0} %", percent(senses, arms));
            }
            println!();
            if name == "dvsgesture" && !over_time {
                for (class, name) in (0..).zip(&names) {
                    let own = || train.iter().chain(&test).filter(|(label, _)| *label == class);
                    let events: f32 = own().map(|(_, frames)| frames.iter().sum::<f32>()).sum();
                    let tests = || test.iter().filter(|(label, _)| *label == class);
                    let found = |(label, frames): &&(u32, Vec<f32>)| {
                        nearest(&learnt, &features(frames, shape, over_time)) == *label
                    };
                    let (events, right) = (events / own().count() as f32, tests().filter(found).count());
                    println!("    {name}: {events:.0} events, {right} of {} found", tests().count());
                }
            }
        }
    }
    Ok(())
}
