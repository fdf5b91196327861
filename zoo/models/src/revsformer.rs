//! RevSFormer: a spiking transformer of coupled blocks, reversible in depth.
//!
//! Zhang & Zhang, "Memory-efficient reversible spiking neural networks" (AAAI 2024), section 4, and their released
//! code: the tokens of Spikingformer are set beside themselves, and the stream of 2D channels goes through
//!
//! ```text
//! y1 = x1 + F(x2)        F: self-attention, G: the perceptron, both on D channels
//! y2 = x2 + G(y1)
//! ```
//!
//! Unusual: the two halves start equal, and the read-out reads both. For the rest see Spikingformer.

use std::rc::Rc;

use engine::Result;
use engine::layer::Builder;
use engine::model::{Block, Coupling, ModelEntry, ModelSpec, Segment, Stage, Wiring};
use engine::norm::NormOver;
use engine::ops;
use engine::pass::Pass;
use engine::unroll::Unroll;
use engine::value::Value;

use crate::published::{CIFAR, DVS_128, REV_DVS, TRANSFORMER, set_up};
use crate::spiking_attention::{SelfAttention, perceptron, sizes};
use crate::spikingformer::{START, head};
use crate::tokenizer::{Tokenizer, tokenizer};

const PAPER: &str = "S-RevSNN: Zhang & Zhang, AAAI 2024";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "revsformer-2-384",
        summary: "spatially reversible transformer, 2 blocks of 384 channels",
        paper: PAPER,
        official: &["rev_vit_snn (RevSFormer), cifar10"],
        published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Image, 2, (384, 12)),
    },
    ModelEntry {
        id: "revsformer-4-384",
        summary: "spatially reversible transformer, 4 blocks of 384 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Image, 4, (384, 12)),
    },
    ModelEntry {
        id: "revsformer-2-256",
        summary: "spatially reversible transformer on events, 2 blocks of 256 channels",
        paper: PAPER,
        official: &["rev_vit_snn (RevSFormer), cifar10-dvs"],
        published: || set_up(DVS_128, 10, REV_DVS, NormOver::Time),
        build: |spec, builder| build(spec, builder, Tokenizer::Events, 2, (256, 16)),
    },
];

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
    segments.push(Segment::Plain(Rc::new(Doubled)));
    let blocks = (0..depth)
        .map(|block| {
            let name = format!("block.reversible_blocks.{block}");
            let f = SelfAttention::build(spec, builder, &format!("{name}.f_block"), (channels, heads))?;
            let g = perceptron(spec, builder, &format!("{name}.g_block"), ["mlp1", "mlp2"], channels)?;
            Ok(Coupling { f: Box::new(f), g: Box::new(g) })
        })
        .collect::<Result<Vec<_>>>()?;
    segments.push(Segment::Coupled(Rc::new(Stage { name: "block".into(), blocks, grid: spec.grid })));
    segments.push(head(spec, builder, 2 * channels)?);
    Ok(Wiring::Sequence(segments.into()))
}

/// The tokens beside themselves on channels.
struct Doubled;

impl Block for Doubled {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::double_channels(pass, "block", x)
    }
}
