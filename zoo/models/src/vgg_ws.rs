//! `vgg11-ws` and `vgg11-ws-f`: plain networks without norms, and the same with a feedback connection.
//!
//! OTTT (Xiao et al., NeurIPS 2022, section 5 and appendix): 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3,
//! mean over space, linear read-out. Eight convolutions, not torchvision's VGG-11. Unusual:
//! - weights are standardised and scaled by a learned gain over the fan-in N: `w^ = gain (w - mean) / sqrt(var N + 1e-4)`
//!   with the unbiased variance; there is no norm anywhere;
//! - a constant 2.74 = `1 / sqrt(p (1 - p))`, p the chance that a standard normal exceeds 1, follows each neuron, so
//!   that what a convolution reads has unit variance; a presynaptic trace is scaled and pooled with its spikes;
//! - the first convolution is untraced, the read-out is traced though it does not leak;
//! - feedback (`-f`): `current_1[t] = conv1(x[t]) + conv_f(up(sg(features[t-1])))`, a plain convolution from zero on the
//!   up-sampled, detached features of the last layer, traced like any other; nothing at the first step.
//!
//! Names are those of the authors' code (`features.3.op.weight`: the `op` of a traced wrapper).

use std::rc::Rc;

use engine::layer::{Builder, Conv, GlobalAverage, Linear, Start, Upsample};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec, Epsilon, PoolKind, PoolSpec, Standardisation, Variance};
use engine::param::Init;
use engine::pass::Pass;
use engine::region;
use engine::site::{Role, Site};
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use crate::layers::Layers;
use crate::published::{CIFAR, OTTT, set_up};

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "vgg11-ws",
        summary: "eight standardised convolutions without norms",
        paper: "OTTT: Xiao et al., NeurIPS 2022",
        official: &["OnlineSpikingVGG"],
        published: || set_up(CIFAR, 6, OTTT, NormOver::Step),
        build: forward,
    },
    ModelEntry {
        id: "vgg11-ws-f",
        summary: "vgg11-ws with feedback from the last layer to the first",
        paper: "OTTT: Xiao et al., NeurIPS 2022",
        official: &["OnlineSpikingVGGF (feedback conv)"],
        published: || set_up((CIFAR.0, 100), 6, OTTT, NormOver::Step),
        build: feedback,
    },
];

/// Weight standardisation of the online methods' codes.
pub(crate) const ONLINE: Standardisation =
    Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };

/// What follows each neuron.
pub(crate) const GAIN: f64 = 2.74;

const WIDTHS: [usize; 8] = [64, 128, 256, 256, 512, 512, 512, 512];
const POOLS: [usize; 3] = [2, 4, 6];

/// Kaiming-normal convolutions, a read-out from N(0, 0.01), zero biases.
const START: Start = Start { linear: Init::Normal(0.01), ..Start::KAIMING };

/// Channels of each convolution, and after how many convolutions a pool follows.
struct Layout {
    widths: Vec<usize>,
    pools: Vec<usize>,
}

impl Layout {
    fn read(spec: &ModelSpec) -> Result<Self> {
        let published = spec.sizes.widths.is_none();
        let widths = spec.sizes.widths.clone().unwrap_or_else(|| WIDTHS.to_vec());
        let widths: Vec<usize> = widths.into_iter().map(|width| spec.channels(width)).collect();
        let pools = spec.sizes.pools.clone().unwrap_or(if published { POOLS.to_vec() } else { Vec::new() });
        if !pools.is_sorted() || pools.iter().any(|&after| after == 0 || after > widths.len()) {
            let rule = format!("ascending numbers from 1 to {}", widths.len());
            return Err(Error::setting("model.sizes.pools", rule, format!("{pools:?}")));
        }
        Ok(Self { widths, pools })
    }

    fn pools_after(&self, convolutions: usize) -> usize {
        self.pools.iter().filter(|&&after| after == convolutions).count()
    }

    /// Sides of the image that all pools leave; each halves it, rounding down.
    fn check(&self, spec: &ModelSpec) -> Result<()> {
        let smallest = 1_usize << self.pools.len().min(usize::BITS as usize - 1);
        match spec.image[1..].iter().find(|&&side| side < smallest) {
            Some(side) => Err(Error::setting("model.image", format!("sides of at least {smallest}"), side)),
            None => Ok(()),
        }
    }
}

/// Hands out `features.0`, `features.1`, ... to layers that may have no parameters.
struct Features<'b> {
    builder: &'b mut Builder,
    layers: Layers,
    next: usize,
}

impl Features<'_> {
    fn name(&mut self) -> String {
        let name = format!("features.{}", self.next);
        self.next += 1;
        name
    }

    fn push(&mut self, block: impl Block + 'static) {
        self.layers.push(block);
    }

    /// Neurons, their constant factor, and dropout where there is some.
    fn neurons(&mut self, spec: &ModelSpec) {
        let name = self.name();
        let neurons = self.builder.neurons(&name, spec.neuron);
        self.push(neurons);
        self.layers.cut();
        if spec.dropout > 0.0 {
            // The authors drop inside the neuron's module, after the reset.
            let dropout = self.builder.dropout(&format!("{name}.dropout"), spec.dropout);
            self.push(dropout);
        }
        let name = self.name();
        let scale = self.builder.scale(&name, GAIN);
        self.push(scale);
    }

    fn pools(&mut self, count: usize) {
        for _ in 0..count {
            let name = self.name();
            let spec = PoolSpec { kind: PoolKind::Average, kernel: 2, stride: 2, pad: 0 };
            let pool = self.builder.pool(&name, spec);
            self.push(pool);
        }
    }

    fn traced_conv(&mut self, from: usize, to: usize) -> Result<()> {
        let name = format!("{}.op", self.name());
        let conv =
            self.builder.standardised_conv(&name, Role::Hidden, ConvSpec::same(from, to, 3, 1), ONLINE)?;
        self.push(conv);
        Ok(())
    }

    /// Everything behind the first convolution.
    fn rest(&mut self, spec: &ModelSpec, layout: &Layout) -> Result<()> {
        self.neurons(spec);
        self.pools(layout.pools_after(1));
        for (index, pair) in layout.widths.windows(2).enumerate() {
            self.traced_conv(pair[0], pair[1])?;
            self.neurons(spec);
            self.pools(layout.pools_after(index + 2));
        }
        Ok(())
    }
}

fn first_conv(spec: &ModelSpec, builder: &mut Builder, name: &str, layout: &Layout) -> Result<Conv> {
    let geometry = ConvSpec::same(spec.image[0], layout.widths[0], 3, 1);
    builder.standardised_conv(name, Role::Encoder, geometry, ONLINE)
}

fn head(spec: &ModelSpec, builder: &mut Builder, layout: &Layout) -> Result<(GlobalAverage, Linear)> {
    let features = layout.widths.last().copied().unwrap_or(1);
    let average = builder.global_average("avgpool");
    Ok((average, builder.linear("classifier.0.op", Role::Readout, features, spec.classes)?))
}

fn forward(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let layout = Layout::read(spec)?;
    layout.check(spec)?;
    builder.start_from(START);
    let first = first_conv(spec, builder, "features.0", &layout)?;
    let mut features = Features { builder: &mut *builder, layers: Layers::default(), next: 1 };
    features.push(first);
    features.rest(spec, &layout)?;
    let mut layers = features.layers;
    let (average, readout) = head(spec, builder, &layout)?;
    layers.push(average);
    layers.push(readout);
    Ok(layers.into_sequence())
}

/// The whole network, because its last features reach back to its first convolution.
struct Recurrent {
    first: Conv,
    feedback: Conv,
    up: Upsample,
    carry: Site,
    features: Vec<Segment>,
    average: GlobalAverage,
    readout: Linear,
}

fn feedback(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let layout = Layout::read(spec)?;
    layout.check(spec)?;
    let factor = 1_usize << layout.pools.len();
    if let Some(side) = spec.image[1..].iter().find(|&&side| side % factor != 0) {
        let rule = format!("sides that are multiples of {factor}, so that feedback fits the first layer");
        return Err(Error::setting("model.image", rule, side));
    }
    builder.start_from(START);
    let first = first_conv(spec, builder, "conv1", &layout)?;
    let last = layout.widths.last().copied().unwrap_or(1);
    builder.start_from(Start { conv: Init::Constant(0.0), ..START });
    let feedback =
        builder.biased_conv("fb_conv.op", Role::Hidden, ConvSpec::same(last, layout.widths[0], 3, 1))?;
    builder.start_from(START);
    let up = builder.upsample("fb_up", factor);
    let carry = builder.site("fb_features", Role::Carry);
    let mut features = Features { builder: &mut *builder, layers: Layers::default(), next: 0 };
    features.rest(spec, &layout)?;
    let features = features.layers.into_segments();
    let (average, readout) = head(spec, builder, &layout)?;
    let network = Recurrent { first, feedback, up, carry, features, average, readout };
    Ok(Wiring::Recurrent(Rc::new([Segment::Plain(Rc::new(network))])))
}

impl Block for Recurrent {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let mut current = self.first.forward(pass, port, x)?;
        if let Some(features) = port.carry(pass, &self.carry)? {
            let features = self.up.forward(pass, port, &features)?;
            let back = self.feedback.forward(pass, port, &features)?;
            current = ops::add(pass, "conv1 + fb_conv", &current, &back)?;
        }
        let features = region::segments(pass, port, &self.features, &current)?;
        port.keep(pass, &self.carry, &features)?;
        let features = self.average.forward(pass, port, &features)?;
        self.readout.forward(pass, port, &features)
    }
}
