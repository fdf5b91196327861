//! ResNet-19 with threshold-dependent batch normalisation.
//!
//! Zheng et al., "Going deeper with directly-trained larger spiking neural networks" (AAAI 2021): tdBN, equations 4-6,
//! and the layout of the paper's ResNet-19. There is no code of the authors; this follows the paper, and the names
//! are ours.
//!
//! ```text
//! 128C3 - 3 blocks of 128 - 3 of 256 (first with stride 2) - 2 of 512 (first with stride 2) - mean - FC256 - FC
//! block: fire(alpha tdBN(conv3x3(fire(tdBN(conv3x3(x))))) + shortcut(x))
//! tdBN:  gamma (alpha V_th) (x - mean) / sqrt(var + eps) + beta, over batch, space and all steps
//! ```
//!
//! `alpha` is 1, and `1/sqrt(2)` on both sides of a sum, so that the sum has variance `V_th^2`; a shortcut that keeps
//! its shape is the spikes themselves. Unusual: the output neurons spike, and scores are their spikes, whose mean over
//! time is the decision.

use std::f64::consts::FRAC_1_SQRT_2;

use engine::Result;
use engine::layer::{BatchNorm, Builder, Chain};
use engine::model::{Block, ModelEntry, ModelSpec, Wiring};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;

use crate::layers::plain;
use crate::published::{CIFAR, set_up};
use crate::residual::{Place, Residual, START, stages};

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "resnet19-tdbn",
    summary: "residual network with threshold-dependent batch norms and spiking scores",
    paper: "STBP-tdBN: Zheng et al., AAAI 2021",
    official: &[],
    published: || set_up(CIFAR, 6, NEURON, NormOver::Time),
    build,
}];

/// Leak 1/4, threshold 1/2, hard reset that is differentiated, rectangle; fires above the threshold.
const NEURON: Neuron = Neuron::Lif {
    decay: 0.25,
    input_decay: InputDecay::Off,
    threshold: 0.5,
    reset: Reset::Hard,
    reset_gradient: ResetGradient::Through,
    surrogate: Surrogate::Rectangle,
    firing: Firing::Above,
    smooth: false,
};

/// Features between the two linear maps.
const FEATURES: usize = 256;

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    builder.start_from(START);
    let widths = spec.widths([128, 256, 512])?;
    let blocks = spec.blocks([3, 3, 2])?;
    let mut first = norm(spec, builder, "bn1", widths[0], 1.0)?;
    first.norm.repeated = true;
    let stem: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv("conv1", Role::Encoder, ConvSpec::same(spec.image[0], widths[0], 3, 1))?),
        Box::new(first),
        Box::new(builder.neurons("sn1", spec.neuron)),
    ];
    let mut segments = vec![plain(stem)];
    let build = |builder: &mut Builder, place: &Place| block(spec, builder, place);
    segments.extend(stages(builder, (widths[0], 1), (&widths, &blocks), build)?);
    let features = spec.channels(FEATURES);
    segments.push(plain(vec![
        Box::new(builder.global_average("avgpool")),
        Box::new(builder.linear("fc1", Role::Hidden, widths[2], features)?),
        Box::new(builder.neurons("fc1.sn", spec.neuron)),
        Box::new(builder.linear("fc2", Role::Readout, features, spec.classes)?),
        Box::new(builder.neurons("fc2.sn", spec.neuron)),
        Box::new(Scores),
    ]));
    Ok(Wiring::Sequence(segments.into()))
}

fn block(spec: &ModelSpec, builder: &mut Builder, place: &Place) -> Result<Chain> {
    let Place { name, from, width, stride } = place;
    let branch: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv(
            &format!("{name}.conv1"),
            Role::Hidden,
            ConvSpec::same(*from, *width, 3, *stride),
        )?),
        Box::new(norm(spec, builder, &format!("{name}.bn1"), *width, 1.0)?),
        Box::new(builder.neurons(&format!("{name}.sn1"), spec.neuron)),
        Box::new(builder.conv(
            &format!("{name}.conv2"),
            Role::Hidden,
            ConvSpec::same(*width, *width, 3, 1),
        )?),
        Box::new(norm(spec, builder, &format!("{name}.bn2"), *width, FRAC_1_SQRT_2)?),
    ];
    let shortcut = if place.changes_shape(*width) {
        let shape = ConvSpec::same(*from, *width, 1, *stride);
        Some(Chain(vec![
            Box::new(builder.conv(&format!("{name}.downsample.0"), Role::Hidden, shape)?),
            Box::new(norm(spec, builder, &format!("{name}.downsample.1"), *width, FRAC_1_SQRT_2)?),
        ]))
    } else {
        None
    };
    let sum = builder.sum(&format!("{name}.sum"));
    Ok(Chain(vec![
        Box::new(Residual { branch: Chain(branch), shortcut, sum }),
        Box::new(builder.neurons(&format!("{name}.sn2"), spec.neuron)),
    ]))
}

/// tdBN: the norm's result has deviation `alpha * threshold`.
fn norm(
    spec: &ModelSpec,
    builder: &mut Builder,
    name: &str,
    channels: usize,
    alpha: f64,
) -> Result<BatchNorm> {
    let mut norm = builder.norm(name, channels, spec.norm, 1.0)?;
    norm.norm.gain = alpha * spec.neuron.threshold();
    Ok(norm)
}

/// Spikes as scores.
struct Scores;

impl Block for Scores {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::dense(pass, x)
    }
}
