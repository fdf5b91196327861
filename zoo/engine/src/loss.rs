//! Losses over time.
//!
//! Scores at step t are `o_t`, `[B, K]`. A loss that is a sum over steps lets a method go backward at once at each
//! step; one that looks at the mean over time does not.

use candle_core::Tensor;
use kernels::loss::{Target, mse, softmax_cross_entropy};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What the mean squared error pulls the scores towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MseTarget {
    /// One at the class, zero elsewhere (OTTT).
    OneHot,
    /// One everywhere: a regulariser (SLTT's default).
    Ones,
}

/// A loss over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// `(1/T) sum_t [(1 - a) CE(o_t, y) + a MSE(o_t, target)]` (OTTT section 4; SLTT section 4; TET for `a > 0`).
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
    /// `CE((1/T) sum_t o_t, y)` (S-RevSNN).
    MeanScores {
        /// Label smoothing.
        #[serde(default)]
        smoothing: f64,
    },
    /// `MSE((1/T) sum_t o_t, onehot(y))` (STBP, whose read-out spikes).
    RateMse,
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
            Self::PerStep { mse, smoothing, .. } => {
                unit("loss.mse", mse)?;
                unit("loss.smoothing", smoothing)
            }
            Self::MeanScores { smoothing } => unit("loss.smoothing", smoothing),
            Self::RateMse => Ok(()),
        }
    }

    /// Whether it is a sum over steps, so that step t needs no other step's scores.
    #[must_use]
    pub fn is_per_step(&self) -> bool {
        matches!(self, Self::PerStep { .. })
    }

    /// The share of one step: its part of the loss and `dL/do_t`. `total` is `sum_t o_t`; only losses that are not
    /// per step read it, and give their value at the last step alone.
    ///
    /// # Errors
    /// When a kernel fails, or `total` is missing where it is needed.
    pub fn step(
        &self,
        (step, steps): (usize, usize),
        scores: &Tensor,
        total: Option<&Tensor>,
        labels: &[u32],
    ) -> Result<(f64, Tensor)> {
        let share = 1.0 / steps as f64;
        match *self {
            Self::PerStep { mse: a, target, smoothing } => {
                let (entropy, gradient) = softmax_cross_entropy(scores, labels, smoothing)?;
                if a == 0.0 {
                    kernels::elementwise::scale_assign(&gradient, share)?;
                    return Ok((share * entropy, gradient));
                }
                let target = match target {
                    MseTarget::OneHot => Target::OneHot(labels),
                    MseTarget::Ones => Target::Ones,
                };
                let (error, pull) = mse(scores, target)?;
                kernels::elementwise::scale_assign(&gradient, share * (1.0 - a))?;
                kernels::elementwise::add_assign(&gradient, &pull, share * a)?;
                Ok((share * ((1.0 - a) * entropy + a * error), gradient))
            }
            Self::MeanScores { .. } | Self::RateMse => {
                let total = total.ok_or_else(|| {
                    Error::Misuse("a loss of the mean over time was asked for one step alone".into())
                })?;
                let mean = kernels::elementwise::scale(total, share)?;
                let (loss, gradient) = match *self {
                    Self::MeanScores { smoothing } => softmax_cross_entropy(&mean, labels, smoothing)?,
                    _ => mse(&mean, Target::OneHot(labels))?,
                };
                kernels::elementwise::scale_assign(&gradient, share)?;
                Ok((if step + 1 == steps { loss } else { 0.0 }, gradient))
            }
        }
    }
}
