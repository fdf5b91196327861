//! Spikingformer: a spiking transformer with membrane shortcuts.
//!
//! Zhou et al., "Spikingformer: spike-driven residual learning for transformer-based spiking neural network" (2023),
//! as the authors of S-RevSNN train it beside RevSFormer (AAAI 2024; their released code). A block on the real-valued
//! stream is
//!
//! ```text
//! x = x + norm(conv1x1(fire(0.125 (q k^T) v)))        q, k, v = fire(norm(conv1x1(fire(x))))
//! x = x + norm(conv1x1(fire(norm(conv1x1(fire(x))))))
//! ```
//!
//! Unusual: the threshold in front of the product's convolution is 1/2, the factor is 0.125 whatever the heads, there is no
//! positional embedding, and two layer norms a block are parameters that nothing reads: they are declared so
//! that the authors' weights load. The mean over time stands in front of the read-out there, behind it here: the
//! same scores.

use std::rc::Rc;

use engine::Result;
use engine::layer::{Builder, Chain, Start};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::norm::NormOver;
use engine::param::{Init, ParamKind};
use engine::site::Role;

use crate::layers::plain;
use crate::published::{CIFAR, DVS_128, REV_DVS, TRANSFORMER, set_up};
use crate::residual::Residual;
use crate::spiking_attention::{SelfAttention, perceptron, sizes};
use crate::tokenizer::{Tokenizer, tokenizer};

const PAPER: &str = "Spikingformer: Zhou et al., 2023; as in S-RevSNN: Zhang & Zhang, AAAI 2024";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "spikingformer-2-384",
        summary: "spiking transformer, 2 blocks of 384 channels",
        paper: PAPER,
        official: &["vit_snn (Spikingformer), cifar10"],
        published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Image, 2, (384, 12)),
    },
    ModelEntry {
        id: "spikingformer-4-384",
        summary: "spiking transformer, 4 blocks of 384 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Image, 4, (384, 12)),
    },
    ModelEntry {
        id: "spikingformer-2-256",
        summary: "spiking transformer on events, 2 blocks of 256 channels",
        paper: PAPER,
        official: &["vit_snn (Spikingformer), cifar10-dvs"],
        published: || set_up(DVS_128, 10, REV_DVS, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Events, 2, (256, 16)),
    },
];

/// How the authors' code starts: PyTorch's convolutions.
pub(crate) const START: Start = Start::TORCH;

/// Mean over the tokens and `head`, which starts normal with deviation 0.02 and without bias.
pub(crate) fn head(spec: &ModelSpec, builder: &mut Builder, features: usize) -> Result<Segment> {
    builder.start_from(Start { linear: Init::Normal(0.02), uniform_biases: false, ..START });
    Ok(plain(vec![
        Box::new(builder.global_average("tokens")),
        Box::new(builder.linear("head", Role::Readout, features, spec.classes)?),
    ]))
}

fn build(
    spec: &ModelSpec,
    builder: &mut Builder,
    kind: Tokenizer,
    depth: usize,
    published: (usize, usize),
) -> Result<Wiring> {
    builder.start_from(START);
    let (channels, heads) = sizes(spec, published)?;
    let [depth] = spec.blocks([depth])?;
    let mut segments = tokenizer(spec, builder, kind, channels)?;
    for block in 0..depth {
        let name = format!("block.{block}");
        unread_norm(builder, &format!("{name}.norm1"), channels)?;
        let attention = SelfAttention::build(spec, builder, &format!("{name}.attn"), (channels, heads))?;
        let attention: Vec<Box<dyn Block>> = vec![Box::new(attention)];
        segments.push(residual(builder, Chain(attention), &format!("{name}.attn.sum")));
        unread_norm(builder, &format!("{name}.norm2"), channels)?;
        let mlp = perceptron(spec, builder, &format!("{name}.mlp"), ["mlp1", "mlp2"], channels)?;
        segments.push(residual(builder, mlp, &format!("{name}.mlp.sum")));
    }
    segments.push(head(spec, builder, channels)?);
    Ok(Wiring::Sequence(segments.into()))
}

fn residual(builder: &mut Builder, branch: Chain, sum: &str) -> Segment {
    Segment::Plain(Rc::new(Residual { branch, shortcut: None, sum: builder.sum(sum) }))
}

fn unread_norm(builder: &mut Builder, name: &str, channels: usize) -> Result<()> {
    builder.param(&format!("{name}.weight"), ParamKind::Unread, &[channels], Init::Constant(1.0))?;
    builder.param(&format!("{name}.bias"), ParamKind::Unread, &[channels], Init::Constant(0.0))?;
    Ok(())
}
