//! Losses over time.
//!
//! Scores at step t = 1..T are `o_t`, `[B, K]`. A loss that is a sum over steps lets a method go backward at once at
//! each step; one that looks at the mean over time does not.
//!
//! `CE(o, y) = -(1/B) sum_b sum_k q[b, k] log softmax(o[b])[k]` against the smoothed row
//! `q = (1 - s) hot(y) + s / K`, where `hot(y)` is 1 at the class, or the shares of two classes where samples were
//! mixed ([`Targets`]). `MSE(o, y)` is the mean over batch and classes.

mod part;
mod scale;
mod targets;

use candle_core::Tensor;
use kernels::elementwise;
use kernels::loss::{Target, mse, softmax_cross_entropy};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use part::Part;
pub use scale::LossScale;
pub use targets::{Mixed, Targets};

/// What the mean squared error pulls the scores towards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MseTarget {
    /// One at the class, zero elsewhere, or the shares of a mixed label (OTTT).
    OneHot,
    /// The same number everywhere, whatever the class: a regulariser (1 in SLTT and in TET's released code).
    Constant(f64),
}

/// Which scores a sample is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Their sum over all steps.
    Sum,
    /// Those of the last step alone.
    LastStep,
}

/// A loss over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// `(1/T) sum_t [(1 - a) CE(o_t, y) + a MSE(o_t, target)]` (OTTT section 4; SLTT section 4; TET with a constant
    /// target, ICLR 2022).
    ///
    /// Divided by T: a longer run does not have a larger gradient.
    PerStep {
        /// a.
        #[serde(default)]
        mse: f64,
        /// What the MSE pulls towards.
        #[serde(default = "one_hot")]
        target: MseTarget,
        /// Label smoothing of the cross-entropy.
        #[serde(default)]
        smoothing: f64,
    },
    /// `CE((1/T) sum_t o_t, y)` (S-RevSNN, Spikformer's family).
    MeanScores {
        /// Label smoothing.
        #[serde(default)]
        smoothing: f64,
    },
    /// `MSE((1/T) sum_t o_t, y)` against the one-hot row (STBP, whose read-out spikes).
    RateMse,
    /// `sum_t (t/T) CE(o_t, y) + final CE(o_T, y)` (T-RevSNN's released code, `final = 1`).
    ///
    /// Not divided by T: at T = 4 the weights are 1/4, 2/4, 3/4 and 1 + `final`.
    DeepSupervision {
        /// Label smoothing.
        #[serde(default)]
        smoothing: f64,
        /// How often the last step's loss counts beside its place in the sum.
        #[serde(rename = "final")]
        last: f64,
    },
}

fn one_hot() -> MseTarget {
    MseTarget::OneHot
}

impl Loss {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let unit = |place: &str, value: f64| {
            if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(Error::setting(place, "in [0, 1]", value)) }
        };
        match *self {
            Self::PerStep { mse, smoothing, target } => {
                unit("loss.mse", mse)?;
                match target {
                    MseTarget::Constant(number) if !number.is_finite() => {
                        Err(Error::setting("loss.target.constant", "a finite number", number))
                    }
                    _ => unit("loss.smoothing", smoothing),
                }
            }
            Self::MeanScores { smoothing } => unit("loss.smoothing", smoothing),
            Self::RateMse => Ok(()),
            Self::DeepSupervision { smoothing, last } => {
                if !(last >= 0.0 && last.is_finite()) {
                    return Err(Error::setting("loss.final", "at least 0", last));
                }
                unit("loss.smoothing", smoothing)
            }
        }
    }

    /// Whether it is a sum over steps, so that step t needs no other step's scores.
    #[must_use]
    pub fn is_per_step(&self) -> bool {
        matches!(self, Self::PerStep { .. } | Self::DeepSupervision { .. })
    }

    /// Which scores decide: where every step has a head of its own and a loss of its own, the last one's (T-RevSNN's
    /// released code); else their sum.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::DeepSupervision { .. } => Decision::LastStep,
            Self::PerStep { .. } | Self::MeanScores { .. } | Self::RateMse => Decision::Sum,
        }
    }

    /// The share of one step (from 0): its part of the loss, not read yet, and `dL/do_t`. `total` is `sum_t o_t`; only losses that
    /// are not per step read it, and give their value at the last step alone.
    ///
    /// # Errors
    /// When a kernel fails, or `total` is missing where it is needed.
    pub fn step(
        &self,
        (step, steps): (usize, usize),
        scores: &Tensor,
        total: Option<&Tensor>,
        targets: &Targets,
    ) -> Result<(Part, Tensor)> {
        let (share, labels) = (1.0 / steps as f64, targets.labels());
        match *self {
            Self::PerStep { mse: a, target, smoothing } => {
                let (entropy, gradient) = softmax_cross_entropy(scores, labels, smoothing)?;
                if a == 0.0 {
                    elementwise::scale_assign(&gradient, share)?;
                    return Ok((Part::of(share, entropy), gradient));
                }
                let target = match target {
                    MseTarget::OneHot => Target::Hot(labels),
                    MseTarget::Constant(number) => Target::Constant(number),
                };
                let (error, pull) = mse(scores, target)?;
                elementwise::scale_assign(&gradient, share * (1.0 - a))?;
                elementwise::add_assign(&gradient, &pull, share * a)?;
                Ok((Part::mixed(share, (1.0 - a, entropy), (a, error)), gradient))
            }
            Self::DeepSupervision { smoothing, last } => {
                let extra = if step + 1 == steps { last } else { 0.0 };
                let weight = (step + 1) as f64 * share + extra;
                let (entropy, gradient) = softmax_cross_entropy(scores, labels, smoothing)?;
                elementwise::scale_assign(&gradient, weight)?;
                Ok((Part::of(weight, entropy), gradient))
            }
            Self::MeanScores { .. } | Self::RateMse => {
                let total = total.ok_or_else(|| {
                    Error::Misuse("a loss of the mean over time was asked for one step alone".into())
                })?;
                let mean = elementwise::scale(total, share)?;
                let (loss, gradient) = match *self {
                    Self::MeanScores { smoothing } => softmax_cross_entropy(&mean, labels, smoothing)?,
                    _ => mse(&mean, Target::Hot(labels))?,
                };
                elementwise::scale_assign(&gradient, share)?;
                let part = if step + 1 == steps { Part::of(1.0, loss) } else { Part::default() };
                Ok((part, gradient))
            }
        }
    }
}
