//! What residual networks share: a branch beside a shortcut, the blocks they stand in, and the end of the network.

use std::rc::Rc;

use engine::Result;
use engine::layer::{Builder, Chain, Start, Sum};
use engine::model::{Block, ModelSpec, Segment};
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::param::Init;
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;

/// Kaiming-normal convolutions over the fan-out, everything else as PyTorch leaves it: what most authors of residual
/// networks write.
pub(crate) const START: Start = Start { conv: Init::KaimingNormalFanOut, ..Start::TORCH };

/// The pool of ImageNet stems: 3x3, stride 2, padded by 1.
pub(crate) const STEM_MAXIMUM: PoolSpec = PoolSpec { kind: PoolKind::Max, kernel: 3, stride: 2, pad: 1 };

/// `branch(x) + shortcut(x)`; without a shortcut, `branch(x) + x`.
pub(crate) struct Residual {
    pub(crate) branch: Chain,
    pub(crate) shortcut: Option<Chain>,
    pub(crate) sum: Sum,
}

impl Block for Residual {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let branch = self.branch.forward(pass, port, x)?;
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(pass, port, x)?,
            None => x.clone(),
        };
        port.mix(pass, &self.sum.site, &self.sum, &[&branch, &shortcut])
    }
}

/// A block's place in its network.
pub(crate) struct Place {
    /// `layer1.0`, ...
    pub(crate) name: String,
    /// Channels that come in.
    pub(crate) from: usize,
    /// The stage's width.
    pub(crate) width: usize,
    /// Of its first convolution with a window, and of its shortcut.
    pub(crate) stride: usize,
}

impl Place {
    /// Whether the shortcut has to change the shape to `channels`.
    pub(crate) fn changes_shape(&self, channels: usize) -> bool {
        self.stride != 1 || self.from != channels
    }
}

/// The blocks of all stages, `layer<stage>.<block>`, each a segment of its own; every stage but the first halves the
/// image. `expansion` is the number of output channels for each of the stage's width.
pub(crate) fn stages<B: Block + 'static>(
    builder: &mut Builder,
    (mut from, expansion): (usize, usize),
    (widths, blocks): (&[usize], &[usize]),
    mut build: impl FnMut(&mut Builder, &Place) -> Result<B>,
) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for (stage, (&width, &blocks)) in widths.iter().zip(blocks).enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = format!("layer{}.{block}", stage + 1);
            let block = build(builder, &Place { name, from, width, stride })?;
            segments.push(Segment::Plain(Rc::new(block)));
            from = expansion * width;
        }
    }
    Ok(segments)
}

/// Convolution and norm.
pub(crate) fn conv_norm(
    spec: &ModelSpec,
    builder: &mut Builder,
    (conv, norm): (&str, &str),
    role: Role,
    shape: ConvSpec,
) -> Result<Vec<Box<dyn Block>>> {
    Ok(vec![
        Box::new(builder.conv(conv, role, shape)?),
        Box::new(builder.norm(norm, shape.c_out, spec.norm, 1.0)?),
    ])
}

/// The first convolution and norm of authors who repeat the image in front of them, once for each step.
pub(crate) fn repeated_conv_norm(
    spec: &ModelSpec,
    builder: &mut Builder,
    (conv, norm): (&str, &str),
    shape: ConvSpec,
) -> Result<Vec<Box<dyn Block>>> {
    let conv = builder.conv(conv, Role::Encoder, shape)?;
    let mut norm = builder.norm(norm, shape.c_out, spec.norm, 1.0)?;
    norm.norm.repeated = true;
    Ok(vec![Box::new(conv), Box::new(norm)])
}

/// Mean over space and `fc`.
pub(crate) fn classifier(
    spec: &ModelSpec,
    builder: &mut Builder,
    features: usize,
) -> Result<Vec<Box<dyn Block>>> {
    Ok(vec![
        Box::new(builder.global_average("avgpool")),
        Box::new(builder.linear("fc", Role::Readout, features, spec.classes)?),
    ])
}
