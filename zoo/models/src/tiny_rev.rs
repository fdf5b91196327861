//! `tiny-rev`: two stages of coupled blocks between ordinary layers.
//!
//! The form of RevSResNet (Zhang & Zhang, AAAI 2024, section 4; `../../../docs/METHODOLOGY.md`): stem convolution,
//! stages of blocks `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` with F and G = neuron - conv3x3 - norm, and a down-sampling
//! unit neuron - average pool - conv1x1 - norm between stages. Smaller than published in four ways: one
//! convolution a branch instead of two, a stem with stride 2, two stages instead of four, and a read-out of all pixels
//! instead of their mean.

use std::rc::Rc;

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{Block, Coupling, ModelEntry, ModelSpec, Segment, Stage, Wiring};
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::site::Role;

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "tiny-rev",
    summary: "two stages of spatially reversible blocks",
    paper: "after RevSResNet: Zhang & Zhang, AAAI 2024",
    official: &[],
    published: crate::published::tiny,
    build,
}];

const BLOCKS: usize = 2;

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    // Half of a stage's stream, so that any width splits evenly.
    let halves = [8, 16].map(|published| spec.channels(published));
    let depth = spec.depth.unwrap_or(BLOCKS);
    let mut segments = Vec::new();
    let stem: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv(
            "stem.conv",
            Role::Encoder,
            ConvSpec::same(spec.image[0], 2 * halves[0], 3, 2),
        )?),
        Box::new(builder.norm("stem.norm", 2 * halves[0], spec.norm, 1.0)?),
    ];
    segments.push(Segment::Plain(Rc::new(Chain(stem))));
    for (index, half) in halves.into_iter().enumerate() {
        let name = format!("stage{}", index + 1);
        if index > 0 {
            segments.push(Segment::Plain(Rc::new(down(
                spec,
                builder,
                &name,
                2 * halves[index - 1],
                2 * half,
            )?)));
        }
        let blocks = (0..depth)
            .map(|block| {
                let name = format!("{name}.block{}", block + 1);
                Ok(Coupling {
                    f: Box::new(branch(spec, builder, &format!("{name}.f"), half)?),
                    g: Box::new(branch(spec, builder, &format!("{name}.g"), half)?),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        segments.push(Segment::Coupled(Rc::new(Stage { name, blocks, grid: spec.grid })));
    }
    // The stem and the unit between the stages halve the image, rounding up.
    let pixels = |side: usize| side.div_ceil(2).div_ceil(2);
    let features = 2 * halves[1] * pixels(spec.image[1]) * pixels(spec.image[2]);
    let tail: Vec<Box<dyn Block>> = vec![
        Box::new(builder.neurons("tail.neuron", spec.neuron)),
        Box::new(builder.flatten("tail.flat")),
        Box::new(builder.linear("readout", Role::Readout, features, spec.classes)?),
    ];
    segments.push(Segment::Plain(Rc::new(Chain(tail))));
    Ok(Wiring::Sequence(segments.into()))
}

/// F or G: shape preserving on half of the stream.
fn branch(spec: &ModelSpec, builder: &mut Builder, name: &str, channels: usize) -> Result<Chain> {
    Ok(Chain(vec![
        Box::new(builder.neurons(&format!("{name}.neuron"), spec.neuron)),
        Box::new(builder.conv(
            &format!("{name}.conv"),
            Role::Hidden,
            ConvSpec::same(channels, channels, 3, 1),
        )?),
        Box::new(builder.norm(&format!("{name}.norm"), channels, spec.norm, 1.0)?),
    ]))
}

fn down(spec: &ModelSpec, builder: &mut Builder, name: &str, from: usize, to: usize) -> Result<Chain> {
    let pool = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 2, pad: 1 };
    Ok(Chain(vec![
        Box::new(builder.neurons(&format!("{name}.down.neuron"), spec.neuron)),
        Box::new(builder.pool(&format!("{name}.down.pool"), pool)),
        Box::new(builder.conv(&format!("{name}.down.conv"), Role::Hidden, ConvSpec::same(from, to, 1, 1))?),
        Box::new(builder.norm(&format!("{name}.down.norm"), to, spec.norm, 1.0)?),
    ]))
}
