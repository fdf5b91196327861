//! Spike-driven Transformer: attention by masks and sums of spikes.
//!
//! Yao et al., "Spike-driven transformer" (NeurIPS 2023), figure 2 and equation 20, and their released code. A block on
//! the real-valued stream is
//!
//! ```text
//! x = x + norm(conv1x1(q * fire(sum over tokens of k * v)))        q, k, v = fire(norm(conv1x1(fire(x))))
//! x = x + norm(conv1x1(fire(norm(conv1x1(fire(x))))))
//! ```
//!
//! behind four convolutions, each conv3x3 - norm - neuron (- maximum), and a fifth on their spikes, added to their current.
//! Unusual: the fourth maximum is over currents, in front of its neurons; the threshold behind the sum over tokens is
//! 1/2; the read-out reads the spikes of neurons behind the mean over tokens; heads shape nothing but the
//! parameter `talking_heads`, which nothing reads and which is declared so that the authors' weights load.
//!
//! The authors pool behind all four convolutions for ImageNet and behind the last two for CIFAR and CIFAR10-DVS: here
//! colour images of 64 pixels and more are of ImageNet's kind, unless `sizes.pools` says behind which. On frames of two
//! polarities they take maxima around each spike: of k and v over 3x3 pixels, and of both products over three tokens in
//! a row by three channels of a head (in their code for CIFAR10-DVS alone).

use std::rc::Rc;

use engine::layer::{Builder, Chain, ChannelMask, DilatedTokenDot, Spiking, Start, TokenDot};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::norm::NormOver;
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::param::{Init, ParamKind};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use crate::layers::plain;
use crate::published::{CIFAR, IMAGENET, TRANSFORMER, set_up};
use crate::residual::{Residual, STEM_MAXIMUM, conv_norm, repeated_conv_norm};
use crate::spiking_attention::{Axes, perceptron, product_neuron, projected, projection, sizes};

const PAPER: &str = "Spike-driven Transformer: Yao et al., NeurIPS 2023";

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "spike-driven-transformer-8-384",
        summary: "attention by masks and sums, 8 blocks of 384 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(IMAGENET, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, 8, 384),
    },
    ModelEntry {
        id: "spike-driven-transformer-6-512",
        summary: "attention by masks and sums, 6 blocks of 512 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(IMAGENET, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, 6, 512),
    },
    ModelEntry {
        id: "spike-driven-transformer-8-512",
        summary: "attention by masks and sums, 8 blocks of 512 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(IMAGENET, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, 8, 512),
    },
    ModelEntry {
        id: "spike-driven-transformer-2-512",
        summary: "attention by masks and sums on small images, 2 blocks of 512 channels",
        paper: PAPER,
        official: &["SpikeDrivenTransformer"],
        published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, 2, 512),
    },
    ModelEntry {
        id: "spike-driven-transformer-2-256",
        summary: "attention by masks and sums on events, 2 blocks of 256 channels",
        paper: PAPER,
        official: &[],
        published: || set_up(([2, 64, 64], 10), 16, TRANSFORMER, NormOver::Time),
        build: |spec, builder| build(spec, builder, 2, 256),
    },
];

/// Heads in all of the authors' networks.
const HEADS: usize = 8;

/// How the authors' code starts: two-dimensional convolutions normal with deviation 0.02 and without bias.
const START: Start = Start { conv: Init::Normal(0.02), uniform_biases: false, ..Start::TORCH };

fn build(spec: &ModelSpec, builder: &mut Builder, depth: usize, channels: usize) -> Result<Wiring> {
    builder.start_from(START);
    let (channels, heads) = sizes(spec, (channels, HEADS))?;
    let [depth] = spec.blocks([depth])?;
    let mut segments = stem(spec, builder, channels)?;
    for block in 0..depth {
        let name = format!("block.{block}");
        let attention = MaskedAttention::build(spec, builder, &format!("{name}.attn"), (channels, heads))?;
        let attention: Vec<Box<dyn Block>> = vec![Box::new(attention)];
        segments.push(residual(builder, Chain(attention), &format!("{name}.attn.sum")));
        let mlp = perceptron(spec, builder, &format!("{name}.mlp"), ["fc1", "fc2"], channels)?;
        segments.push(residual(builder, mlp, &format!("{name}.mlp.sum")));
    }
    builder.start_from(Start::TORCH);
    segments.push(plain(vec![
        Box::new(builder.global_average("tokens")),
        Box::new(builder.neurons("head_lif", spec.neuron)),
        Box::new(builder.linear("head", Role::Readout, channels, spec.classes)?),
    ]));
    Ok(Wiring::Sequence(segments.into()))
}

/// Behind which of the four convolutions the image is halved.
fn pools(spec: &ModelSpec) -> Result<[bool; 4]> {
    let large = spec.image[0] == 3 && spec.image[1].min(spec.image[2]) >= 64;
    let Some(own) = &spec.sizes.pools else { return Ok([large, large, true, true]) };
    if own.iter().any(|pool| !(1..=4).contains(pool)) || !own.is_sorted_by(|a, b| a < b) {
        return Err(Error::setting("model.sizes.pools", "ascending, from 1 to 4", format!("{own:?}")));
    }
    Ok([1, 2, 3, 4].map(|conv| own.contains(&conv)))
}

fn stem(spec: &ModelSpec, builder: &mut Builder, channels: usize) -> Result<Vec<Segment>> {
    let pools = pools(spec)?;
    let mut from = spec.image[0];
    let mut segments = Vec::new();
    for (index, width) in [channels / 8, channels / 4, channels / 2, channels].into_iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { index.to_string() };
        let name = |what: &str| format!("patch_embed.{what}{suffix}");
        let shape = ConvSpec::same(from, width, 3, 1);
        let names = (name("proj_conv"), name("proj_bn"));
        let mut blocks = match index {
            0 => repeated_conv_norm(spec, builder, (&names.0, &names.1), shape)?,
            _ => conv_norm(spec, builder, (&names.0, &names.1), Role::Hidden, shape)?,
        };
        // The last maximum is in front of its neurons, whose current is also the shortcut's.
        if index < 3 {
            blocks.push(Box::new(builder.neurons(&name("proj_lif"), spec.neuron)));
        }
        if pools[index] {
            let pool = name("maxpool");
            let pool = if index < 3 {
                builder.pool_of_spikes(&pool, STEM_MAXIMUM)
            } else {
                builder.pool(&pool, STEM_MAXIMUM)
            };
            blocks.push(Box::new(pool));
        }
        segments.push(plain(blocks));
        from = width;
    }
    let mut branch: Vec<Box<dyn Block>> =
        vec![Box::new(builder.neurons("patch_embed.proj_lif3", spec.neuron))];
    let names = ("patch_embed.rpe_conv", "patch_embed.rpe_bn");
    branch.extend(conv_norm(spec, builder, names, Role::Hidden, ConvSpec::same(channels, channels, 3, 1))?);
    segments.push(residual(builder, Chain(branch), "patch_embed.sum"));
    Ok(segments)
}

fn residual(builder: &mut Builder, branch: Chain, sum: &str) -> Segment {
    Segment::Plain(Rc::new(Residual { branch, shortcut: None, sum: builder.sum(sum) }))
}

/// `norm(conv1x1(q * fire(sum over tokens of k * v)))`, q, k, v projected from `fire(x)`.
struct MaskedAttention {
    first: Spiking,
    projections: [Chain; 3],
    product: Product,
    fire: Spiking,
    mask: ChannelMask,
    last: Chain,
}

/// What neurons read of k and v.
enum Product {
    Plain(TokenDot),
    /// On events: maxima around each spike.
    Dilated(DilatedTokenDot),
}

/// Over 3x3 pixels, in place.
const AROUND: PoolSpec = PoolSpec { kind: PoolKind::Max, kernel: 3, stride: 1, pad: 1 };

impl MaskedAttention {
    fn build(
        spec: &ModelSpec,
        builder: &mut Builder,
        name: &str,
        (channels, heads): (usize, usize),
    ) -> Result<Self> {
        let events = spec.image[0] == 2;
        let first = builder.neurons(&format!("{name}.shortcut_lif"), spec.neuron);
        let mut project = |letter| projection(spec, builder, (name, letter), channels, Axes::Pixels);
        let mut projections = [project('q')?, project('k')?, project('v')?];
        let product = format!("{name}.kv");
        let product = if events {
            for (letter, projection) in ['k', 'v'].iter().zip(&mut projections[1..]) {
                projection.0.push(Box::new(builder.pool(&format!("{name}.{letter}_maximum"), AROUND)));
            }
            Product::Dilated(builder.dilated_token_dot(&product, heads))
        } else {
            Product::Plain(builder.token_dot(&product))
        };
        let fire = builder.neurons(&format!("{name}.talking_heads_lif"), product_neuron(spec));
        let unread = format!("{name}.talking_heads.weight");
        builder.param(&unread, ParamKind::Unread, &[heads, heads, 1], Init::TorchUniform)?;
        let mask = builder.channel_mask(&format!("{name}.mask"));
        let mut last: Vec<Box<dyn Block>> = Vec::new();
        if events {
            last.push(Box::new(builder.dilation(&format!("{name}.mask_maximum"), heads)));
        }
        let shape = ConvSpec::same(channels, channels, 1, 1);
        last.push(Box::new(builder.biased_conv(&format!("{name}.proj_conv"), Role::Hidden, shape)?));
        last.push(Box::new(builder.norm(&format!("{name}.proj_bn"), channels, spec.norm, 1.0)?));
        Ok(Self { first, projections, product, fire, mask, last: Chain(last) })
    }
}

impl Block for MaskedAttention {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let [q, k, v] = projected(pass, port, (&self.first, &self.projections), x)?;
        let kv = match &self.product {
            Product::Plain(dot) => port.mix(pass, &dot.site, dot, &[&k, &v])?,
            Product::Dilated(dot) => port.mix(pass, &dot.site, dot, &[&k, &v])?,
        };
        drop((k, v));
        let mask = self.fire.forward(pass, port, &kv)?;
        let masked = port.mix(pass, &self.mask.site, &self.mask, &[&q, &mask])?;
        self.last.forward(pass, port, &masked)
    }
}
