//! The optimisers.

use candle_core::Tensor;
use kernels::update::{self, Averages, Trust};
use serde::{Deserialize, Serialize};

use super::{Optimizer, clip, rule};
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::operations::Each;
use crate::param::{Param, ParamKind, Params};
use crate::value::Value;

/// Which parameters weight decay leaves alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undecayed {
    /// None: all decay (OTTT, SLTT, RevSResNet).
    #[default]
    #[serde(rename = "none")]
    Nothing,
    /// Tensors of at most one axis and biases (timm's rule; RevSFormer, T-RevSNN).
    ///
    /// Gains and invertible shortcuts of channels decay even if they are stored as `[C]`: the code that this rule
    /// comes from keeps them as `[C, 1, 1, 1]` and `[1, C, 1, 1]`. A gain that is one number is spared.
    VectorsAndBiases,
}

impl Undecayed {
    /// Whether weight decay leaves this parameter alone.
    #[must_use]
    pub fn spares(self, param: &Param) -> bool {
        match (self, param.kind()) {
            (Self::Nothing, _) => false,
            (Self::VectorsAndBiases, ParamKind::Bias) => true,
            (Self::VectorsAndBiases, ParamKind::Gain | ParamKind::Skip) => param.shape().is_empty(),
            (Self::VectorsAndBiases, ParamKind::Weight | ParamKind::Norm | ParamKind::Unread) => {
                param.shape().len() <= 1
            }
        }
    }
}

/// Which optimiser, with its constants.
///
/// ```text
/// sgd    g' = g + wd p;  v = momentum v + g';  p -= lr v               (nesterov: p -= lr (g' + momentum v))
/// adam   m = b1 m + (1 - b1) g';  v = b2 v + (1 - b2) g'^2;  p -= lr (m / c1) / (sqrt(v / c2) + eps),  ci = 1 - bi^n
/// adam-w p *= 1 - lr wd;  then adam with g' = g
/// lamb   u = (m / c1) / (sqrt(v / c2) + eps) + wd p;  p -= lr r u,  r = |p| / |u|
/// ```
///
/// `n` counts the updates of each parameter; one that had no gradient had no update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum OptimSpec {
    /// Stochastic gradient descent.
    Sgd {
        /// Momentum; 0 keeps no state.
        #[serde(default)]
        momentum: f64,
        /// L2 penalty.
        #[serde(default)]
        weight_decay: f64,
        /// Nesterov's form.
        #[serde(default)]
        nesterov: bool,
        /// What the penalty leaves alone.
        #[serde(default)]
        undecayed: Undecayed,
    },
    /// Adam with an L2 penalty (Kingma and Ba, ICLR 2015).
    Adam {
        /// Penalty.
        #[serde(default)]
        weight_decay: f64,
        /// Decay of the two moving averages.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root.
        #[serde(default = "adam_eps")]
        eps: f64,
        /// What the penalty leaves alone.
        #[serde(default)]
        undecayed: Undecayed,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).
    AdamW {
        /// Decay.
        #[serde(default)]
        weight_decay: f64,
        /// Decay of the two moving averages.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root.
        #[serde(default = "adam_eps")]
        eps: f64,
        /// What decay leaves alone.
        #[serde(default)]
        undecayed: Undecayed,
    },
    /// Layer-wise adaptive moments (You et al., ICLR 2020) with timm's options.
    Lamb {
        /// Decay.
        #[serde(default)]
        weight_decay: f64,
        /// Decay of the two moving averages.
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root: 1e-6 in the paper and in timm, 1e-8 in T-RevSNN.
        #[serde(default = "lamb_eps")]
        eps: f64,
        /// What decay leaves alone.
        #[serde(default)]
        undecayed: Undecayed,
        /// Whether the trust ratio is clipped at 1.
        #[serde(default)]
        trust_clip: bool,
        /// Whether parameters without decay have a trust ratio too; else they take plain steps, as in timm.
        #[serde(default)]
        always_adapt: bool,
        /// Gradients are scaled down to this norm over all parameters (timm: 1), after any other clipping; absent,
        /// they are taken as they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_grad_norm: Option<f64>,
    },
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn adam_eps() -> f64 {
    1e-8
}

fn lamb_eps() -> f64 {
    1e-6
}

impl OptimSpec {
    /// Stochastic gradient descent without Nesterov's form.
    #[must_use]
    pub fn sgd(momentum: f64, weight_decay: f64) -> Self {
        Self::Sgd { momentum, weight_decay, nesterov: false, undecayed: Undecayed::Nothing }
    }

    /// Adam with the constants of its paper.
    #[must_use]
    pub fn adam(weight_decay: f64) -> Self {
        Self::Adam { weight_decay, betas: betas(), eps: adam_eps(), undecayed: Undecayed::Nothing }
    }

    /// AdamW with the constants of its paper.
    #[must_use]
    pub fn adam_w(weight_decay: f64) -> Self {
        Self::AdamW { weight_decay, betas: betas(), eps: adam_eps(), undecayed: Undecayed::Nothing }
    }

    /// LAMB with the constants of its paper, nothing clipped.
    #[must_use]
    pub fn lamb(weight_decay: f64) -> Self {
        Self::Lamb {
            weight_decay,
            betas: betas(),
            eps: lamb_eps(),
            undecayed: Undecayed::Nothing,
            trust_clip: false,
            always_adapt: false,
            max_grad_norm: None,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let (decay, _) = self.decay();
        rule(decay >= 0.0 && decay.is_finite(), "optimizer.weight-decay", "at least 0", decay)?;
        match *self {
            Self::Sgd { momentum, nesterov, .. } => {
                rule((0.0..1.0).contains(&momentum), "optimizer.momentum", "in [0, 1)", momentum)?;
                rule(!nesterov || momentum > 0.0, "optimizer.momentum", "positive with nesterov", momentum)
            }
            Self::Adam { betas, eps, .. } | Self::AdamW { betas, eps, .. } => check_moments(betas, eps),
            Self::Lamb { betas, eps, max_grad_norm, .. } => {
                check_moments(betas, eps)?;
                let most = max_grad_norm.unwrap_or(1.0);
                rule(most > 0.0 && most.is_finite(), "optimizer.max-grad-norm", "positive", most)
            }
        }
    }

    fn decay(&self) -> (f64, Undecayed) {
        let (Self::Sgd { weight_decay, undecayed, .. }
        | Self::Adam { weight_decay, undecayed, .. }
        | Self::AdamW { weight_decay, undecayed, .. }
        | Self::Lamb { weight_decay, undecayed, .. }) = *self;
        (weight_decay, undecayed)
    }

    /// The optimiser with its state for these parameters.
    ///
    /// # Errors
    /// When a constant is out of range or memory is short.
    pub fn build(&self, params: &Params) -> Result<Box<dyn Optimizer>> {
        self.check()?;
        let moments = match *self {
            Self::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            _ => 2,
        };
        let (decay, undecayed) = self.decay();
        let session = params.session();
        let state = params
            .iter()
            .map(|param| {
                let moments = (0..moments).map(|_| session.zeros(Category::Optimiser, param.shape()));
                Ok(State {
                    moments: moments.collect::<Result<_>>()?,
                    updates: 0,
                    decay: if undecayed.spares(param) { 0.0 } else { decay },
                })
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(Stateful { spec: *self, rate: 0.0, state }))
    }
}

fn check_moments(betas: [f64; 2], eps: f64) -> Result<()> {
    for beta in betas {
        rule((0.0..1.0).contains(&beta), "optimizer.betas", "in [0, 1)", beta)?;
    }
    rule(eps > 0.0 && eps.is_finite(), "optimizer.eps", "positive", eps)
}

struct Stateful {
    spec: OptimSpec,
    rate: f64,
    /// In declaration order.
    state: Vec<State>,
}

/// What an optimiser remembers of one parameter.
struct State {
    moments: Vec<Value>,
    /// Updates of this parameter: one that had no gradient had no update.
    updates: u64,
    /// Weight decay of this parameter.
    decay: f64,
}

impl Optimizer for Stateful {
    fn update(&mut self, params: &Params) -> Result<()> {
        if params.session().is_counting() {
            for (param, state) in
                params.iter().zip(&self.state).filter(|(param, _)| param.gradient().is_some())
            {
                params.session().count_update(param, work(self.spec, state.decay));
            }
        }
        if params.session().is_planned() {
            return Ok(());
        }
        if let OptimSpec::Lamb { max_grad_norm: Some(most), .. } = self.spec {
            clip::shorten(params, most, 0.0)?;
        }
        for (param, state) in params.iter().zip(&mut self.state) {
            if let Some(gradient) = param.gradient() {
                state.updates += 1;
                apply(self.spec, self.rate, param.value().tensor()?, gradient.tensor()?, state)?;
            }
        }
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.rate = rate;
    }
}

/// What an update costs for each scalar, by the equations of [`OptimSpec`]; roots and divisions count as multiplications, and
/// what does not depend on the scalar as nothing.
fn work(spec: OptimSpec, decay: f64) -> Each {
    let sum = |parts: &[(u64, u64)]| Each {
        multiplies: parts.iter().map(|part| part.0).sum(),
        adds: parts.iter().map(|part| part.1).sum(),
        compares: 0,
    };
    let when = |holds: bool, part: (u64, u64)| if holds { part } else { (0, 0) };
    // A product that is added: decay on the gradient, momentum, and the step itself.
    let added = (1, 1);
    // m, v, (m / c1) / (sqrt(v / c2) + eps).
    let moments = [(2, 1), (3, 1), (4, 1)];
    match spec {
        OptimSpec::Sgd { momentum, nesterov, .. } => {
            sum(&[when(decay != 0.0, added), when(momentum > 0.0, added), when(nesterov, added), added])
        }
        OptimSpec::Adam { .. } => sum(&[moments.as_slice(), &[when(decay != 0.0, added), added]].concat()),
        OptimSpec::AdamW { .. } => sum(&[moments.as_slice(), &[when(decay != 0.0, (1, 0)), added]].concat()),
        OptimSpec::Lamb { always_adapt, .. } => {
            // The trust ratio takes the lengths of two vectors.
            let trust = when(decay != 0.0 || always_adapt, (2, 2));
            sum(&[moments.as_slice(), &[when(decay != 0.0, added), trust, added]].concat())
        }
    }
}

fn apply(spec: OptimSpec, rate: f64, p: &Tensor, g: &Tensor, state: &State) -> Result<()> {
    let decay = state.decay;
    let at = |betas, eps| Averages { step: state.updates, betas, eps };
    match (spec, state.moments.as_slice()) {
        (OptimSpec::Sgd { momentum, nesterov, .. }, moments) => {
            let velocity = moments.first().map(Value::tensor).transpose()?;
            update::sgd(p, g, velocity, rate, momentum, decay, nesterov)?;
        }
        (OptimSpec::Adam { betas, eps, .. }, [m, v]) => {
            update::adam(p, g, m.tensor()?, v.tensor()?, at(betas, eps), rate, decay, false)?;
        }
        (OptimSpec::AdamW { betas, eps, .. }, [m, v]) => {
            update::adam(p, g, m.tensor()?, v.tensor()?, at(betas, eps), rate, decay, true)?;
        }
        (OptimSpec::Lamb { betas, eps, trust_clip, always_adapt, .. }, [m, v]) => {
            let trust = match (decay != 0.0 || always_adapt, trust_clip) {
                (false, _) => Trust::Off,
                (true, false) => Trust::Free,
                (true, true) => Trust::Clipped,
            };
            update::lamb(p, g, m.tensor()?, v.tensor()?, at(betas, eps), rate, decay, trust)?;
        }
        _ => return Err(Error::Misuse("an adaptive optimiser lost its moments".into())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_costs_what_its_equation_says() {
        let each = |multiplies, adds| Each { multiplies, adds, compares: 0 };
        // p -= lr g.
        assert_eq!(work(OptimSpec::sgd(0.0, 0.0), 0.0), each(1, 1));
        // g + wd p; momentum v + g'; p -= lr v.
        assert_eq!(work(OptimSpec::sgd(0.9, 1e-4), 1e-4), each(3, 3));
        // A parameter that decay spares.
        assert_eq!(work(OptimSpec::sgd(0.9, 1e-4), 0.0), each(2, 2));
        // b1 m + (1 - b1) g; b2 v + (1 - b2) g g; two divisions, a root, a division; lr.
        assert_eq!(work(OptimSpec::adam(0.0), 0.0), each(10, 4));
        assert_eq!(work(OptimSpec::adam_w(0.01), 0.01), each(11, 4));
        // + wd p; p p and u u, summed.
        assert_eq!(work(OptimSpec::lamb(0.01), 0.01), each(13, 7));
    }
}
