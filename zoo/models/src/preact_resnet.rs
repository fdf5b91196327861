//! `preact-resnet18`: the residual network of SLTT on CIFAR.
//!
//! Meng et al., ICCV 2023, appendix: conv3x3-64, four stages of two pre-activation blocks, norm, neuron, average pool
//! 4x4, linear read-out. A block, with z = neuron(norm(x)):
//!
//! ```text
//! y = conv2(neuron(norm(conv1(z)))) + shortcut(z)
//! ```
//!
//! Unusual: the shortcut carries the *spikes* z, not x (through a biased 1x1 convolution where the shape changes), so
//! the sum is an analog current; convolutions inside blocks have biases though a norm follows. The last pool has a
//! window of 4x4 whatever the image: what does not fill a window is left out.

use engine::layer::{Builder, Chain, Conv, Start};
use engine::model::{Block, ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use crate::layers::Layers;
use crate::published::{CIFAR, SLTT, set_up};

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "preact-resnet18",
    summary: "pre-activation blocks whose shortcut carries spikes",
    paper: "SLTT: Meng et al., ICCV 2023",
    official: &["PreActResNet(PreActBlock)"],
    published: || set_up(CIFAR, 6, SLTT, NormOver::Step),
    build,
}];

/// What follows the neurons of a block.
struct Currents {
    branch: Chain,
    shortcut: Option<Conv>,
    place: String,
}

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let (widths, blocks) = (spec.widths([64, 128, 256, 512])?, spec.blocks([2, 2, 2, 2])?);
    // Three stages halve the image, rounding up; the last pool takes whole windows of 4.
    let pixels = |side: usize| side.div_ceil(2).div_ceil(2).div_ceil(2) / 4;
    if let Some(side) = spec.image[1..].iter().find(|&&side| pixels(side) == 0) {
        return Err(Error::setting("model.image", "sides of at least 25", side));
    }
    builder.start_from(Start::TORCH);
    let stem = builder.conv("conv1", Role::Encoder, ConvSpec::same(spec.image[0], widths[0], 3, 1))?;
    let mut layers = Layers::default();
    layers.push(stem);
    let mut channels = widths[0];
    for (stage, (width, count)) in widths.into_iter().zip(blocks).enumerate() {
        for index in 0..count {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let name = format!("layer{}.{index}", stage + 1);
            block(spec, builder, &mut layers, &name, (channels, width), stride)?;
            channels = width;
        }
    }
    layers.push(builder.norm("bn1", channels, spec.norm, 1.0)?);
    layers.push(builder.neurons("relu1", spec.neuron));
    layers.cut();
    let pool = PoolSpec { kind: PoolKind::Average, kernel: 4, stride: 4, pad: 0 };
    layers.push(builder.pool("avgpool", pool));
    layers.push(builder.flatten("flatten"));
    let features = channels * pixels(spec.image[1]) * pixels(spec.image[2]);
    layers.push(builder.linear("linear", Role::Readout, features, spec.classes)?);
    Ok(layers.into_sequence())
}

fn block(
    spec: &ModelSpec,
    builder: &mut Builder,
    layers: &mut Layers,
    name: &str,
    (from, to): (usize, usize),
    stride: usize,
) -> Result<()> {
    layers.push(builder.norm(&format!("{name}.bn1"), from, spec.norm, 1.0)?);
    layers.push(builder.neurons(&format!("{name}.relu1"), spec.neuron));
    // Only spikes pass from a block's neurons to the rest of it.
    layers.cut();
    let conv = |builder: &mut Builder, layer: &str, geometry| {
        builder.biased_conv(&format!("{name}.{layer}"), Role::Hidden, geometry)
    };
    let mut branch: Vec<Box<dyn Block>> = vec![
        Box::new(conv(builder, "conv1", ConvSpec::same(from, to, 3, stride))?),
        Box::new(builder.norm(&format!("{name}.bn2"), to, spec.norm, 1.0)?),
        Box::new(builder.neurons(&format!("{name}.relu2"), spec.neuron)),
    ];
    if spec.dropout > 0.0 {
        branch.push(Box::new(builder.dropout(&format!("{name}.drop"), spec.dropout)));
    }
    branch.push(Box::new(conv(builder, "conv2", ConvSpec::same(to, to, 3, 1))?));
    let shortcut = match stride != 1 || from != to {
        true => Some(conv(builder, "shortcut", ConvSpec::same(from, to, 1, stride))?),
        false => None,
    };
    layers.push(Currents { branch: Chain(branch), shortcut, place: name.to_string() });
    Ok(())
}

impl Block for Currents {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, z: &Value) -> Result<Value> {
        let y = self.branch.forward(pass, port, z)?;
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(pass, port, z)?,
            None => z.clone(),
        };
        ops::add(pass, &self.place, &y, &shortcut)
    }
}
