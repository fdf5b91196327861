//! Gradient clipping.

use kernels::update;
use serde::{Deserialize, Serialize};

use super::{Optimizer, rule};
use crate::error::Result;
use crate::param::Params;

/// How gradients are kept short, before each update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Clip {
    /// All gradients together: `g *= min(1, at / (|g| + 1e-6))`, the norm over all parameters (PyTorch's
    /// `clip_grad_norm_`).
    Norm {
        /// The largest norm.
        at: f64,
    },
    /// Each unit by its own weight: `g_i *= min(1, factor max(|w_i|, 1e-3) / |g_i|)` (Brock et al., ICML 2021;
    /// timm; T-RevSNN). A unit is what feeds one output: a row of the leading axis, or a whole tensor of at most one
    /// axis.
    Adaptive {
        /// Largest ratio of the two norms.
        factor: f64,
    },
}

/// What PyTorch adds to the norm.
const NORM_EPS: f64 = 1e-6;

/// What a unit's weight counts as at least, so that a weight of zero can leave zero.
const UNIT_EPS: f64 = 1e-3;

impl Clip {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Norm { at } => rule(at > 0.0 && at.is_finite(), "clip.at", "positive", at),
            Self::Adaptive { factor } => {
                rule(factor > 0.0 && factor.is_finite(), "clip.factor", "positive", factor)
            }
        }
    }

    /// Shortens the gradients that stand in `params`, where they lie. Keeps nothing; in a plan nothing happens.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn apply(&self, params: &Params) -> Result<()> {
        if params.session().is_planned() {
            return Ok(());
        }
        match *self {
            Self::Norm { at } => shorten(params, at, NORM_EPS)?,
            Self::Adaptive { factor } => {
                for param in params.iter() {
                    let Some(gradient) = param.gradient() else { continue };
                    let units = match param.shape() {
                        [] | [_] => 1,
                        [rows, ..] => *rows,
                    };
                    let (p, g) = (param.value().tensor()?, gradient.tensor()?);
                    update::clip_units(p, g, units, factor, UNIT_EPS)?;
                }
            }
        }
        Ok(())
    }

    /// The optimiser with this clipping before each of its updates.
    #[must_use]
    pub fn before(self, optimizer: Box<dyn Optimizer>) -> Box<dyn Optimizer> {
        Box::new(Clipped { clip: self, optimizer })
    }
}

struct Clipped {
    clip: Clip,
    optimizer: Box<dyn Optimizer>,
}

impl Optimizer for Clipped {
    fn update(&mut self, params: &Params) -> Result<()> {
        self.clip.apply(params)?;
        self.optimizer.update(params)
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.optimizer.set_learning_rate(rate);
    }
}

/// All gradients by the norm of all together, in declaration order: `g *= min(1, most / (norm + eps))`. The norm stays where
/// it was computed.
pub(super) fn shorten(params: &Params, most: f64, eps: f64) -> Result<()> {
    let gradients = params.iter().filter_map(|param| param.gradient());
    let gradients = gradients.map(|gradient| gradient.tensor()).collect::<Result<Vec<_>>>()?;
    let norm = update::norm_of(&gradients)?;
    for gradient in gradients {
        update::shorten(gradient, &norm, most, eps)?;
    }
    Ok(())
}
