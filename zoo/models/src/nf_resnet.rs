//! `nf-resnet34`, `nf-resnet50`, `nf-resnet101`: residual networks without norms.
//!
//! OTTT (Xiao et al., NeurIPS 2022, appendix) and SLTT (Meng et al., ICCV 2023), after Brock et al. 2021. Stem
//! 7x7 stride 2, average pool 3x3 stride 2, four stages. A block reads the analog current x:
//!
//! ```text
//! z = 2.74 neuron(x / beta)      y = alpha g branch(z) + shortcut       alpha = 0.2, g a learned scalar from 0
//! basic branch:       conv3x3 - 2.74 neuron - conv3x3
//! bottleneck branch:  conv1x1 - 2.74 neuron - conv3x3 - 2.74 neuron - conv1x1, four times as wide
//! ```
//!
//! The shortcut is a 1x1 convolution of z where the shape changes, else x itself. beta is the square root of the
//! variance expected of x: it starts at 1, grows by alpha^2 a block, and is `1 + alpha^2` after a block that changes
//! the shape. Weights are standardised as in `vgg_ws`. Unusual: the read-out reads currents and is not traced; its
//! weights start at zero. The two codes name the same layers with and without the `op` of a traced wrapper, so
//! both names are known.

use engine::Result;
use engine::layer::{Builder, Chain, Conv, Scale, Spiking, Start};
use engine::model::{Block, ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::{Synapse, Unroll};
use engine::value::Value;

use crate::layers::Layers;
use crate::published::{IMAGENET, OTTT, set_up};
use crate::vgg_ws::{GAIN, ONLINE};

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "nf-resnet34",
        summary: "34 layers, basic blocks, no norms",
        paper: "OTTT: Xiao et al., NeurIPS 2022; SLTT: Meng et al., ICCV 2023",
        official: &["OnlineSpikingNFResNet(BasicBlock)", "SpikingNFResNet(BasicBlock)"],
        published,
        build: |spec, builder| build(spec, builder, Form::Basic, [3, 4, 6, 3]),
    },
    ModelEntry {
        id: "nf-resnet50",
        summary: "50 layers, bottlenecks, no norms",
        paper: "SLTT: Meng et al., ICCV 2023",
        official: &["OnlineSpikingNFResNet(Bottleneck)", "SpikingNFResNet(Bottleneck)"],
        published,
        build: |spec, builder| build(spec, builder, Form::Bottleneck, [3, 4, 6, 3]),
    },
    ModelEntry {
        id: "nf-resnet101",
        summary: "101 layers, bottlenecks, no norms",
        paper: "SLTT: Meng et al., ICCV 2023",
        official: &[],
        published,
        build: |spec, builder| build(spec, builder, Form::Bottleneck, [3, 4, 23, 3]),
    },
];

fn published() -> ModelSpec {
    set_up(IMAGENET, 6, OTTT, NormOver::Step)
}

#[derive(Clone, Copy)]
enum Form {
    Basic,
    Bottleneck,
}

impl Form {
    /// Output channels of a block over the width of its stage.
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

const ALPHA: f64 = 0.2;

/// A residual block on currents.
struct Residual {
    /// What x is divided by, turned over.
    shrink: f64,
    first: Spiking,
    scale: Scale,
    branch: Chain,
    skip_gain: ParamId,
    shortcut: Option<Conv>,
    place: String,
}

fn build(spec: &ModelSpec, builder: &mut Builder, form: Form, published: [usize; 4]) -> Result<Wiring> {
    let (widths, blocks) = (spec.widths([64, 128, 256, 512])?, spec.blocks(published)?);
    builder.start_from(Start { linear: Init::Constant(0.0), ..Start::KAIMING });
    let stem = ConvSpec { pad: 3, ..ConvSpec::same(spec.image[0], widths[0], 7, 2) };
    let pool = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 2, pad: 1 };
    let mut layers = Layers::default();
    layers.push(builder.standardised_conv("conv1", Role::Encoder, stem, ONLINE)?);
    layers.push(builder.pool("maxpool", pool));
    let (mut channels, mut variance) = (widths[0], 1.0);
    for (stage, (width, count)) in widths.into_iter().zip(blocks).enumerate() {
        for index in 0..count {
            let name = format!("layer{}.{index}", stage + 1);
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let wide = width * form.expansion();
            let changes = stride != 1 || channels != wide;
            let shape = Shape { from: channels, width, stride, changes };
            layers.cut();
            layers.push(residual(spec, builder, &name, form, shape, variance)?);
            variance = if changes { 1.0 } else { variance } + ALPHA * ALPHA;
            channels = wide;
        }
    }
    layers.cut();
    layers.push(builder.global_average("avgpool"));
    let mut readout = builder.linear("fc", Role::Readout, channels, spec.classes)?;
    readout.site = readout.site.untraced();
    layers.push(readout);
    Ok(layers.into_sequence())
}

struct Shape {
    from: usize,
    width: usize,
    stride: usize,
    changes: bool,
}

fn residual(
    spec: &ModelSpec,
    builder: &mut Builder,
    name: &str,
    form: Form,
    shape: Shape,
    variance: f64,
) -> Result<Residual> {
    let Shape { from, width, stride, changes } = shape;
    let wide = width * form.expansion();
    let first = builder.neurons(&format!("{name}.sn1"), spec.neuron);
    let scale = builder.scale(&format!("{name}.scale1"), GAIN);
    let shortcut = if changes {
        Some(conv(builder, name, "downsample", ConvSpec::same(from, wide, 1, stride))?)
    } else {
        None
    };
    let convs: Vec<ConvSpec> = match form {
        Form::Basic => vec![ConvSpec::same(from, width, 3, stride), ConvSpec::same(width, width, 3, 1)],
        Form::Bottleneck => vec![
            ConvSpec::same(from, width, 1, 1),
            ConvSpec::same(width, width, 3, stride),
            ConvSpec::same(width, wide, 1, 1),
        ],
    };
    let mut branch: Vec<Box<dyn Block>> = Vec::new();
    for (index, geometry) in convs.into_iter().enumerate() {
        if index > 0 {
            branch.push(Box::new(builder.neurons(&format!("{name}.sn{}", index + 1), spec.neuron)));
            branch.push(Box::new(builder.scale(&format!("{name}.scale{}", index + 1), GAIN)));
        }
        branch.push(Box::new(conv(builder, name, &format!("conv{}", index + 1), geometry)?));
    }
    let skip_gain =
        builder.param(&format!("{name}.skipinit_gain"), ParamKind::Gain, &[], Init::Constant(0.0))?;
    Ok(Residual {
        shrink: 1.0 / f64::sqrt(variance),
        first,
        scale,
        branch: Chain(branch),
        skip_gain,
        shortcut,
        place: name.to_string(),
    })
}

/// A standardised convolution under both of its names.
fn conv(builder: &mut Builder, block: &str, layer: &str, geometry: ConvSpec) -> Result<Conv> {
    let name = format!("{block}.{layer}");
    let conv = builder.standardised_conv(&name, Role::Hidden, geometry, ONLINE)?;
    for (id, part) in conv.params().into_iter().zip(["weight", "bias", "gain"]) {
        builder.alias(&format!("{name}.op.{part}"), id)?;
    }
    Ok(conv)
}

impl Block for Residual {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let current = ops::scale(pass, &self.place, x, self.shrink)?;
        let z = self.first.forward(pass, port, &current)?;
        let z = self.scale.forward(pass, port, &z)?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(pass, port, &z)?,
            None => x.clone(),
        };
        let y = self.branch.forward(pass, port, &z)?;
        let y = ops::gain(pass, &self.place, &y, self.skip_gain)?;
        ops::add(pass, &self.place, &ops::scale(pass, &self.place, &y, ALPHA)?, &shortcut)
    }
}
