//! Named pipelines: what a paper's code does to an image, from file to batch, with a version and a hash.
//!
//! A pipeline never changes under its name and version: another number is another version. Its hash covers every number
//! and the decoder.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    augment::{
        affine::Sampling,
        crop::Filter,
        cutout::Cutout,
        erasing::{Erasing, Fill},
        mix::{Mix, Partner},
        rand_augment::RandAugment,
    },
    format::picture::DECODER,
    hex::hex,
};

/// What happens to an image between its file and a batch.
#[derive(Debug, PartialEq, Serialize)]
pub struct Pipeline {
    /// `SET/NAME`.
    pub id: &'static str,
    /// Grows when any number below does.
    pub version: u32,
    /// Side of a training image.
    pub train_side: usize,
    /// Side of a test image.
    pub test_side: usize,
    /// Which part of a training image is seen.
    pub crop: Crop,
    /// A rectangle of grey, before the mirror.
    pub cutout: Option<Cutout>,
    /// Whether training images are mirrored left to right with probability one half.
    pub flip: bool,
    /// The policy of colour and geometry.
    pub policy: Option<Policy>,
    /// Strength of brightness, contrast and saturation jitter.
    pub jitter: Option<f64>,
    /// Mean and standard deviation of each channel.
    pub statistics: Statistics,
    /// A rectangle erased after normalising.
    pub erasing: Option<Erasing>,
    /// Mixing within a batch.
    pub mix: Option<Mix>,
    /// Which part of a test image is seen.
    pub eval: Eval,
    /// Whose choices these are, and where they stand.
    #[serde(skip)]
    pub source: &'static str,
}

/// Which part of a training image is seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// The image itself, which has the pipeline's side.
    Whole,
    /// So many pixels of black around the image, then a random crop of its size.
    Pad(usize),
    /// An area uniform in `scale`, an aspect log-uniform in 3/4..4/3, resized.
    Resized {
        /// Least and greatest share of the area.
        scale: [f64; 2],
        /// How it is resized.
        filter: Filter,
    },
}

/// Least and greatest width over height of a random-resized crop.
pub(crate) const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

/// A policy of drawn operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// RandAugment.
    Rand(RandAugment),
    /// TrivialAugment, wide.
    TrivialWide,
}

/// Which part of a test image is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eval {
    /// The image itself.
    Whole,
    /// The shorter side becomes this long, and the middle of the test side stays.
    Middle {
        /// Length of the shorter side.
        resize: usize,
        /// How it is resized.
        filter: Filter,
    },
}

/// Mean and standard deviation of each channel, of pixels in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The mean.
    pub mean: [f32; 3],
    /// The standard deviation.
    pub std: [f32; 3],
}

impl Statistics {
    /// The colour of the mean, as timm fills with it.
    pub(crate) fn fill(&self) -> [u8; 3] {
        self.mean.map(|mean| (mean * 255.0).round_ties_even() as u8)
    }
}

/// CIFAR-10's, over all pixels of the train split.
const CIFAR10: Statistics = Statistics { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] };
/// CIFAR-10's with the standard deviations that are a mean over images, as many repositories have them.
const CIFAR10_BY_IMAGE: Statistics = Statistics { std: [0.2023, 0.1994, 0.2010], ..CIFAR10 };
/// CIFAR-10's means with deviations that are of no pixels of it, on both sets (S-RevSNN's ResNets).
const CIFAR_REVSNN: Statistics = Statistics { std: [0.557, 0.549, 0.5534], ..CIFAR10 };
/// CIFAR-100's.
const CIFAR100: Statistics = Statistics { mean: [0.5071, 0.4867, 0.4408], std: [0.2675, 0.2565, 0.2761] };
/// ImageNet's.
const IMAGENET: Statistics = Statistics { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

const CUTOUT: Cutout = Cutout { probability: 0.5, area: [0.02, 0.4], aspect: [0.4, 2.5] };
const RAND_M9: RandAugment = RandAugment { layers: 2, magnitude: 9.0, deviation: 0.5, sampling: None };
const RAND_CIFAR: RandAugment =
    RandAugment { layers: 1, magnitude: 9.0, deviation: 0.4, sampling: Some(Sampling::Bicubic) };
const MIXUP_HALF: Mix = Mix {
    mixup: 0.5,
    cutmix: 0.0,
    eventmix: 0.0,
    probability: 1.0,
    cutmix_share: 0.5,
    partner: Partner::Opposite,
    until_epoch: Some(200),
};
const SDT_MIX: Mix = Mix { mixup: 0.2, cutmix: 1.0, probability: 0.75, until_epoch: None, ..MIXUP_HALF };

/// CIFAR with nothing but padded crops and mirrors.
const CIFAR_PLAIN: Pipeline = Pipeline {
    id: "cifar10/plain",
    version: 1,
    train_side: 32,
    test_side: 32,
    crop: Crop::Pad(4),
    cutout: None,
    flip: true,
    policy: None,
    jitter: None,
    statistics: CIFAR10,
    erasing: None,
    mix: None,
    eval: Eval::Whole,
    source: "padded crops and mirrors; deviations over all pixels",
};

/// Photographs: random-resized crops and mirrors, judged on 256 to 224.
const IMAGENET_PLAIN: Pipeline = Pipeline {
    id: "imagenet/ottt",
    version: 1,
    train_side: 224,
    test_side: 224,
    crop: Crop::Resized { scale: [0.08, 1.0], filter: Filter::Bilinear },
    cutout: None,
    flip: true,
    policy: None,
    jitter: None,
    statistics: IMAGENET,
    erasing: None,
    mix: None,
    eval: Eval::Middle { resize: 256, filter: Filter::Bilinear },
    source: "OTTT (NeurIPS 2022) and SLTT (ICCV 2023), released code",
};

const BICUBIC_95: Eval = Eval::Middle { resize: 235, filter: Filter::Bicubic };

/// Every named pipeline.
pub static PIPELINES: &[Pipeline] = &[
    CIFAR_PLAIN,
    Pipeline {
        id: "cifar10/plain-by-image",
        statistics: CIFAR10_BY_IMAGE,
        source: "padded crops and mirrors; the mean over images of each image's deviation",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar10/ottt",
        cutout: Some(CUTOUT),
        statistics: CIFAR10_BY_IMAGE,
        source: "OTTT (NeurIPS 2022) and SLTT (ICCV 2023), released code",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar10/revsnn",
        crop: Crop::Whole,
        policy: Some(Policy::Rand(RAND_CIFAR)),
        erasing: Some(Erasing::timm(0.25, Fill::Zero)),
        mix: Some(MIXUP_HALF),
        source: "RevSNN's transformer, as Spikformer's cifar10.yml",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar10/revsnn-resnet",
        statistics: CIFAR_REVSNN,
        source: "S-RevSNN (AAAI 2024), released code of its ResNets",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar10/sdt",
        crop: Crop::Whole,
        policy: Some(Policy::Rand(RAND_CIFAR)),
        mix: Some(MIXUP_HALF),
        source: "Spike-Driven Transformer (NeurIPS 2023), conf/cifar10; its colour jitter is off beside a policy",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar100/plain",
        statistics: CIFAR100,
        source: "padded crops and mirrors",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar100/ottt",
        cutout: Some(CUTOUT),
        statistics: CIFAR10_BY_IMAGE,
        source: "OTTT (NeurIPS 2022), released code, which takes CIFAR-10's statistics",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar100/sltt",
        cutout: Some(CUTOUT),
        statistics: CIFAR100,
        source: "SLTT (ICCV 2023), released code",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar100/revsnn",
        version: 2,
        crop: Crop::Whole,
        policy: Some(Policy::Rand(RAND_CIFAR)),
        erasing: Some(Erasing::timm(0.25, Fill::Zero)),
        mix: Some(MIXUP_HALF),
        source: "S-RevSNN's transformer (AAAI 2024), which takes CIFAR-10's statistics; version 1 had CIFAR-100's",
        ..CIFAR_PLAIN
    },
    Pipeline {
        id: "cifar100/revsnn-resnet",
        statistics: CIFAR_REVSNN,
        source: "S-RevSNN (AAAI 2024), released code of its ResNets",
        ..CIFAR_PLAIN
    },
    IMAGENET_PLAIN,
    Pipeline {
        id: "imagenet/trevsnn",
        policy: Some(Policy::Rand(RAND_M9)),
        erasing: Some(Erasing::timm(0.25, Fill::Noise)),
        eval: Eval::Middle { resize: 232, filter: Filter::Bilinear },
        source: "T-RevSNN, released code: rand-m9-mstd0.5-inc1; timm leaves its colour jitter of 0.4 out beside a policy",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/sdt",
        crop: Crop::Resized { scale: [0.2, 1.0], filter: Filter::Bicubic },
        policy: Some(Policy::Rand(RandAugment {
            magnitude: 7.0,
            sampling: Some(Sampling::Bicubic),
            ..RAND_M9
        })),
        mix: Some(SDT_MIX),
        eval: BICUBIC_95,
        source: "Spike-Driven Transformer (NeurIPS 2023): rand-m7-mstd0.5-inc1, crop_pct 0.95",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/sdt-384",
        crop: Crop::Resized { scale: [0.2, 1.0], filter: Filter::Bicubic },
        policy: Some(Policy::Rand(RandAugment {
            magnitude: 5.0,
            sampling: Some(Sampling::Bicubic),
            ..RAND_M9
        })),
        mix: Some(Mix { probability: 0.6, ..SDT_MIX }),
        eval: BICUBIC_95,
        source: "Spike-Driven Transformer 8-384, conf/imagenet/8_384_300E_t4.yml",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/sdt-288",
        test_side: 288,
        crop: Crop::Resized { scale: [0.2, 1.0], filter: Filter::Bicubic },
        policy: Some(Policy::Rand(RandAugment {
            magnitude: 7.0,
            sampling: Some(Sampling::Bicubic),
            ..RAND_M9
        })),
        mix: Some(SDT_MIX),
        eval: Eval::Middle { resize: 303, filter: Filter::Bicubic },
        source: "Spike-Driven Transformer, judged at 288",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/spikingjelly",
        train_side: 176,
        policy: Some(Policy::TrivialWide),
        erasing: Some(Erasing { probability: 0.1, area: [0.02, 0.33], aspect: 0.3, fill: Fill::Zero }),
        mix: Some(Mix { probability: 1.0, partner: Partner::Previous, ..SDT_MIX }),
        eval: Eval::Middle { resize: 232, filter: Filter::Bilinear },
        source: "SpikingJelly's trainer, after torchvision's references",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/timm",
        crop: Crop::Resized { scale: [0.08, 1.0], filter: Filter::Bicubic },
        jitter: Some(0.4),
        eval: Eval::Middle { resize: 256, filter: Filter::Bicubic },
        source: "timm's defaults: crop_pct 0.875, colour jitter 0.4",
        ..IMAGENET_PLAIN
    },
    Pipeline {
        id: "imagenet/small-64",
        train_side: 64,
        test_side: 64,
        crop: Crop::Resized { scale: [0.35, 1.0], filter: Filter::Bilinear },
        eval: Eval::Middle { resize: 73, filter: Filter::Bilinear },
        source: "ours: imagenet/ottt at 64, with larger crops for the small side",
        ..IMAGENET_PLAIN
    },
];

impl Pipeline {
    /// The pipeline of `SET/NAME@VERSION`, or of `SET/NAME` in its only version.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let (id, version) = match name.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (name, None),
        };
        PIPELINES
            .iter()
            .find(|own| own.id == id && version.is_none_or(|version| version == own.version.to_string()))
    }

    /// Name and version, as recipes and records write it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}@{}", self.id, self.version)
    }

    /// SHA-256 in hex over every number, and the decoder.
    #[must_use]
    pub fn hash(&self) -> String {
        // A struct of numbers and strings is always JSON.
        let json = serde_json::to_string(self).unwrap_or_default();
        hex(&Sha256::digest(format!("{json} {DECODER}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_hashes_are_unique_and_found() {
        let hashes: BTreeSet<String> = PIPELINES.iter().map(Pipeline::hash).collect();
        assert_eq!(hashes.len(), PIPELINES.len());
        for pipeline in PIPELINES {
            assert_eq!(Pipeline::find(&pipeline.name()), Some(pipeline));
            assert_eq!(Pipeline::find(pipeline.id), Some(pipeline));
        }
        assert_eq!(Pipeline::find("imagenet/ottt@2"), None);
    }

    /// A change of any number shows here: it needs a new version, and the old one stays.
    #[test]
    fn a_pipeline_never_changes_under_its_name() {
        let known = [
            ("imagenet/ottt", "3c9342b7495d"),
            ("imagenet/trevsnn", "4caafd56dafa"),
            ("cifar10/ottt", "4ea8f67a31ad"),
        ];
        for (id, hash) in known {
            assert_eq!(&Pipeline::find(id).unwrap().hash()[..12], hash, "{id}");
        }
    }

    #[test]
    fn the_four_evaluation_crops_are_those_of_the_papers() {
        let eval = |id| {
            let pipeline = Pipeline::find(id).unwrap();
            (pipeline.eval, pipeline.test_side)
        };
        let middle = |resize, filter| Eval::Middle { resize, filter };
        assert_eq!(eval("imagenet/ottt"), (middle(256, Filter::Bilinear), 224));
        assert_eq!(eval("imagenet/trevsnn"), (middle(232, Filter::Bilinear), 224));
        // crop_pct 0.95: floor(224 / 0.95) and floor(288 / 0.95).
        assert_eq!(eval("imagenet/sdt"), (middle(235, Filter::Bicubic), 224));
        assert_eq!(eval("imagenet/sdt-288"), (middle(303, Filter::Bicubic), 288));
    }
}
