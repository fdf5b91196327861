//! Mixup, cutmix and EventMix: samples of a batch mixed with partners in it, and the shares for the targets.
//!
//! H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; S. Yun et al., "CutMix: regularization strategy
//! to train strong classifiers with localizable features", ICCV 2019. The semantics are those of timm 0.6's `Mixup` in mode
//! `batch`, which the papers' code runs on: one share and one box a batch, a box of an odd side one pixel smaller than
//! drawn. `event_mix` has a mask for each sample.

use keys::{Key, Stream};
use serde::{Deserialize, Serialize};

use super::event_mix;

/// Whom a sample is mixed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mix {
    /// The parameter of mixup's Beta; 0 is no mixup.
    #[serde(default)]
    pub mixup: f64,
    /// The parameter of cutmix's Beta; 0 is no cutmix.
    #[serde(default)]
    pub cutmix: f64,
    /// The parameter of EventMix's Beta; 0 is no EventMix. For frames of counted events, and alone.
    #[serde(default, skip_serializing_if = "is_off")]
    pub eventmix: f64,
    /// How often a batch is mixed; with EventMix how often a sample is.
    pub probability: f64,
    /// How often cutmix is taken where mixup is on too.
    #[serde(default = "half")]
    pub cutmix_share: f64,
    /// Whom with.
    #[serde(default = "opposite")]
    pub partner: Partner,
    /// From this epoch on, counted from 0, batches are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_epoch: Option<u64>,
}

fn is_off(alpha: &f64) -> bool {
    *alpha == 0.0
}

fn half() -> f64 {
    0.5
}

fn opposite() -> Partner {
    Partner::Opposite
}

/// How the labels of a batch were mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// The partners' classes, `[B]`.
    pub partners: Vec<u32>,
    /// The share of each sample's own class, `[B]`; the rest is its partner's.
    pub shares: Vec<f64>,
}

impl Mix {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the key, the rule and the value.
    pub fn check(&self) -> Result<(), String> {
        for (key, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix), ("eventmix", self.eventmix)] {
            if !(alpha >= 0.0 && alpha.is_finite()) {
                return Err(format!("mix.{key} must be at least 0, got {alpha}"));
            }
        }
        for (key, share) in [("probability", self.probability), ("cutmix-share", self.cutmix_share)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("mix.{key} must be in [0, 1], got {share}"));
            }
        }
        let others = self.mixup + self.cutmix;
        if others + self.eventmix == 0.0 {
            return Err("mix must have mixup, cutmix or eventmix above 0: leave the section out".to_owned());
        }
        if self.eventmix > 0.0 && others > 0.0 {
            return Err(format!("mix.eventmix must stand alone, got {} beside it", others));
        }
        Ok(())
    }

    /// What records append to a protocol's name.
    pub(crate) fn suffix(&self) -> String {
        let named = [("mixup", self.mixup), ("cutmix", self.cutmix), ("eventmix", self.eventmix)];
        named
            .iter()
            .filter(|(_, alpha)| *alpha > 0.0)
            .map(|(name, alpha)| format!("+{name}{alpha}"))
            .collect()
    }

    /// Mixes a batch of frames `[T, B, C, H, W]` in place, as a key says; the shape is `[T, C, H, W]`, with T = 1 for
    /// images. `None` where the batch was left alone.
    pub fn apply(
        &self,
        frames: &mut [f32],
        labels: &[u32],
        shape: [usize; 4],
        epoch: u64,
        key: Key,
    ) -> Option<Mixed> {
        let batch = labels.len();
        if self.until_epoch.is_some_and(|until| epoch >= until) || batch < 2 {
            return None;
        }
        let partner = |sample: usize| self.partner.of(sample, batch);
        let partners = || (0..batch).map(|sample| labels[partner(sample)]).collect();
        if self.eventmix > 0.0 {
            let drawn = |sample: usize| {
                let mut stream = key.index(sample as u64).stream();
                stream
                    .chance(self.probability)
                    .then(|| event_mix::Mask::draw(self.eventmix, shape, &mut stream))
            };
            let masks: Vec<_> = (0..batch).map(drawn).collect();
            let shares = event_mix::blend(frames, &masks, shape, partner);
            return masks.iter().any(Option::is_some).then(|| Mixed { partners: partners(), shares });
        }
        let [_, _, height, width] = shape;
        let blend = self.draw([height, width], &mut key.stream())?;
        blend.apply(frames, batch, shape, partner);
        Some(Mixed { partners: partners(), shares: vec![blend.share([height, width]); batch] })
    }

    /// What happens to a batch; `None` where nothing does.
    fn draw(&self, sides: [usize; 2], stream: &mut Stream) -> Option<Blend> {
        let cutmix_drawn = stream.chance(self.cutmix_share);
        if !stream.chance(self.probability) {
            return None;
        }
        let cutmix = self.cutmix > 0.0 && (self.mixup <= 0.0 || cutmix_drawn);
        let share = beta(if cutmix { self.cutmix } else { self.mixup }, stream);
        if !cutmix {
            return Some(Blend::Whole(share));
        }
        let middle = sides.map(|side| stream.below(side as u32) as usize);
        Some(Blend::around(middle, sides, share))
    }
}

/// How a batch is mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blend {
    /// Everywhere, with this share of a sample's own.
    Whole(f64),
    /// The partner's within `[top, bottom, left, right]`.
    Box([usize; 4]),
}

impl Blend {
    /// A box of about `1 - share` of the area around a pixel, cut off at the border.
    fn around(middle: [usize; 2], sides: [usize; 2], share: f64) -> Self {
        let ratio = (1.0 - share).max(0.0).sqrt();
        let [[top, bottom], [left, right]] = [0, 1].map(|axis| {
            let (middle, side): (usize, usize) = (middle[axis], sides[axis]);
            let half = (side as f64 * ratio) as usize / 2;
            [middle.saturating_sub(half), side.min(middle + half)]
        });
        Self::Box([top, bottom, left, right])
    }

    /// The share of a sample's own class: of a box by the area that was really pasted.
    fn share(self, [height, width]: [usize; 2]) -> f64 {
        match self {
            Self::Whole(share) => share,
            Self::Box([top, bottom, left, right]) => {
                1.0 - ((bottom - top) * (right - left)) as f64 / (height * width) as f64
            }
        }
    }

    fn apply(
        self,
        frames: &mut [f32],
        batch: usize,
        [_, channels, height, width]: [usize; 4],
        partner: impl Fn(usize) -> usize,
    ) {
        let (plane, sample) = (height * width, channels * height * width);
        for frames in frames.chunks_exact_mut(batch * sample) {
            let source = frames.to_vec();
            for (place, own) in frames.chunks_exact_mut(sample).enumerate() {
                let other = &source[partner(place) * sample..][..sample];
                match self {
                    Self::Whole(share) => {
                        let (mine, theirs) = (share as f32, (1.0 - share) as f32);
                        own.iter_mut()
                            .zip(other)
                            .for_each(|(own, other)| *own = *own * mine + other * theirs);
                    }
                    Self::Box([top, bottom, left, right]) => {
                        for (own, other) in own.chunks_exact_mut(plane).zip(other.chunks_exact(plane)) {
                            let rows = own.chunks_exact_mut(width).zip(other.chunks_exact(width));
                            for (own, other) in rows.take(bottom).skip(top) {
                                own[left..right].copy_from_slice(&other[left..right]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Beta(alpha, alpha): a Gamma over the sum of two.
pub(super) fn beta(alpha: f64, stream: &mut Stream) -> f64 {
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
        eventmix: 0.0,
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
            let mixed =
                MIXUP.apply(&mut pixels, &LABELS, [1, 2, 8, 8], 199, Key::new(1).index(index)).unwrap();
            assert_eq!(mixed.partners, [6, 5, 4]);
            let share = mixed.shares[0] as f32;
            let expected = [2.0 * (1.0 - share), 1.0, 2.0 * share];
            for (sample, expected) in expected.into_iter().enumerate() {
                assert!(pixels[sample * 128..][..128].iter().all(|&value| (value - expected).abs() < 1e-6));
            }
        }
        assert!(MIXUP.apply(&mut batch(), &LABELS, [1, 2, 8, 8], 200, Key::new(1)).is_none());
        let previous = Mix { partner: Partner::Previous, ..MIXUP };
        let mixed = previous.apply(&mut batch(), &LABELS, [1, 2, 8, 8], 0, Key::new(1)).unwrap();
        assert_eq!(mixed.partners, [6, 4, 5]);
    }

    #[test]
    fn cutmix_shares_by_the_area_that_was_pasted() {
        for index in 0..100 {
            let mut pixels = batch();
            let key = Key::new(2).index(index);
            let mixed = CUTMIX.apply(&mut pixels, &LABELS, [1, 2, 8, 8], 0, key).unwrap();
            let own = pixels[..64].iter().filter(|&&value| value == 0.0).count();
            assert_eq!(mixed.shares, [own as f64 / 64.0; 3]);
            assert_eq!(pixels[64..128].iter().filter(|&&value| value == 2.0).count(), 64 - own);
        }
    }

    #[test]
    fn all_steps_are_mixed_alike() {
        for mix in [MIXUP, CUTMIX] {
            let mut steps = [batch(), batch()].concat();
            let mut one = batch();
            let (key, shape) = (Key::new(4), [2, 8, 8]);
            let mixed = mix.apply(&mut steps, &LABELS, [2, shape[0], shape[1], shape[2]], 0, key);
            assert_eq!(mixed, mix.apply(&mut one, &LABELS, [1, shape[0], shape[1], shape[2]], 0, key));
            assert_ne!(one, batch());
            assert_eq!(steps, [one.clone(), one].concat());
        }
    }

    /// Numbers of timm 0.6.12 (`tests/goldens/mix.py`): what it drew goes in, pixels and shares must come out.
    #[test]
    fn pixels_and_shares_are_those_of_timm() {
        const SHAPE: [usize; 4] = [1, 1, 5, 7];
        let words = |line: &'static str| line.split(' ').skip(1);
        let numbers = |line| words(line).map(|word| word.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let lines: Vec<_> = include_str!("../../tests/goldens/mix.txt").lines().collect();
        let mut cases = 0;
        for case in lines.split(|line| line.is_empty()).filter(|case| !case.is_empty()) {
            let drawn = numbers(case[0]);
            let blend = match *drawn {
                [share] => Blend::Whole(share),
                [share, row, column] => Blend::around([row as usize, column as usize], [5, 7], share),
                _ => panic!("{}", case[0]),
            };
            assert!((blend.share([5, 7]) - numbers(case[1])[0]).abs() < 1e-12, "{}", case[1]);
            let mut pixels: Vec<f32> = (0..4 * 35_u16).map(|at| f32::from(at * 37 % 101) / 101.0).collect();
            blend.apply(&mut pixels, 4, SHAPE, |sample| Partner::Opposite.of(sample, 4));
            let expected = numbers(case[2]);
            assert_eq!(pixels.len(), expected.len());
            for (found, expected) in pixels.iter().zip(expected) {
                // timm rounds `1 - share` once more.
                assert!((f64::from(*found) - expected).abs() < 2e-7, "{found} {expected}");
            }
            cases += 1;
        }
        assert_eq!(cases, 8);
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |mix: Mix| mix.check().unwrap_err();
        assert!(MIXUP.check().is_ok() && CUTMIX.check().is_ok());
        assert_eq!(refused(Mix { mixup: -0.5, ..MIXUP }), "mix.mixup must be at least 0, got -0.5");
        assert_eq!(refused(Mix { probability: 1.5, ..MIXUP }), "mix.probability must be in [0, 1], got 1.5");
        assert!(refused(Mix { mixup: 0.0, ..MIXUP }).contains("leave the section out"));
        assert!(refused(Mix { eventmix: 1.0, ..MIXUP }).contains("mix.eventmix must stand alone"));
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
