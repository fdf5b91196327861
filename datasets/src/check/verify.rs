//! `verify`: every sample is read; counts, statistics, sums, and samples that stand twice or in both splits.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    DataError, Dataset, Split,
    format::{picture, picture::Rgb},
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Train, then test.
    pub splits: [SplitReport; 2],
    /// Samples whose bytes stand in both splits: leakage.
    pub across: Vec<Twin>,
    /// Samples whose bytes stand twice within a split.
    pub within: Vec<Twin>,
    /// The set's manifest.
    pub manifest: String,
    /// Whether it is the known one; `None` where none is known.
    pub known: Option<bool>,
}

/// Two samples of the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twin {
    /// Name of the earlier sample.
    pub first: String,
    /// Name of the later sample.
    pub second: String,
    /// Whether their labels are the same.
    pub same_label: bool,
}

/// What was found in a split.
#[derive(Clone, Debug)]
pub struct SplitReport {
    /// The split.
    pub split: Split,
    /// Samples read.
    pub samples: usize,
    /// Samples that the card states.
    pub expected: usize,
    /// Samples of each class.
    pub by_class: Vec<usize>,
    /// Mean of each channel, of pixels in `[0, 1]`, over all pixels.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, over all pixels, dividing by N.
    pub std: Vec<f64>,
    /// Shortest and longest side, in pixels.
    pub sides: [usize; 2],
    /// Samples whose packed sums were checked.
    pub summed: usize,
    /// What is wrong with samples, the first twenty in order.
    pub faults: Vec<String>,
    /// Number of samples with which something is wrong.
    pub faulty: usize,
}

impl Report {
    /// Whether nothing is wrong: all samples are there and readable, no sum differs, nothing leaks, and a known manifest
    /// is met. Twins within a split are a property of some sets, and no fault.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let whole = |split: &SplitReport| split.faulty == 0 && split.samples == split.expected;
        self.splits.iter().all(whole) && self.across.is_empty() && self.known != Some(false)
    }
}

/// What one sample adds.
struct Sample {
    sha256: [u8; 32],
    /// Sums and sums of squares of each channel, and pixels of a channel.
    moments: Option<([[u64; 2]; 3], u64)>,
    sides: [usize; 2],
    summed: bool,
    fault: Option<String>,
}

/// Samples read side by side: as many hold their results at once.
const CHUNK: usize = 1024;

/// Reads every sample of a set; `progress` hears of samples done.
#[must_use]
pub fn verify(set: &dyn Dataset, progress: &dyn Fn(Split, usize, usize)) -> Report {
    let mut seen: BTreeMap<[u8; 32], (Split, usize)> = BTreeMap::new();
    let (mut across, mut within) = (Vec::new(), Vec::new());
    let splits = [Split::Train, Split::Test].map(|split| {
        let card = set.card();
        let samples = set.len(split);
        let expected = card.counts[usize::from(split == Split::Test)];
        let mut report = SplitReport {
            split,
            samples,
            expected,
            by_class: vec![0; card.classes],
            mean: Vec::new(),
            std: Vec::new(),
            sides: [usize::MAX, 0],
            summed: 0,
            faults: Vec::new(),
            faulty: 0,
        };
        let (mut sums, mut pixels) = ([[0_u64; 2]; 3], 0_u64);
        for start in (0..samples).step_by(CHUNK) {
            let chunk = start..samples.min(start + CHUNK);
            let found: Vec<Sample> = chunk
                .clone()
                .into_par_iter()
                .map_init(Rgb::default, |scratch, index| read(set, split, index, scratch))
                .collect();
            for (index, sample) in chunk.clone().zip(found) {
                if let Some(count) = report.by_class.get_mut(set.label(split, index) as usize) {
                    *count += 1;
                }
                if let Some((moments, count)) = sample.moments {
                    for (total, own) in sums.iter_mut().flatten().zip(moments.iter().flatten()) {
                        *total += own;
                    }
                    pixels += count;
                    report.sides =
                        [report.sides[0].min(sample.sides[0]), report.sides[1].max(sample.sides[1])];
                }
                report.summed += usize::from(sample.summed);
                if let Some(fault) = sample.fault {
                    report.faulty += 1;
                    if report.faults.len() < 20 {
                        report.faults.push(fault);
                    }
                    continue;
                }
                match seen.get(&sample.sha256) {
                    None => {
                        seen.insert(sample.sha256, (split, index));
                    }
                    Some(&(other, first)) => {
                        let twin = Twin {
                            first: set.name(other, first),
                            second: set.name(split, index),
                            same_label: set.label(other, first) == set.label(split, index),
                        };
                        if other == split { within.push(twin) } else { across.push(twin) }
                    }
                }
            }
            progress(split, chunk.end, samples);
        }
        if pixels > 0 {
            let channels = &sums[..card.shape[0].min(3)];
            report.mean = channels.iter().map(|[sum, _]| *sum as f64 / pixels as f64 / 255.0).collect();
            let spread = |([_, squares], mean): (&[u64; 2], &f64)| {
                (*squares as f64 / pixels as f64 / 65_025.0 - mean * mean).max(0.0).sqrt()
            };
            report.std = channels.iter().zip(&report.mean).map(spread).collect();
        } else {
            report.sides[0] = 0;
        }
        report
    });
    let manifest = set.manifest().to_owned();
    let known = set.card().known_manifest.map(|known| known == manifest);
    Report { splits, across, within, manifest, known }
}

fn read(set: &dyn Dataset, split: Split, index: usize, scratch: &mut Rgb) -> Sample {
    let mut sample = Sample { sha256: [0; 32], moments: None, sides: [0; 2], summed: false, fault: None };
    let result = (|| -> Result<(), DataError> {
        sample.summed = set.check_sums(split, index)?;
        match set.encoded() {
            None => {
                let (image, shape) = (set.image(split, index), set.card().shape);
                sample.sha256 = Sha256::digest(image).into();
                let plane = (shape[1] * shape[2]).max(1);
                let mut moments = [[0; 2]; 3];
                for (own, plane) in moments.iter_mut().zip(image.chunks_exact(plane)) {
                    *own = sums(plane.iter());
                }
                sample.moments = Some((moments, plane as u64));
                sample.sides = [shape[1].min(shape[2]), shape[1].max(shape[2])];
            }
            Some(pictures) => {
                let bytes = pictures.bytes(split, index)?;
                sample.sha256 = Sha256::digest(&bytes).into();
                picture::decode(&set.name(split, index), &bytes, scratch)?;
                let channel = |channel| sums(scratch.pixels.iter().skip(channel).step_by(3));
                sample.moments = Some(([0, 1, 2].map(channel), (scratch.width * scratch.height) as u64));
                sample.sides = [scratch.width.min(scratch.height), scratch.width.max(scratch.height)];
            }
        }
        Ok(())
    })();
    sample.fault = result.err().map(|error| error.to_string());
    sample
}

fn sums<'b>(bytes: impl Iterator<Item = &'b u8>) -> [u64; 2] {
    bytes.fold([0, 0], |[sum, squares], &byte| {
        let byte = u64::from(byte);
        [sum + byte, squares + byte * byte]
    })
}
