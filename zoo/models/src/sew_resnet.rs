//! SEW-ResNet: residual networks whose shortcut carries spikes, joined spike by spike.
//!
//! Fang et al., "Deep residual learning in spiking neural networks" (NeurIPS 2021), figure 2 and equation 6 with the
//! element-wise function ADD, and their released ImageNet code:
//!
//! ```text
//! y = fire(norm(conv(fire(norm(conv(x)))))) + x'        x' = x or fire(norm(conv1x1(x)))
//! ```
//!
//! with a third convolution in the bottleneck of the 50-layer network. Unusual: sums of spikes are not spikes, so the
//! weights behind them read the whole numbers 0, 1, 2, .., which grow along a stage, and no neuron stands behind
//! the last sum. Stem convolution and norm are evaluated once for all steps; the maximum behind them is over spikes.
//! Names are those of the code under SpikingJelly 0.0.0.0.12, whose containers are plain sequences; older
//! checkpoints put `.module` in front of the last index.

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{Block, ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::ConvSpec;
use engine::site::Role;

use crate::layers::plain;
use crate::published::{IMAGENET, REV_IF, set_up};
use crate::residual::{Place, Residual, START, STEM_MAXIMUM, classifier, conv_norm, stages};

const PAPER: &str = "SEW-ResNet: Fang et al., NeurIPS 2021";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "sew-resnet18",
        summary: "spikes added to spikes, 2-2-2-2 basic blocks",
        paper: PAPER,
        official: &["SEWResNet(BasicBlock), connect_f ADD"],
        published: || set_up(IMAGENET, 4, REV_IF, NormOver::Time),
        build: |spec, builder| build(spec, builder, &BASIC, [2, 2, 2, 2]),
    },
    ModelEntry {
        id: "sew-resnet34",
        summary: "spikes added to spikes, 3-4-6-3 basic blocks",
        paper: PAPER,
        official: &[],
        published: || set_up(IMAGENET, 4, REV_IF, NormOver::Time),
        build: |spec, builder| build(spec, builder, &BASIC, [3, 4, 6, 3]),
    },
    ModelEntry {
        id: "sew-resnet50",
        summary: "spikes added to spikes, 3-4-6-3 bottlenecks",
        paper: PAPER,
        official: &["SEWResNet(Bottleneck), connect_f ADD"],
        published: || set_up(IMAGENET, 4, REV_IF, NormOver::Time),
        build: |spec, builder| build(spec, builder, &BOTTLENECK, [3, 4, 6, 3]),
    },
];

/// The convolutions of a branch: side of the kernel and whether it takes the block's stride.
struct Form {
    convs: &'static [(usize, bool)],
    /// Output channels of the last one for each of the stage's width.
    expansion: usize,
}

const BASIC: Form = Form { convs: &[(3, true), (3, false)], expansion: 1 };

const BOTTLENECK: Form = Form { convs: &[(1, false), (3, true), (1, false)], expansion: 4 };

fn build(spec: &ModelSpec, builder: &mut Builder, form: &Form, blocks: [usize; 4]) -> Result<Wiring> {
    builder.start_from(START);
    let widths = spec.widths([64, 128, 256, 512])?;
    let blocks = spec.blocks(blocks)?;
    let shape = ConvSpec::same(spec.image[0], widths[0], 7, 2);
    let mut stem = conv_norm(spec, builder, ("conv1", "bn1"), Role::Encoder, shape)?;
    stem.push(Box::new(builder.neurons("sn1", spec.neuron)));
    stem.push(Box::new(builder.pool_of_spikes("maxpool", STEM_MAXIMUM)));
    let mut segments = vec![plain(stem)];
    let build = |builder: &mut Builder, place: &Place| block(spec, builder, form, place);
    segments.extend(stages(builder, (widths[0], form.expansion), (&widths, &blocks), build)?);
    segments.push(plain(classifier(spec, builder, form.expansion * widths[3])?));
    Ok(Wiring::Sequence(segments.into()))
}

fn block(spec: &ModelSpec, builder: &mut Builder, form: &Form, place: &Place) -> Result<Residual> {
    let name = &place.name;
    let out = form.expansion * place.width;
    let mut branch: Vec<Box<dyn Block>> = Vec::new();
    let mut from = place.from;
    for (index, &(kernel, strided)) in form.convs.iter().enumerate() {
        let number = index + 1;
        let to = if number == form.convs.len() { out } else { place.width };
        let (conv, norm) = (format!("{name}.conv{number}.0"), format!("{name}.conv{number}.1"));
        let shape = ConvSpec::same(from, to, kernel, if strided { place.stride } else { 1 });
        branch.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
        branch.push(Box::new(builder.neurons(&format!("{name}.sn{number}"), spec.neuron)));
        from = to;
    }
    let shortcut = if place.changes_shape(out) {
        let (conv, norm) = (format!("{name}.downsample.0.0"), format!("{name}.downsample.0.1"));
        let shape = ConvSpec::same(place.from, out, 1, place.stride);
        let mut shortcut = conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?;
        shortcut.push(Box::new(builder.neurons(&format!("{name}.downsample.1"), spec.neuron)));
        Some(Chain(shortcut))
    } else {
        None
    };
    Ok(Residual { branch: Chain(branch), shortcut, sum: builder.sum(&format!("{name}.sum")) })
}
