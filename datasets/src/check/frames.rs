//! A look at every sample of a frame set, and a sheet of its frames.

use super::sheet::{GAP, png};
use crate::{
    DataError, Split,
    events::{FrameSet, leaks},
    format::picture::Rgb,
};

/// Faults that a report spells out for each split.
const TOLD: usize = 10;

/// What was found in a frame set.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameReport {
    /// Train, then test.
    pub splits: [FrameSplit; 2],
    /// Pairs of a training and a test sample with the same data.
    pub leaks: Vec<[usize; 2]>,
    /// Hash over protocol, labels and every sample; absent where a sample could not be read.
    pub manifest: Option<String>,
}

/// What was found in one split.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSplit {
    /// Which.
    pub split: Split,
    /// Samples of each class.
    pub by_class: Vec<usize>,
    /// Mean of a sample's numbers at each step, which shows whether events come early or late.
    pub mean_by_step: Vec<f64>,
    /// Share of frames in which nothing happens.
    pub silent: f64,
    /// Samples that could not be read.
    pub faulty: usize,
    /// The first of them, in words.
    pub faults: Vec<String>,
}

impl FrameReport {
    /// Whether every sample is readable and none is in both splits.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.leaks.is_empty() && self.splits.iter().all(|split| split.faulty == 0)
    }
}

/// Reads every sample of a frame set. A damaged one is counted, and ends nothing.
#[must_use]
pub fn verify_frames(set: &dyn FrameSet) -> FrameReport {
    let splits = [Split::Train, Split::Test].map(|split| look(set, split));
    let whole = splits.iter().all(|split| split.faulty == 0);
    // Samples were read a moment ago; where one is damaged, twins can't be told.
    let leaks = if whole { leaks(set).unwrap_or_default() } else { Vec::new() };
    FrameReport { splits, leaks, manifest: whole.then(|| set.manifest().ok()).flatten() }
}

fn look(set: &dyn FrameSet, split: Split) -> FrameSplit {
    let card = set.card();
    let [steps, ..] = card.shape;
    let frame = card.numbers() / steps;
    let mut numbers = vec![0.0; card.numbers()];
    let mut found = FrameSplit {
        split,
        by_class: vec![0; card.classes],
        mean_by_step: vec![0.0; steps],
        silent: 0.0,
        faulty: 0,
        faults: Vec::new(),
    };
    let mut silent = 0_usize;
    for index in 0..set.len(split) {
        match set.write(split, index, None, &mut numbers) {
            Ok(label) => {
                if let Some(count) = found.by_class.get_mut(label as usize) {
                    *count += 1;
                }
                for (mean, frame) in found.mean_by_step.iter_mut().zip(numbers.chunks_exact(frame)) {
                    let sum: f64 = frame.iter().map(|&value| f64::from(value)).sum();
                    *mean += sum / frame.len() as f64;
                    silent += usize::from(frame.iter().all(|&value| value == 0.0));
                }
            }
            Err(error) => {
                found.faulty += 1;
                if found.faults.len() < TOLD {
                    found.faults.push(error.to_string());
                }
            }
        }
    }
    let read = set.len(split) - found.faulty;
    if read > 0 {
        found.mean_by_step.iter_mut().for_each(|mean| *mean /= read as f64);
        found.silent = silent as f64 / (read * steps) as f64;
    }
    found
}

/// Draws the frames of the first sample of each class, a row each and a column for each step, and gives the PNG's bytes.
///
/// Of two channels the first (OFF) is red and the second (ON) is blue on white, against the largest number of the sample;
/// of one channel the numbers are grey.
///
/// # Errors
/// When a sample can't be read, or the sheet is no picture.
pub fn frame_sheet(
    set: &dyn FrameSet,
    split: Split,
    classes: usize,
    side: usize,
) -> Result<Vec<u8>, DataError> {
    let card = set.card();
    let [steps, channels, height, width] = card.shape;
    let side = side.max(1);
    let tall = (side * height).div_ceil(width).max(8);
    let mut firsts = vec![None; classes.clamp(1, card.classes)];
    for index in 0..set.len(split) {
        if let Some(first @ None) = firsts.get_mut(set.label(split, index) as usize) {
            *first = Some(index);
        }
    }
    let mut canvas = Rgb::black(steps * (side + GAP) + GAP, firsts.len() * (tall + GAP) + GAP);
    canvas.pixels.fill(200);
    let mut numbers = vec![0.0; card.numbers()];
    for (row, index) in firsts.into_iter().enumerate() {
        let Some(index) = index else { continue };
        set.write(split, index, None, &mut numbers)?;
        let most = numbers.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(*value));
        for (step, frame) in numbers.chunks_exact(channels * height * width).enumerate() {
            for y in 0..tall {
                for x in 0..side {
                    let at = (y * height / tall) * width + x * width / side;
                    let level = |channel: usize| {
                        let value = frame.get(channel * height * width + at).copied().unwrap_or(0.0);
                        // The root lifts single events out of the white.
                        (255.0 * (value / most).clamp(0.0, 1.0).sqrt()) as u8
                    };
                    let colour = match channels {
                        1 => [255 - level(0); 3],
                        _ => {
                            let (off, on) = (level(0), level(1));
                            [255 - on, 255 - off.max(on), 255 - off]
                        }
                    };
                    let (left, top) = (GAP + step * (side + GAP) + x, GAP + row * (tall + GAP) + y);
                    let place = (top * canvas.width + left) * 3;
                    canvas.pixels[place..place + 3].copy_from_slice(&colour);
                }
            }
        }
    }
    png(&canvas)
}
