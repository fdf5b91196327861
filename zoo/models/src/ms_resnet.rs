//! MS-ResNet: residual networks whose shortcut carries membrane currents.
//!
//! Hu et al., "Advancing spiking neural networks toward deep residual learning" (TNNLS 2024), figure 2, in the form
//! that the authors of S-RevSNN train it in as their baseline (AAAI 2024; their released code). A block is
//!
//! ```text
//! y = x' + norm(conv3x3(fire(norm(conv3x3(fire(x))))))
//! ```
//!
//! with `x' = x`, or `norm(conv1x1(fire(x)))` with neurons of its own where the shape changes. Unusual: no neuron stands
//! behind the sum, so the stream is real-valued. On images, stem convolution and norm are evaluated once for all
//! steps. Inputs of 64 pixels and more in three channels get the stem of ImageNet networks (7x7 with stride 2, then a
//! maximum over 3x3 with stride 2), which the S-RevSNN code does not have; the event network has the same pool behind
//! a 3x3 with stride 2.

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{Block, ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::ConvSpec;
use engine::site::Role;

use crate::layers::plain;
use crate::published::{CIFAR, DVS_128, REV_DVS, REV_IF, set_up};
use crate::residual::{Place, Residual, START, STEM_MAXIMUM, classifier, conv_norm, stages};

const PAPER: &str = "MS-ResNet: Hu et al., TNNLS 2024; as in S-RevSNN: Zhang & Zhang, AAAI 2024";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "ms-resnet18",
        summary: "membrane shortcuts, 2-2-2-2 basic blocks",
        paper: PAPER,
        official: &["MSResNet(BasicBlock), cifar10"],
        published: || set_up(CIFAR, 4, REV_IF, NormOver::Time),
        build: |spec, builder| image(spec, builder, [2, 2, 2, 2]),
    },
    ModelEntry {
        id: "ms-resnet34",
        summary: "membrane shortcuts, 3-4-6-3 basic blocks",
        paper: PAPER,
        official: &[],
        published: || set_up(CIFAR, 4, REV_IF, NormOver::Time),
        build: |spec, builder| image(spec, builder, [3, 4, 6, 3]),
    },
    ModelEntry {
        id: "ms-resnet20",
        summary: "membrane shortcuts on events, 3-3-3 narrow basic blocks",
        paper: PAPER,
        official: &["MSResNet(BasicBlock), cifar10-dvs"],
        published: || set_up(DVS_128, 10, REV_DVS, NormOver::Time),
        build: events,
    },
];

/// From this side on an image in colour is one of ImageNet's kind.
const LARGE: usize = 64;

fn image(spec: &ModelSpec, builder: &mut Builder, blocks: [usize; 4]) -> Result<Wiring> {
    builder.start_from(START);
    let widths = spec.widths([64, 128, 256, 512])?;
    let (stem, _) = stem(spec, builder, widths[0])?;
    rest(spec, builder, stem, &widths, &spec.blocks(blocks)?)
}

/// The stem of an image network, and by how much it shrinks the sides.
pub(crate) fn stem(
    spec: &ModelSpec,
    builder: &mut Builder,
    channels: usize,
) -> Result<(Vec<Box<dyn Block>>, usize)> {
    let large = spec.image[0] == 3 && spec.image[1].min(spec.image[2]) >= LARGE;
    let (kernel, stride) = if large { (7, 2) } else { (3, 1) };
    let shape = ConvSpec::same(spec.image[0], channels, kernel, stride);
    let mut stem = conv_norm(spec, builder, ("conv1", "bn1"), Role::Encoder, shape)?;
    if large {
        stem.push(Box::new(builder.pool("maxpool", STEM_MAXIMUM)));
    }
    Ok((stem, if large { 4 } else { 1 }))
}

fn events(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    builder.start_from(START);
    let widths = spec.widths([16, 32, 64])?;
    let shape = ConvSpec::same(spec.image[0], widths[0], 3, 2);
    let mut stem = conv_norm(spec, builder, ("conv1.0", "bn1.0"), Role::Encoder, shape)?;
    stem.push(Box::new(builder.pool("maxpool", STEM_MAXIMUM)));
    rest(spec, builder, stem, &widths, &spec.blocks([3, 3, 3])?)
}

fn rest(
    spec: &ModelSpec,
    builder: &mut Builder,
    stem: Vec<Box<dyn Block>>,
    widths: &[usize],
    blocks: &[usize],
) -> Result<Wiring> {
    let mut segments = vec![plain(stem)];
    let build = |builder: &mut Builder, place: &Place| block(spec, builder, place);
    segments.extend(stages(builder, (widths[0], 1), (widths, blocks), build)?);
    let mut tail: Vec<Box<dyn Block>> = vec![Box::new(builder.neurons("sn1", spec.neuron))];
    tail.extend(classifier(spec, builder, widths[widths.len() - 1])?);
    segments.push(plain(tail));
    Ok(Wiring::Sequence(segments.into()))
}

fn block(spec: &ModelSpec, builder: &mut Builder, place: &Place) -> Result<Residual> {
    let Place { name, from, width, stride } = place;
    let mut branch: Vec<Box<dyn Block>> = Vec::new();
    for (index, from, stride) in [(1, *from, *stride), (2, *width, 1)] {
        branch.push(Box::new(builder.neurons(&format!("{name}.sn{index}"), spec.neuron)));
        let (conv, norm) = (format!("{name}.conv{index}.0"), format!("{name}.conv{index}.1"));
        let shape = ConvSpec::same(from, *width, 3, stride);
        branch.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
    }
    let shortcut = if place.changes_shape(*width) {
        let mut shortcut: Vec<Box<dyn Block>> =
            vec![Box::new(builder.neurons(&format!("{name}.downsample.0"), spec.neuron))];
        let (conv, norm) = (format!("{name}.downsample.1.0"), format!("{name}.downsample.1.1"));
        let shape = ConvSpec::same(*from, *width, 1, *stride);
        shortcut.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
        Some(Chain(shortcut))
    } else {
        None
    };
    Ok(Residual { branch: Chain(branch), shortcut, sum: builder.sum(&format!("{name}.sum")) })
}
