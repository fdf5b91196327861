//! Mixup and cutmix: pixels of a batch mixed with those of partners in it, and the shares for the targets.
//!
//! H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; S. Yun et al., "CutMix: regularization strategy
//! to train strong classifiers with localizable features", ICCV 2019. The semantics are timm's `Mixup` in mode `batch`: one
//! share and one box a batch.

use keys::{Key, Stream};
use serde::Serialize;

/// Whom a sample is mixed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partner {
    /// The sample as far from the other end (timm).
    Opposite,
    /// The sample before, the first with the last (torchvision's references).
    Previous,
}

impl Partner {
    fn of(self, sample: usize, batch: usize) -> usize {
        match self {
            Self::Opposite => batch - 1 - sample,
            Self::Previous => (sample + batch - 1) % batch,
        }
    }
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mix {
    /// The parameter of mixup's Beta; 0 is no mixup.
    pub mixup: f64,
    /// The parameter of cutmix's Beta; 0 is no cutmix.
    pub cutmix: f64,
    /// How often a batch is mixed.
    pub probability: f64,
    /// How often cutmix is taken where both are on.
    pub cutmix_share: f64,
    /// Whom with.
    pub partner: Partner,
    /// From this epoch on, counted from 0, batches are left alone.
    pub until_epoch: Option<u64>,
}

/// How the labels of a batch were mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The partners' classes, `[B]`.
    pub partners: Vec<u32>,
    /// The share of a sample's own class; the rest is its partner's.
    pub share: f64,
}

impl Mixed {
    /// Targets `[B, classes]` with label smoothing: the class has `1 - smoothing + smoothing / classes`, each other
    /// `smoothing / classes`, and the two rows are mixed.
    #[must_use]
    pub fn targets(&self, labels: &[u32], classes: usize, smoothing: f64) -> Vec<f32> {
        let off = smoothing / classes as f64;
        let mut targets = vec![off as f32; labels.len() * classes];
        for ((row, &own), &partner) in targets.chunks_exact_mut(classes).zip(labels).zip(&self.partners) {
            let mut add = |class: u32, share: f64| {
                if let Some(value) = row.get_mut(class as usize) {
                    *value = (f64::from(*value) + share * (1.0 - smoothing)) as f32;
                }
            };
            add(own, self.share);
            add(partner, 1.0 - self.share);
        }
        targets
    }
}

impl Mix {
    /// Mixes a batch `[B, C, H, W]` in place, as a key says; `None` where it was left alone.
    pub fn apply(
        &self,
        pixels: &mut [f32],
        labels: &[u32],
        [channels, height, width]: [usize; 3],
        epoch: u64,
        key: Key,
    ) -> Option<Mixed> {
        let batch = labels.len();
        let mut stream = key.stream();
        let cutmix_drawn = stream.chance(self.cutmix_share);
        let late = self.until_epoch.is_some_and(|until| epoch >= until);
        if late || batch < 2 || !stream.chance(self.probability) {
            return None;
        }
        let cutmix = self.cutmix > 0.0 && (self.mixup <= 0.0 || cutmix_drawn);
        let alpha = if cutmix { self.cutmix } else { self.mixup };
        if alpha <= 0.0 {
            return None;
        }
        let mut share = beta(alpha, &mut stream);
        let partners = (0..batch).map(|sample| labels[self.partner.of(sample, batch)]).collect();
        let source = pixels.to_vec();
        let size = channels * height * width;
        let pairs = pixels.chunks_exact_mut(size).enumerate();
        let pairs =
            pairs.map(|(sample, own)| (own, &source[self.partner.of(sample, batch) * size..][..size]));
        if cutmix {
            let [top, bottom, left, right] = cut([height, width], share, &mut stream);
            share = 1.0 - ((bottom - top) * (right - left)) as f64 / (height * width) as f64;
            for (own, other) in pairs {
                let planes = own.chunks_exact_mut(height * width).zip(other.chunks_exact(height * width));
                for (own, other) in planes {
                    let rows = own.chunks_exact_mut(width).zip(other.chunks_exact(width));
                    for (own, other) in rows.take(bottom).skip(top) {
                        own[left..right].copy_from_slice(&other[left..right]);
                    }
                }
            }
        } else {
            let (mine, theirs) = (share as f32, (1.0 - share) as f32);
            for (own, other) in pairs {
                own.iter_mut().zip(other).for_each(|(own, other)| *own = *own * mine + other * theirs);
            }
        }
        Some(Mixed { partners, share })
    }
}

/// A box `[top, bottom, left, right]` of about `1 - share` of the area, cut off at the border.
fn cut(sides: [usize; 2], share: f64, stream: &mut Stream) -> [usize; 4] {
    let ratio = (1.0 - share).max(0.0).sqrt();
    let mut axis = |side: usize| {
        let half = (side as f64 * ratio) as usize / 2;
        let middle = stream.below(side as u32) as usize;
        [middle.saturating_sub(half), side.min(middle + half)]
    };
    let [top, bottom] = axis(sides[0]);
    let [left, right] = axis(sides[1]);
    [top, bottom, left, right]
}

/// Beta(alpha, alpha): a Gamma over the sum of two.
fn beta(alpha: f64, stream: &mut Stream) -> f64 {
    let (one, other) = (gamma(alpha, stream), gamma(alpha, stream));
    // Both vanish only where alpha is so small that either end is as likely.
    if one + other > 0.0 { one / (one + other) } else { f64::from(u8::from(stream.chance(0.5))) }
}

/// Gamma(shape, 1): G. Marsaglia, W. Tsang, "A simple method for generating gamma variables", 2000; below 1 by their boost.
fn gamma(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        let boost = libm::pow(1.0 - stream.uniform(), 1.0 / shape);
        return gamma(shape + 1.0, stream) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && libm::log(1.0 - stream.uniform()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXUP: Mix = Mix {
        mixup: 0.5,
        cutmix: 0.0,
        probability: 1.0,
        cutmix_share: 0.5,
        partner: Partner::Opposite,
        until_epoch: Some(200),
    };
    const CUTMIX: Mix = Mix { mixup: 0.0, cutmix: 1.0, ..MIXUP };
    const LABELS: [u32; 3] = [4, 5, 6];

    fn batch() -> Vec<f32> {
        (0..3).flat_map(|sample| [sample as f32; 2 * 8 * 8]).collect()
    }

    #[test]
    fn mixup_mixes_pixels_and_labels_by_one_share() {
        for index in 0..100 {
            let mut pixels = batch();
            let mixed = MIXUP.apply(&mut pixels, &LABELS, [2, 8, 8], 199, Key::new(1).index(index)).unwrap();
            assert_eq!(mixed.partners, [6, 5, 4]);
            let share = mixed.share as f32;
            let expected = [2.0 * (1.0 - share), 1.0, 2.0 * share];
            for (sample, expected) in expected.into_iter().enumerate() {
                assert!(pixels[sample * 128..][..128].iter().all(|&value| (value - expected).abs() < 1e-6));
            }
        }
        assert!(MIXUP.apply(&mut batch(), &LABELS, [2, 8, 8], 200, Key::new(1)).is_none());
        let previous = Mix { partner: Partner::Previous, ..MIXUP };
        let mixed = previous.apply(&mut batch(), &LABELS, [2, 8, 8], 0, Key::new(1)).unwrap();
        assert_eq!(mixed.partners, [6, 4, 5]);
    }

    #[test]
    fn cutmix_shares_by_the_area_that_was_pasted() {
        for index in 0..100 {
            let mut pixels = batch();
            let mixed = CUTMIX.apply(&mut pixels, &LABELS, [2, 8, 8], 0, Key::new(2).index(index)).unwrap();
            let own = pixels[..64].iter().filter(|&&value| value == 0.0).count();
            assert_eq!(mixed.share, own as f64 / 64.0);
            assert_eq!(pixels[64..128].iter().filter(|&&value| value == 2.0).count(), 64 - own);
        }
    }

    #[test]
    fn targets_sum_to_one() {
        let mixed = Mixed { partners: vec![1, 1], share: 0.75 };
        let targets = mixed.targets(&[0, 1], 4, 0.1);
        let near = |found: f32, expected: f32| assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        near(targets[0], 0.75 * 0.9 + 0.025);
        near(targets[1], 0.25 * 0.9 + 0.025);
        near(targets[5], 0.925);
        targets.chunks_exact(4).for_each(|row| near(row.iter().sum(), 1.0));
    }

    #[test]
    fn shares_have_the_moments_of_their_beta() {
        for alpha in [0.2, 0.5, 1.0, 2.0] {
            let mut stream = Key::new(3).stream();
            let draws: Vec<f64> = (0..50_000).map(|_| beta(alpha, &mut stream)).collect();
            let mean = draws.iter().sum::<f64>() / 5e4;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 5e4;
            // Beta(a, a) has variance 1 / (4 (2a + 1)); five deviations of the mean are below 0.012.
            assert!(
                (mean - 0.5).abs() < 0.012 && (variance * 4.0 * (2.0 * alpha + 1.0) - 1.0).abs() < 0.05,
                "{alpha}"
            );
        }
    }
}
