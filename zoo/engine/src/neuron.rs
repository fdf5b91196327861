//! Neurons: how a current becomes spikes.
//!
//! Charge, fire, reset, in this order:
//! `u_t = decay * v_{t-1} + gain * I_t`, `s_t = 1[u_t >= threshold]`, then the reset gives `v_t`.

use kernels::lif::Cell;
pub use kernels::lif::{Reset as ResetRule, ResetGrad, Surrogate as SurrogateRule};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pass::Mode;

/// What happens to the membrane after a spike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// `v = u - threshold * s`.
    Soft,
    /// `v = (1 - s) * u`.
    Hard,
}

/// What stands in for the derivative of the step function, with `x = u - threshold`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surrogate {
    /// `1` for `|x| < 1/2` (STBP).
    Rectangle,
    /// `max(0, 1 - |x|)` (SLTT).
    Triangle,
    /// `4 sig(4x) (1 - sig(4x))` (OTTT).
    Sigmoid,
    /// `1 / (1 + (pi x)^2)` (S-RevSNN).
    Arctan,
}

/// Whether the input current is scaled by `1 - decay`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputDecay {
    /// `gain = 1` (OTTT, SLTT).
    Off,
    /// `gain = 1/tau = 1 - decay` (S-RevSNN).
    On,
    /// This gain, whatever the leak: what stays of `On` where the leak is taken away.
    Gain(f64),
}

/// Whether a membrane at the threshold fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firing {
    /// `u >= threshold` (OTTT, SLTT, S-RevSNN).
    #[default]
    At,
    /// `u > threshold` (STBP).
    Above,
}

/// Whether gradient flows through the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetGradient {
    /// The reset counts as a constant.
    Detached,
    /// The reset is differentiated.
    Through,
}

/// A neuron with a state, or the quantiser that stands where a neuron was turned off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Neuron {
    /// Leaky integrate and fire; `decay = 1` is integrate and fire.
    Lif {
        /// `lambda = 1 - 1/tau`.
        decay: f64,
        /// Whether the current is scaled by `1 - decay`.
        #[serde(rename = "input-decay")]
        input_decay: InputDecay,
        /// Firing threshold.
        threshold: f64,
        /// What happens after a spike.
        reset: Reset,
        /// Whether gradient flows through the reset.
        #[serde(rename = "reset-gradient")]
        reset_gradient: ResetGradient,
        /// The derivative of the step.
        surrogate: Surrogate,
        /// Whether a membrane at the threshold fires.
        #[serde(default)]
        firing: Firing,
        /// The step is replaced by the surrogate's own primitive, so that finite differences apply. For tests.
        #[serde(default)]
        smooth: bool,
    },
    /// No state: `s = 1[u >= 1/2]`, gradient 1 on `[0, 1]` (T-RevSNN's turned-off neuron). In evaluation its authors
    /// round half to even, so that exactly 1/2 does not fire.
    Quantiser {
        /// As for [`Neuron::Lif`].
        #[serde(default)]
        smooth: bool,
    },
}

impl Neuron {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let Self::Lif { decay, threshold, .. } = *self else { return Ok(()) };
        if !(self.input_gain() >= 0.0 && self.input_gain().is_finite()) {
            return Err(Error::setting(
                "neuron.input-decay.gain",
                "finite and not negative",
                self.input_gain(),
            ));
        }
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::setting("neuron.decay", "in [0, 1]", decay));
        }
        if !(threshold > 0.0 && threshold.is_finite()) {
            return Err(Error::setting("neuron.threshold", "positive", threshold));
        }
        Ok(())
    }

    /// Whether it carries a membrane from step to step.
    #[must_use]
    pub fn has_state(&self) -> bool {
        matches!(self, Self::Lif { .. })
    }

    /// Whether it gives real values instead of spikes.
    #[must_use]
    pub fn is_smooth(&self) -> bool {
        match *self {
            Self::Lif { smooth, .. } | Self::Quantiser { smooth } => smooth,
        }
    }

    /// The leak `lambda`, which is also the decay of a presynaptic trace.
    #[must_use]
    pub fn decay(&self) -> f64 {
        match *self {
            Self::Lif { decay, .. } => decay,
            Self::Quantiser { .. } => 0.0,
        }
    }

    /// The firing threshold.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        match *self {
            Self::Lif { threshold, .. } => threshold,
            Self::Quantiser { .. } => 0.5,
        }
    }

    /// The same neuron with this gradient through its reset; a quantiser has none.
    #[must_use]
    pub fn with_reset_gradient(self, rule: ResetGradient) -> Self {
        match self {
            Self::Lif { decay, input_decay, threshold, reset, surrogate, firing, smooth, .. } => Self::Lif {
                decay,
                input_decay,
                threshold,
                reset,
                reset_gradient: rule,
                surrogate,
                firing,
                smooth,
            },
            Self::Quantiser { .. } => self,
        }
    }

    /// The factor on the input current.
    #[must_use]
    pub fn input_gain(&self) -> f64 {
        match *self {
            Self::Lif { decay, input_decay: InputDecay::On, .. } => 1.0 - decay,
            Self::Lif { input_decay: InputDecay::Gain(gain), .. } => gain,
            Self::Lif { input_decay: InputDecay::Off, .. } | Self::Quantiser { .. } => 1.0,
        }
    }

    /// The same neuron with nothing left of its membrane at the next step: its leak is complete, and the factor on its
    /// current stays. A quantiser has no membrane.
    #[must_use]
    pub fn forgetting(self) -> Self {
        match self {
            Self::Lif { threshold, reset, reset_gradient, surrogate, firing, smooth, .. } => Self::Lif {
                decay: 0.0,
                input_decay: InputDecay::Gain(self.input_gain()),
                threshold,
                reset,
                reset_gradient,
                surrogate,
                firing,
                smooth,
            },
            Self::Quantiser { .. } => self,
        }
    }

    /// The same neuron with another threshold; a quantiser keeps its own.
    #[must_use]
    pub fn with_threshold(self, threshold: f64) -> Self {
        match self {
            Self::Lif { decay, input_decay, reset, reset_gradient, surrogate, firing, smooth, .. } => {
                Self::Lif { decay, input_decay, threshold, reset, reset_gradient, surrogate, firing, smooth }
            }
            Self::Quantiser { .. } => self,
        }
    }

    /// The constants the kernel takes.
    #[must_use]
    pub fn cell(&self, mode: Mode) -> Cell {
        match *self {
            Self::Lif { decay, threshold, reset, reset_gradient, surrogate, firing, smooth, .. } => Cell {
                decay,
                input_gain: self.input_gain(),
                threshold,
                reset: match reset {
                    Reset::Soft => ResetRule::Soft,
                    Reset::Hard => ResetRule::Hard(0.0),
                },
                reset_grad: match reset_gradient {
                    ResetGradient::Detached => ResetGrad::Detached,
                    ResetGradient::Through => ResetGrad::Through,
                },
                surrogate: match surrogate {
                    Surrogate::Rectangle => {
                        SurrogateRule::Rectangle { width: 1.0, height: 1.0, closed: false }
                    }
                    Surrogate::Triangle => SurrogateRule::Triangle { alpha: 1.0 },
                    Surrogate::Sigmoid => SurrogateRule::Sigmoid { alpha: 4.0 },
                    Surrogate::Arctan => SurrogateRule::ArcTan { alpha: 2.0 },
                },
                strict: firing == Firing::Above,
                time_gradient: true,
                smooth,
            },
            Self::Quantiser { smooth } => Cell {
                decay: 0.0,
                input_gain: 1.0,
                threshold: 0.5,
                reset: ResetRule::None,
                reset_grad: ResetGrad::Detached,
                // The window's primitive is a ramp, whose kinks finite differences would trip over.
                surrogate: if smooth {
                    SurrogateRule::Sigmoid { alpha: 4.0 }
                } else {
                    SurrogateRule::Window { low: 0.0, high: 1.0 }
                },
                strict: mode == Mode::Eval,
                time_gradient: true,
                smooth,
            },
        }
    }
}
