//! Hands out parameters and sites in building order.

use kernels::standardise::{Epsilon, Standardisation, Variance};

use super::{BatchNorm, Conv, Flatten, GlobalAverage, Linear, Pool, Spiking, Standardised};
use crate::error::Result;
use crate::neuron::Neuron;
use crate::norm::{Norm, NormOver};
use crate::ops::{ConvSpec, PoolSpec};
use crate::param::{Init, ParamId, ParamKind, Params};
use crate::site::{Role, Site};

/// Builds the layers of one network. Names are dotted paths, as in `stage1.conv2`.
pub struct Builder {
    params: Params,
    sites: Vec<Site>,
}

impl Builder {
    /// A builder that declares into `params`.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self { params, sites: Vec::new() }
    }

    pub(crate) fn finish(self) -> (Params, Vec<Site>) {
        (self.params, self.sites)
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

    /// A convolution, without bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn conv(&mut self, name: &str, role: Role, spec: ConvSpec) -> Result<Conv> {
        spec.check(name)?;
        let weight = self.param(
            &format!("{name}.weight"),
            ParamKind::Weight,
            &spec.weight_shape(),
            Init::KaimingNormalFanOut,
        )?;
        Ok(Conv { site: self.site(name, role), spec, weight, bias: None, standardised: None })
    }

    /// A convolution with bias and scaled weight standardisation (the VGG of OTTT's code).
    ///
    /// # Errors
    /// When the name is taken.
    pub fn standardised_conv(&mut self, name: &str, role: Role, spec: ConvSpec) -> Result<Conv> {
        let mut conv = self.conv(name, role, spec)?;
        let channels = [spec.c_out];
        conv.bias =
            Some(self.param(&format!("{name}.bias"), ParamKind::Bias, &channels, Init::Constant(0.0))?);
        let gain = self.param(&format!("{name}.gain"), ParamKind::Gain, &channels, Init::Constant(1.0))?;
        let how = Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };
        conv.standardised = Some(Standardised { gain: Some(gain), how });
        Ok(conv)
    }

    /// A linear map, with bias.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn linear(&mut self, name: &str, role: Role, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight =
            self.param(&format!("{name}.weight"), ParamKind::Weight, &[outputs, inputs], Init::LecunUniform)?;
        let bias = self.param(&format!("{name}.bias"), ParamKind::Bias, &[outputs], Init::Constant(0.0))?;
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
        let norm = Norm { channels, gamma: scale, beta: shift, eps: 1e-5, momentum: 0.1, over, gain: 1.0 };
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

    /// Mean over space.
    pub fn global_average(&mut self, name: &str) -> GlobalAverage {
        GlobalAverage { site: self.site(name, Role::Mix) }
    }

    /// Channels and space into one axis of features.
    pub fn flatten(&mut self, name: &str) -> Flatten {
        Flatten { site: self.site(name, Role::Mix) }
    }
}
