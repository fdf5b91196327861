//! RevSResNet: spiking residual networks of coupled blocks, reversible in depth.
//!
//! Zhang & Zhang, "Memory-efficient reversible spiking neural networks" (AAAI 2024), section 4, and their released code.
//! A stage's stream of 2C channels goes through blocks
//!
//! ```text
//! y1 = x1 + F(x2)        F, G = (fire - conv3x3 - norm) twice, on C channels
//! y2 = x2 + G(y1)
//! ```
//!
//! and between stages through fire - average 3x3 with stride 2 - conv1x1 - norm. Unusual: the last stage of the image
//! networks has 448 channels a half, not 512. On images, stem convolution and norm are evaluated once for all steps.
//! The event network starts with stride 2 and an average pool.

use std::rc::Rc;

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{Block, Coupling, ModelEntry, ModelSpec, Segment, Stage, Wiring};
use engine::norm::NormOver;
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::site::Role;

use crate::layers::plain;
use crate::published::{CIFAR, DVS_128, REV_DVS, REV_IF, set_up};
use crate::residual::{START, classifier, conv_norm};

const PAPER: &str = "S-RevSNN: Zhang & Zhang, AAAI 2024";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "rev-resnet21",
        summary: "spatially reversible residual network, 1-1-1-1 coupled blocks",
        paper: PAPER,
        official: &["RevSResNet(BasicResidualBlock), cifar10"],
        published: || set_up(CIFAR, 4, REV_IF, NormOver::Time),
        build: |spec, builder| image(spec, builder, [1, 1, 1, 1]),
    },
    ModelEntry {
        id: "rev-resnet37",
        summary: "spatially reversible residual network, 1-2-3-2 coupled blocks",
        paper: PAPER,
        official: &[],
        published: || set_up(CIFAR, 4, REV_IF, NormOver::Time),
        build: |spec, builder| image(spec, builder, [1, 2, 3, 2]),
    },
    ModelEntry {
        id: "rev-resnet109",
        summary: "spatially reversible residual network, 2-4-16-4 coupled blocks",
        paper: PAPER,
        official: &[],
        published: || set_up(CIFAR, 4, REV_IF, NormOver::Time),
        build: |spec, builder| image(spec, builder, [2, 4, 16, 4]),
    },
    ModelEntry {
        id: "rev-resnet24",
        summary: "spatially reversible residual network on events, 1-2-2 narrow coupled blocks",
        paper: PAPER,
        official: &["RevSResNet(BasicResidualBlock), cifar10-dvs"],
        published: || set_up(DVS_128, 10, REV_DVS, NormOver::Time),
        build: events,
    },
];

const AVERAGE: PoolSpec = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 2, pad: 1 };

fn image(spec: &ModelSpec, builder: &mut Builder, blocks: [usize; 4]) -> Result<Wiring> {
    builder.start_from(START);
    let halves = spec.widths([64, 128, 256, 448])?;
    let shape = ConvSpec::same(spec.image[0], 2 * halves[0], 3, 1);
    let stem = conv_norm(spec, builder, ("conv1", "bn1"), Role::Encoder, shape)?;
    rest(spec, builder, stem, &halves, &spec.blocks(blocks)?)
}

fn events(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    builder.start_from(START);
    let halves = spec.widths([16, 32, 48])?;
    let shape = ConvSpec::same(spec.image[0], 2 * halves[0], 3, 2);
    let mut stem = conv_norm(spec, builder, ("conv1.0", "bn1.0"), Role::Encoder, shape)?;
    // The authors call it so, though it averages.
    stem.push(Box::new(builder.pool("maxpool", AVERAGE)));
    rest(spec, builder, stem, &halves, &spec.blocks([1, 2, 2])?)
}

fn rest(
    spec: &ModelSpec,
    builder: &mut Builder,
    stem: Vec<Box<dyn Block>>,
    halves: &[usize],
    blocks: &[usize],
) -> Result<Wiring> {
    let mut segments = vec![plain(stem)];
    for (stage, (&half, &blocks)) in halves.iter().zip(blocks).enumerate() {
        if stage > 0 {
            segments.push(down(spec, builder, stage, (2 * halves[stage - 1], 2 * half))?);
        }
        let name = format!("layer{}", stage + 1);
        let blocks = (0..blocks)
            .map(|block| {
                let name = format!("{name}.reversible_blocks.{block}");
                Ok(Coupling {
                    f: Box::new(branch(spec, builder, &format!("{name}.f_block"), half)?),
                    g: Box::new(branch(spec, builder, &format!("{name}.g_block"), half)?),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        segments.push(Segment::Coupled(Rc::new(Stage { name, blocks, grid: spec.grid })));
    }
    let mut tail: Vec<Box<dyn Block>> = vec![Box::new(builder.neurons("sn1", spec.neuron))];
    tail.extend(classifier(spec, builder, 2 * halves[halves.len() - 1])?);
    segments.push(plain(tail));
    Ok(Wiring::Sequence(segments.into()))
}

/// F or G: shape preserving on half of the stream.
fn branch(spec: &ModelSpec, builder: &mut Builder, name: &str, channels: usize) -> Result<Chain> {
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    for index in 1..=2 {
        blocks.push(Box::new(builder.neurons(&format!("{name}.sn{index}"), spec.neuron)));
        let (conv, norm) = (format!("{name}.conv{index}.0"), format!("{name}.conv{index}.1"));
        let shape = ConvSpec::same(channels, channels, 3, 1);
        blocks.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
    }
    Ok(Chain(blocks))
}

fn down(
    spec: &ModelSpec,
    builder: &mut Builder,
    index: usize,
    (from, to): (usize, usize),
) -> Result<Segment> {
    let name = format!("ds{index}");
    let mut blocks: Vec<Box<dyn Block>> = vec![
        Box::new(builder.neurons(&format!("{name}.0"), spec.neuron)),
        Box::new(builder.pool(&format!("{name}.1.0"), AVERAGE)),
    ];
    let (conv, norm) = (format!("{name}.1.1"), format!("{name}.1.2"));
    let shape = ConvSpec::same(from, to, 1, 1);
    blocks.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
    Ok(plain(blocks))
}
