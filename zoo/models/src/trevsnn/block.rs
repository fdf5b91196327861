//! The basic block: spikes - depthwise - pointwise - spikes - pointwise - depthwise, added to its own input.
//!
//! `y = x + gamma * dw2(pw2(q(pw1(dw1(q(x))))))` with an expansion of 4 and no norm: the pointwise convolutions are
//! weight-standardised instead. The residual lives on the membrane, as in MS-ResNet. Blocks come in pairs: in the
//! first all weights belong to the step, in the second `pw2` and `dw2` are shared by all steps and there is no gamma.

use engine::Result;
use engine::layer::{Builder, Conv, Spiking, Standardised};
use engine::model::{Block, Residual};
use engine::neuron::Neuron;
use engine::ops::{self, ConvSpec, Epsilon, Standardisation, Variance};
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;

/// What timm's `ScaledStdConv2d` computes, which the released code uses.
pub(super) const STANDARDISATION: Standardisation =
    Standardisation { variance: Variance::Biased, eps: Epsilon::ToVariance(1e-6) };

/// Hidden channels of a block over its own.
pub(super) const EXPANSION: usize = 4;

/// Geometry of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockSpec {
    pub(super) channels: usize,
    /// Side of the depthwise kernels.
    pub(super) kernel: usize,
    pub(super) quantiser: Neuron,
}

impl BlockSpec {
    fn depthwise(&self) -> ConvSpec {
        ConvSpec { groups: self.channels, ..ConvSpec::same(self.channels, self.channels, self.kernel, 1) }
    }

    fn expand(&self) -> ConvSpec {
        ConvSpec::same(self.channels, EXPANSION * self.channels, 1, 1)
    }

    fn contract(&self) -> ConvSpec {
        ConvSpec::same(EXPANSION * self.channels, self.channels, 1, 1)
    }
}

/// A block of one step.
pub(super) struct SpikingBlock {
    name: String,
    input: Spiking,
    dw1: Conv,
    pw1: Conv,
    mid: Spiking,
    pw2: Conv,
    dw2: Conv,
    gamma: Option<Gamma>,
}

/// The weights that the second blocks of all steps share: those of the step that declared them.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    pw2: Weights,
    dw2: Weights,
}

/// The parameters of a convolution.
#[derive(Clone, Copy)]
struct Weights {
    weight: ParamId,
    bias: Option<ParamId>,
    standardised: Option<Standardised>,
}

impl SpikingBlock {
    /// A block with all weights its own.
    pub(super) fn own(
        builder: &mut Builder,
        name: &str,
        spec: BlockSpec,
        residual: Residual,
    ) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let (input, dw1, pw1, mid) = first_half(builder, name, spec)?;
        let pw2 =
            builder.standardised_conv(&part("pwconv2"), Role::Hidden, spec.contract(), STANDARDISATION)?;
        let dw2 = builder.biased_conv(&part("dwconv2"), Role::Hidden, spec.depthwise())?;
        let gamma = Gamma::new(builder, &part("gamma"), spec.channels, residual)?;
        Ok(Self { name: name.to_string(), input, dw1, pw1, mid, pw2, dw2, gamma })
    }

    /// A block whose second half is shared by all steps: the first step that comes declares it.
    pub(super) fn sharing(
        builder: &mut Builder,
        name: &str,
        spec: BlockSpec,
        shared: &mut Option<Shared>,
    ) -> Result<Self> {
        let (pw2_name, dw2_name) = (format!("{name}.pwconv2_reuse"), format!("{name}.dwconv2_reuse"));
        let (input, dw1, pw1, mid) = first_half(builder, name, spec)?;
        let (pw2, dw2) = match *shared {
            Some(Shared { pw2, dw2 }) => (
                pw2.again(builder, &pw2_name, spec.contract())?,
                dw2.again(builder, &dw2_name, spec.depthwise())?,
            ),
            None => {
                let pw2 =
                    builder.standardised_conv(&pw2_name, Role::Hidden, spec.contract(), STANDARDISATION)?;
                let dw2 = builder.biased_conv(&dw2_name, Role::Hidden, spec.depthwise())?;
                *shared = Some(Shared { pw2: Weights::of(&pw2), dw2: Weights::of(&dw2) });
                (pw2, dw2)
            }
        };
        Ok(Self { name: name.to_string(), input, dw1, pw1, mid, pw2, dw2, gamma: None })
    }
}

/// The learned factor of a residual branch, one a channel.
pub(super) struct Gamma {
    name: String,
    param: ParamId,
}

impl Gamma {
    /// A factor from where the choice says; none for a plain branch.
    pub(super) fn new(
        builder: &mut Builder,
        name: &str,
        channels: usize,
        residual: Residual,
    ) -> Result<Option<Self>> {
        let start = match residual {
            Residual::Plain => return Ok(None),
            Residual::Learned => Init::Constant(1.0),
            Residual::Rezero => Init::Constant(0.0),
        };
        let param = builder.param(name, ParamKind::Gain, &[1, channels, 1, 1], start)?;
        Ok(Some(Self { name: name.to_string(), param }))
    }
}

impl Block for Gamma {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::gain(pass, &self.name, x, self.param)
    }
}

fn first_half(builder: &mut Builder, name: &str, spec: BlockSpec) -> Result<(Spiking, Conv, Conv, Spiking)> {
    let part = |part: &str| format!("{name}.{part}");
    let input = builder.neurons(&part("in"), spec.quantiser);
    let dw1 = builder.biased_conv(&part("dwconv1"), Role::Hidden, spec.depthwise())?;
    let pw1 = builder.standardised_conv(&part("pwconv1"), Role::Hidden, spec.expand(), STANDARDISATION)?;
    Ok((input, dw1, pw1, builder.neurons(&part("mid"), spec.quantiser)))
}

impl Weights {
    fn of(conv: &Conv) -> Self {
        Self { weight: conv.weight, bias: conv.bias, standardised: conv.standardised }
    }

    /// The same weights at another site, under that site's names too.
    fn again(self, builder: &mut Builder, name: &str, spec: ConvSpec) -> Result<Conv> {
        let Self { weight, bias, standardised } = self;
        builder.alias(&format!("{name}.weight"), weight)?;
        if let Some(bias) = bias {
            builder.alias(&format!("{name}.bias"), bias)?;
        }
        if let Some(gain) = standardised.and_then(|standardised| standardised.gain) {
            builder.alias(&format!("{name}.gain"), gain)?;
        }
        Ok(Conv { site: builder.site(name, Role::Hidden), spec, weight, bias, standardised })
    }
}

impl Block for SpikingBlock {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let parts: [&dyn Block; 6] = [&self.input, &self.dw1, &self.pw1, &self.mid, &self.pw2, &self.dw2];
        let mut branch = parts[0].forward(pass, port, x)?;
        for part in &parts[1..] {
            branch = part.forward(pass, port, &branch)?;
        }
        if let Some(gamma) = &self.gamma {
            branch = gamma.forward(pass, port, &branch)?;
        }
        ops::add(pass, &self.name, x, &branch)
    }
}
