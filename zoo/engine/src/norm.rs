//! Batch normalisation: what a norm needs to know.

use serde::{Deserialize, Serialize};

use crate::param::ParamId;

/// Which axes the statistics span, beside batch and space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormOver {
    /// Each time step has its own statistics and moves the running ones (SLTT).
    Step,
    /// All steps together (tdBN, S-RevSNN).
    Time,
}

/// `y = gamma * gain * (x - mean) / sqrt(var + eps) + beta`, per channel.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Number of channels.
    pub channels: usize,
    /// Learned scale, `[C]`.
    pub gamma: ParamId,
    /// Learned shift, `[C]`.
    pub beta: ParamId,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest statistics in the running ones.
    pub momentum: f64,
    /// Which axes the statistics span.
    pub over: NormOver,
    /// A constant factor (tdBN: `alpha * threshold`).
    pub gain: f64,
    /// Whether a value that is constant in time counts once a step in the running variance of a norm over time:
    /// so it does for authors who repeat the image in front of the stem, not for those who repeat the stem's result.
    pub repeated: bool,
}
