//! Hands out parameters and sites in building order.

use kernels::standardise::Standardisation;

use super::{
    AdaptiveAverage, Attention, BatchNorm, ChannelMask, Conv, DilatedTokenDot, Dilation, Dropout, Flatten,
    GlobalAverage, Linear, Pool, Scale, Spiking, Standardised, Sum, TokenDot, Upsample,
};
use crate::error::Result;
use crate::neuron::Neuron;
use crate::norm::{Norm, NormOver};
use crate::ops::{ConvSpec, PoolKind, PoolSpec};
use crate::param::{Init, ParamId, ParamKind, Params};
use crate::site::{Role, Site};

/// How weights and biases start, unless a layer says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// Weights of convolutions.
    pub conv: Init,
    /// Weights of linear maps.
    pub linear: Init,
    /// Whether biases are uniform on `+-1 / sqrt(fan_in)` as in PyTorch, else zero.
    pub uniform_biases: bool,
}

impl Start {
    /// What PyTorch does when the authors' code says nothing.
    pub const TORCH: Self =
        Self { conv: Init::TorchUniform, linear: Init::TorchUniform, uniform_biases: true };
    /// Kaiming-normal convolutions over the fan-out, zero biases.
    pub const KAIMING: Self =
        Self { conv: Init::KaimingNormalFanOut, linear: Init::LecunUniform, uniform_biases: false };

    fn bias(&self, fan_in: usize) -> Init {
        if self.uniform_biases { Init::Uniform(1.0 / (fan_in as f64).sqrt()) } else { Init::Constant(0.0) }
    }
}

/// Builds the layers of one network. Names are dotted paths, as in `stage1.conv2`: those of the authors' code, where
/// there is one.
pub struct Builder {
    params: Params,
    sites: Vec<Site>,
    start: Start,
}

impl Builder {
    /// A builder that declares into `params`.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, sites: Vec::new(), start: Start::KAIMING }
    }

    pub(crate) fn finish(self) -> (Params, Vec<Site>) {
        (self.params, self.sites)
    }

    /// How the weights and biases of the layers that follow start.
    pub fn start_from(&mut self, start: Start) {
        self.start = start;
    }

    /// A site.
    pub fn site(&mut self, name: &str, role: Role) -> Site {
        // The authors of OTTT leave the first weights untraced and trace every other.
        let site = Site::new(self.sites.len(), name, role, role != Role::Encoder);
        self.sites.push(site.clone());
        site
    }

    /// A parameter.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn param(&mut self, name: &str, kind: ParamKind, shape: &[usize], init: Init) -> Result<ParamId> {
        self.params.declare(name, kind, shape, init)
    }

    /// One more name of a parameter that several places share.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn alias(&mut self, name: &str, id: ParamId) -> Result<()> {
        self.params.alias(name, id)
    }

    /// Marks all parameters whose names start with `prefix` as dropped once the network is trained.
    pub fn mark_training_only(&mut self, prefix: &str) {
        self.params.mark_training_only(prefix);
    }

    /// A convolution, without bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn conv(&mut self, name: &str, role: Role, spec: ConvSpec) -> Result<Conv> {
        spec.check(name)?;
        let weight =
            self.param(&format!("{name}.weight"), ParamKind::Weight, &spec.weight_shape(), self.start.conv)?;
        Ok(Conv { site: self.site(name, role), spec, weight, bias: None, standardised: None })
    }

    /// A convolution with bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn biased_conv(&mut self, name: &str, role: Role, spec: ConvSpec) -> Result<Conv> {
        let mut conv = self.conv(name, role, spec)?;
        let fan_in = spec.c_in / spec.groups * spec.kernel * spec.kernel;
        let start = self.start.bias(fan_in);
        conv.bias = Some(self.param(&format!("{name}.bias"), ParamKind::Bias, &[spec.c_out], start)?);
        Ok(conv)
    }

    /// A convolution with bias whose weights are standardised and scaled by a learned gain `[C_out, 1, 1, 1]`, from 1.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn standardised_conv(
        &mut self,
        name: &str,
        role: Role,
        spec: ConvSpec,
        how: Standardisation,
    ) -> Result<Conv> {
        let mut conv = self.biased_conv(name, role, spec)?;
        let shape = [spec.c_out, 1, 1, 1];
        let gain = self.param(&format!("{name}.gain"), ParamKind::Gain, &shape, Init::Constant(1.0))?;
        conv.standardised = Some(Standardised { gain: Some(gain), how });
        Ok(conv)
    }

    /// A 1x1 convolution without bias whose weights are `[c_out, c_in, 1]`: the authors of spiking transformers apply
    /// one-dimensional convolutions to rows of tokens.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn token_conv(&mut self, name: &str, role: Role, channels: usize) -> Result<Conv> {
        let spec = ConvSpec::same(channels, channels, 1, 1);
        let shape = [channels, channels, 1];
        let weight = self.param(&format!("{name}.weight"), ParamKind::Weight, &shape, self.start.conv)?;
        Ok(Conv { site: self.site(name, role), spec, weight, bias: None, standardised: None })
    }

    /// A [`Builder::token_conv`] with bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn biased_token_conv(&mut self, name: &str, role: Role, channels: usize) -> Result<Conv> {
        let mut conv = self.token_conv(name, role, channels)?;
        let start = self.start.bias(channels);
        conv.bias = Some(self.param(&format!("{name}.bias"), ParamKind::Bias, &[channels], start)?);
        Ok(conv)
    }

    /// A linear map, with bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn linear(&mut self, name: &str, role: Role, inputs: usize, outputs: usize) -> Result<Linear> {
        let start = self.start;
        let weight =
            self.param(&format!("{name}.weight"), ParamKind::Weight, &[outputs, inputs], start.linear)?;
        let bias = self.param(&format!("{name}.bias"), ParamKind::Bias, &[outputs], start.bias(inputs))?;
        Ok(Linear { site: self.site(name, role), weight, bias: Some(bias) })
    }

    /// Batch normalisation with learned scale (from `gamma`) and shift.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn norm(&mut self, name: &str, channels: usize, over: NormOver, gamma: f64) -> Result<BatchNorm> {
        let scale =
            self.param(&format!("{name}.weight"), ParamKind::Norm, &[channels], Init::Constant(gamma))?;
        let shift = self.param(&format!("{name}.bias"), ParamKind::Norm, &[channels], Init::Constant(0.0))?;
        let norm = Norm {
            channels,
            gamma: scale,
            beta: shift,
            eps: 1e-5,
            momentum: 0.1,
            over,
            gain: 1.0,
            repeated: false,
        };
        Ok(BatchNorm { site: self.site(name, Role::Norm), norm })
    }

    /// A neuron layer.
    pub fn neurons(&mut self, name: &str, neuron: Neuron) -> Spiking {
        Spiking { site: self.site(name, Role::Neuron), neuron }
    }

    /// A pool.
    pub fn pool(&mut self, name: &str, spec: PoolSpec) -> Pool {
        Pool { site: self.site(name, Role::Mix), spec }
    }

    /// A maximum of spikes that weights read: no presynaptic trace travels through it.
    pub fn pool_of_spikes(&mut self, name: &str, spec: PoolSpec) -> Pool {
        let role = if spec.kind == PoolKind::Max { Role::Barrier } else { Role::Mix };
        Pool { site: self.site(name, role), spec }
    }

    /// A constant factor.
    pub fn scale(&mut self, name: &str, factor: f64) -> Scale {
        Scale { site: self.site(name, Role::Mix), factor }
    }

    /// Dropout with one mask for all steps.
    pub fn dropout(&mut self, name: &str, rate: f64) -> Dropout {
        Dropout { site: self.site(name, Role::Mix), rate }
    }

    /// A sum of two or more values; of spikes, a trace travels through it.
    pub fn sum(&mut self, name: &str) -> Sum {
        Sum { site: self.site(name, Role::Mix) }
    }

    /// Nearest-neighbour up-sampling.
    pub fn upsample(&mut self, name: &str, factor: usize) -> Upsample {
        Upsample { site: self.site(name, Role::Mix), factor }
    }

    /// Means over a given number of bins.
    pub fn adaptive_average(&mut self, name: &str, out: [usize; 2]) -> AdaptiveAverage {
        AdaptiveAverage { site: self.site(name, Role::Mix), out }
    }

    /// Mean over space.
    pub fn global_average(&mut self, name: &str) -> GlobalAverage {
        GlobalAverage { site: self.site(name, Role::Mix) }
    }

    /// Channels and space into one axis of features.
    pub fn flatten(&mut self, name: &str) -> Flatten {
        Flatten { site: self.site(name, Role::Mix) }
    }

    /// Spiking self-attention that a neuron reads.
    pub fn attention(&mut self, name: &str, heads: usize, scale: f64) -> Attention {
        Attention { site: self.site(name, Role::Mix), heads, scale }
    }

    /// A product summed over tokens that a neuron reads.
    pub fn token_dot(&mut self, name: &str) -> TokenDot {
        TokenDot { site: self.site(name, Role::Mix) }
    }

    /// A dilated product summed over tokens that a neuron reads.
    pub fn dilated_token_dot(&mut self, name: &str, heads: usize) -> DilatedTokenDot {
        DilatedTokenDot { site: self.site(name, Role::Mix), heads }
    }

    /// Dilated spikes that weights read: no presynaptic trace travels through them.
    pub fn dilation(&mut self, name: &str, heads: usize) -> Dilation {
        Dilation { site: self.site(name, Role::Barrier), heads }
    }

    /// A product of spikes that weights read: no presynaptic trace travels through it.
    pub fn channel_mask(&mut self, name: &str) -> ChannelMask {
        ChannelMask { site: self.site(name, Role::Barrier) }
    }
}
