//! Learning rate over a run.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate moves, iteration by iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same all the time.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Linear warm-up, then half a cosine from `rate` down to `floor`.
    Cosine {
        /// The highest rate.
        rate: f64,
        /// The rate at the end.
        #[serde(default)]
        floor: f64,
        /// Epochs of linear warm-up from `floor`.
        #[serde(default, rename = "warmup-epochs")]
        warmup_epochs: f64,
    },
    /// `rate`, times `factor` at each milestone (in epochs).
    Steps {
        /// The first rate.
        rate: f64,
        /// What each milestone multiplies by.
        factor: f64,
        /// Epochs at which it does, ascending.
        milestones: Vec<f64>,
    },
}

impl Schedule {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let (Self::Constant { rate } | Self::Cosine { rate, .. } | Self::Steps { rate, .. }) = self;
        if !(*rate > 0.0 && rate.is_finite()) {
            return Err(Error::setting("schedule.rate", "positive", rate));
        }
        match self {
            Self::Cosine { floor, .. } if !(0.0..=*rate).contains(floor) => {
                Err(Error::setting("schedule.floor", format!("in [0, {rate}]"), floor))
            }
            Self::Cosine { warmup_epochs, .. } if !warmup_epochs.is_finite() || *warmup_epochs < 0.0 => {
                Err(Error::setting("schedule.warmup-epochs", "at least 0", warmup_epochs))
            }
            Self::Steps { factor, .. } if !(factor.is_finite() && *factor > 0.0) => {
                Err(Error::setting("schedule.factor", "positive", factor))
            }
            Self::Steps { milestones, .. }
                if !milestones.is_sorted() || milestones.iter().any(|m| m.is_nan()) =>
            {
                Err(Error::setting("schedule.milestones", "ascending", format!("{milestones:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The rate at `epoch` (with its fraction) of `epochs`.
    #[must_use]
    pub fn rate(&self, epoch: f64, epochs: f64) -> f64 {
        match self {
            Self::Constant { rate } => *rate,
            Self::Cosine { rate, floor, warmup_epochs } if epoch < *warmup_epochs => {
                floor + (rate - floor) * epoch / warmup_epochs
            }
            Self::Cosine { rate, floor, warmup_epochs } => {
                let progress =
                    ((epoch - warmup_epochs) / (epochs - warmup_epochs).max(f64::MIN_POSITIVE)).min(1.0);
                floor + (rate - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Self::Steps { rate, factor, milestones } => {
                let passed = milestones.iter().filter(|&&milestone| epoch >= milestone).count();
                rate * factor.powi(passed as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn cosine_warms_up_and_ends_at_its_floor() {
        let schedule = Schedule::Cosine { rate: 0.1, floor: 0.001, warmup_epochs: 2.0 };
        assert!((schedule.rate(0.0, 10.0) - 0.001).abs() < 1e-15);
        assert!((schedule.rate(2.0, 10.0) - 0.1).abs() < 1e-15);
        assert!((schedule.rate(6.0, 10.0) - 0.0505).abs() < 1e-12);
        assert!((schedule.rate(10.0, 10.0) - 0.001).abs() < 1e-15);
    }

    #[test]
    fn milestones_multiply() {
        let schedule = Schedule::Steps { rate: 1.0, factor: 0.1, milestones: vec![1.0, 2.0] };
        assert_eq!(schedule.rate(0.9, 3.0), 1.0);
        assert!((schedule.rate(1.0, 3.0) - 0.1).abs() < 1e-15);
        assert!((schedule.rate(2.5, 3.0) - 0.01).abs() < 1e-15);
    }
}
