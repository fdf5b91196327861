//! What spiking transformers share: sizes, projections, self-attention and the perceptron behind it.
//!
//! Tokens are the pixels of the stream `[T, B, C, H, W]`; nothing is rearranged.

use engine::layer::{Attention, Builder, Chain, Spiking};
use engine::model::{Block, ModelSpec};
use engine::neuron::Neuron;
use engine::ops::ConvSpec;
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

/// Hidden channels of the perceptron for each of the stream's.
const RATIO: usize = 4;

/// The factor of self-attention, whatever the heads (Spikformer, Zhou et al., ICLR 2023).
const SCALE: f64 = 0.125;

/// Channels of the stream and heads.
///
/// # Errors
/// When the tokenizer's first width, an eighth, is no whole number, or the heads don't divide the channels.
pub(crate) fn sizes(spec: &ModelSpec, (channels, heads): (usize, usize)) -> Result<(usize, usize)> {
    let [channels] = spec.widths([channels])?;
    if !channels.is_multiple_of(8) {
        let rule = "such that a transformer's channels are a multiple of 8";
        return Err(Error::setting("model.width", rule, format!("{} ({channels} channels)", spec.width)));
    }
    let heads = spec.sizes.heads.unwrap_or(heads);
    if heads == 0 || !channels.is_multiple_of(heads) {
        let rule = format!("a divisor of the {channels} channels");
        return Err(Error::setting("model.sizes.heads", rule, heads));
    }
    Ok((channels, heads))
}

/// The neuron that reads a product of spikes: half the threshold.
pub(crate) fn product_neuron(spec: &ModelSpec) -> Neuron {
    spec.neuron.with_threshold(0.5 * spec.neuron.threshold())
}

/// Whether the authors convolve pixels or rows of tokens: their weights have another shape.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axes {
    /// `[C, C, 1]`.
    Tokens,
    /// `[C, C, 1, 1]`.
    Pixels,
}

/// The query, key or value: conv1x1 - norm - neuron, named `<name>.<letter>_conv`, `_bn`, `_lif`.
pub(crate) fn projection(
    spec: &ModelSpec,
    builder: &mut Builder,
    (name, letter): (&str, char),
    channels: usize,
    axes: Axes,
) -> Result<Chain> {
    let conv = format!("{name}.{letter}_conv");
    let conv = match axes {
        Axes::Tokens => builder.token_conv(&conv, Role::Hidden, channels)?,
        Axes::Pixels => builder.conv(&conv, Role::Hidden, ConvSpec::same(channels, channels, 1, 1))?,
    };
    Ok(Chain(vec![
        Box::new(conv),
        Box::new(builder.norm(&format!("{name}.{letter}_bn"), channels, spec.norm, 1.0)?),
        Box::new(builder.neurons(&format!("{name}.{letter}_lif"), spec.neuron)),
    ]))
}

/// Query, key and value of `fire(x)`. The spikes that all three read are let go before any of them is used.
pub(crate) fn projected(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    (fire, [q, k, v]): (&Spiking, &[Chain; 3]),
    x: &Value,
) -> Result<[Value; 3]> {
    let spikes = fire.forward(pass, port, x)?;
    Ok([q.forward(pass, port, &spikes)?, k.forward(pass, port, &spikes)?, v.forward(pass, port, &spikes)?])
}

/// `norm(conv1x1(fire(scale (q k^T) v)))` without a softmax, q, k, v projected from `fire(x)`.
pub(crate) struct SelfAttention {
    first: Spiking,
    projections: [Chain; 3],
    product: Attention,
    last: Chain,
}

impl SelfAttention {
    /// Named `<name>.proj_lif`, `<name>.q_conv`, ..
    pub(crate) fn build(
        spec: &ModelSpec,
        builder: &mut Builder,
        name: &str,
        (channels, heads): (usize, usize),
    ) -> Result<Self> {
        // The authors name the first neurons after the last convolution.
        let first = builder.neurons(&format!("{name}.proj_lif"), spec.neuron);
        let mut project = |letter| projection(spec, builder, (name, letter), channels, Axes::Tokens);
        let projections = [project('q')?, project('k')?, project('v')?];
        let product = builder.attention(&format!("{name}.attn"), heads, SCALE);
        let last: Vec<Box<dyn Block>> = vec![
            Box::new(builder.neurons(&format!("{name}.attn_lif"), product_neuron(spec))),
            Box::new(builder.biased_token_conv(&format!("{name}.proj_conv"), Role::Hidden, channels)?),
            Box::new(builder.norm(&format!("{name}.proj_bn"), channels, spec.norm, 1.0)?),
        ];
        Ok(Self { first, projections, product, last: Chain(last) })
    }
}

impl Block for SelfAttention {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let [q, k, v] = projected(pass, port, (&self.first, &self.projections), x)?;
        let product = port.mix(pass, &self.product.site, &self.product, &[&q, &k, &v])?;
        self.last.forward(pass, port, &product)
    }
}

/// Neuron - conv1x1 - norm, twice, four times as wide in between; `<name>.<layer>_lif`, `_conv` (with bias), `_bn`.
pub(crate) fn perceptron(
    spec: &ModelSpec,
    builder: &mut Builder,
    name: &str,
    layers: [&str; 2],
    channels: usize,
) -> Result<Chain> {
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    let widths = [channels, RATIO * channels, channels];
    for (layer, width) in layers.into_iter().zip(widths.windows(2)) {
        let name = format!("{name}.{layer}");
        let shape = ConvSpec::same(width[0], width[1], 1, 1);
        blocks.push(Box::new(builder.neurons(&format!("{name}_lif"), spec.neuron)));
        blocks.push(Box::new(builder.biased_conv(&format!("{name}_conv"), Role::Hidden, shape)?));
        blocks.push(Box::new(builder.norm(&format!("{name}_bn"), width[1], spec.norm, 1.0)?));
    }
    Ok(Chain(blocks))
}
