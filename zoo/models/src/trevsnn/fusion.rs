//! What a level starts from: the level below at this step and deeper levels of the step before.

use engine::layer::{BatchNorm, Builder, Conv, Spiking};
use engine::model::{Block, Fusion, ModelSpec};
use engine::neuron::Neuron;
use engine::ops::{self, ConvSpec};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

/// `1 - 1/tau_i` of [`Fusion::All`] with `tau_i = 2`. The text does not say whether it is learned. Here it is fixed:
/// the norm right before it has a learned scale a channel.
const LEAK: f64 = 0.5;

/// Spikes - convolution - norm.
struct SpikingConv {
    spikes: Spiking,
    conv: Conv,
    norm: BatchNorm,
}

/// From one deeper level.
struct Up {
    conv: SpikingConv,
    /// Which of the deeper levels, from 0 for the next.
    deeper: usize,
    /// Times the deeper level's sides fit into this one's.
    factor: usize,
    scale: Option<f64>,
}

/// Where the levels of a network stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry<'a> {
    pub(super) widths: &'a [usize],
    /// Rows and columns of each level.
    pub(super) sides: &'a [[usize; 2]],
}

/// The sum that a level starts from.
pub(super) struct Fuse {
    name: String,
    /// Absent at the shallowest level, which takes the feature as it comes.
    down: Option<SpikingConv>,
    ups: Vec<Up>,
}

impl Fuse {
    /// The fusion of a level. `down` is the kernel and stride from the level below, if it is not made here;
    /// `feeds_back` says whether there can be a step before.
    pub(super) fn new(
        builder: &mut Builder,
        name: &str,
        spec: &ModelSpec,
        quantiser: Neuron,
        geometry: Geometry<'_>,
        level: usize,
        (down, feeds_back): (Option<(usize, usize)>, bool),
    ) -> Result<Self> {
        let widths = geometry.widths;
        let down = down
            .map(|(kernel, stride)| {
                let conv = ConvSpec::same(widths[level - 1], widths[level], kernel, stride);
                SpikingConv::new(builder, &format!("{name}.down"), spec, quantiser, conv)
            })
            .transpose()?;
        let sources = match spec.levels.fusion {
            _ if !feeds_back => 0,
            Fusion::None => 0,
            Fusion::Next => 1,
            Fusion::All => widths.len(),
        };
        let ups = (level + 1..widths.len())
            .take(sources)
            .map(|source| {
                // The next deeper level's is named as released.
                let name =
                    if source == level + 1 { format!("{name}.up") } else { format!("{name}.up{source}") };
                let conv = ConvSpec::same(widths[source], widths[level], 1, 1);
                Ok(Up {
                    conv: SpikingConv::new(builder, &name, spec, quantiser, conv)?,
                    deeper: source - level - 1,
                    factor: factor(spec, geometry.sides[level], geometry.sides[source])?,
                    scale: (spec.levels.fusion == Fusion::All).then_some(LEAK),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { name: name.to_string(), down, ups })
    }

    /// The sum, from the level below, or what has been made of it, and the deeper levels of the step before.
    pub(super) fn forward(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        below: &Value,
        deeper: &[Value],
    ) -> Result<Value> {
        let mut sum = match &self.down {
            Some(down) => down.forward(pass, port, below)?,
            None => below.clone(),
        };
        for up in &self.ups {
            // At the first step nothing has been carried yet.
            let Some(source) = deeper.get(up.deeper) else { break };
            let mut fed_back = up.conv.forward(pass, port, source)?;
            if let Some(scale) = up.scale {
                fed_back = ops::scale(pass, &self.name, &fed_back, scale)?;
            }
            fed_back = ops::upsample(pass, &self.name, &fed_back, up.factor)?;
            sum = ops::add(pass, &self.name, &sum, &fed_back)?;
        }
        Ok(sum)
    }
}

/// How many times the sides of a deeper level fit into a level's.
fn factor(spec: &ModelSpec, own: [usize; 2], deeper: [usize; 2]) -> Result<usize> {
    let factor = own[0] / deeper[0];
    if own != deeper.map(|side| factor * side) {
        let rule = format!(
            "of sides that the strides halve without a remainder, for what deeper levels feed back \
             (levels of {own:?} and {deeper:?} pixels)"
        );
        return Err(Error::setting("model.image", rule, format!("{:?}", spec.image)));
    }
    Ok(factor)
}

impl SpikingConv {
    fn new(
        builder: &mut Builder,
        name: &str,
        spec: &ModelSpec,
        quantiser: Neuron,
        conv: ConvSpec,
    ) -> Result<Self> {
        Ok(Self {
            spikes: builder.neurons(&format!("{name}.in"), quantiser),
            conv: builder.conv(&format!("{name}.encode_conv"), Role::Hidden, conv)?,
            norm: builder.norm(&format!("{name}.encode_bn"), conv.c_out, spec.norm, 1.0)?,
        })
    }
}

impl Block for SpikingConv {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let spikes = self.spikes.forward(pass, port, x)?;
        let current = self.conv.forward(pass, port, &spikes)?;
        self.norm.forward(pass, port, &current)
    }
}
