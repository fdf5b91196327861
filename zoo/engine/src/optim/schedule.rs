//! Learning rate over a run.

use serde::{Deserialize, Serialize};

use super::rule;
use crate::error::{Error, Result};

/// How often a rate that changes smoothly is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Before each update (T-RevSNN).
    #[default]
    Iteration,
    /// At the beginning of each epoch, for the whole epoch (OTTT, SLTT, S-RevSNN's transformers).
    Epoch,
}

/// How the learning rate moves. Times are in epochs, with their fraction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same all the time.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Linear warm-up, half a cosine from `rate` down to `floor`, cool-down at the floor (timm's cosine, one cycle).
    ///
    /// With `n` epochs in all, `w` of warm-up, `c` of cool-down, at epoch `t`:
    ///
    /// ```text
    /// t < w        warmup-from + (rate - warmup-from) t / w
    /// else, t < n - c
    ///   prefix     floor + (rate - floor) (1 + cos(pi (t - w) / (n - c - w))) / 2
    ///   no prefix  floor + (rate - floor) (1 + cos(pi t / (n - c))) / 2        the warm-up hides the cosine's beginning
    /// t >= n - c   floor
    /// ```
    Cosine {
        /// The highest rate.
        rate: f64,
        /// The rate at the end.
        #[serde(default)]
        floor: f64,
        /// Epochs of linear warm-up.
        #[serde(default)]
        warmup_epochs: f64,
        /// The rate that the warm-up starts at; given exactly where there is a warm-up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warmup_from: Option<f64>,
        /// Whether the cosine begins after the warm-up, at its top, or began with it.
        #[serde(default = "yes")]
        warmup_prefix: bool,
        /// Epochs at the floor that end the run.
        #[serde(default)]
        cooldown_epochs: f64,
        /// How often the rate is set.
        #[serde(default)]
        per: Per,
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

fn yes() -> bool {
    true
}

impl Schedule {
    /// Half a cosine from `rate` to 0 over the whole run.
    #[must_use]
    pub fn cosine(rate: f64) -> Self {
        Self::Cosine {
            rate,
            floor: 0.0,
            warmup_epochs: 0.0,
            warmup_from: None,
            warmup_prefix: true,
            cooldown_epochs: 0.0,
            per: Per::Iteration,
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let (Self::Constant { rate } | Self::Cosine { rate, .. } | Self::Steps { rate, .. }) = *self;
        rule(rate > 0.0 && rate.is_finite(), "schedule.rate", "positive", rate)?;
        match self {
            Self::Constant { .. } => Ok(()),
            &Self::Cosine { floor, warmup_epochs, warmup_from, cooldown_epochs, .. } => {
                let below = format!("in [0, {rate}]");
                let within = |value: &f64| (0.0..=rate).contains(value);
                rule(within(&floor), "schedule.floor", &below, floor)?;
                for (place, epochs) in
                    [("schedule.warmup-epochs", warmup_epochs), ("schedule.cooldown-epochs", cooldown_epochs)]
                {
                    rule(epochs >= 0.0 && epochs.is_finite(), place, "at least 0", epochs)?;
                }
                match warmup_from {
                    Some(from) if warmup_epochs == 0.0 => Err(Error::setting(
                        "schedule.warmup-from",
                        "left out without schedule.warmup-epochs",
                        from,
                    )),
                    None if warmup_epochs > 0.0 => Err(Error::setting(
                        "schedule.warmup-from",
                        "given with schedule.warmup-epochs",
                        "nothing",
                    )),
                    Some(from) => rule(within(&from), "schedule.warmup-from", &below, from),
                    None => Ok(()),
                }
            }
            Self::Steps { factor, milestones, .. } => {
                rule(*factor > 0.0 && factor.is_finite(), "schedule.factor", "positive", *factor)?;
                if !milestones.is_sorted() || milestones.iter().any(|m| m.is_nan()) {
                    let found = format!("{milestones:?}");
                    return Err(Error::setting("schedule.milestones", "ascending", found));
                }
                Ok(())
            }
        }
    }

    /// The rate at `epoch` (with its fraction) of `epochs`.
    #[must_use]
    pub fn rate(&self, epoch: f64, epochs: f64) -> f64 {
        match *self {
            Self::Constant { rate } => rate,
            Self::Cosine { rate, floor, warmup_epochs, warmup_from, warmup_prefix, cooldown_epochs, per } => {
                let at = if per == Per::Epoch { epoch.floor() } else { epoch };
                if at < warmup_epochs {
                    let from = warmup_from.unwrap_or(floor);
                    return from + (rate - from) * at / warmup_epochs;
                }
                let hidden = if warmup_prefix { warmup_epochs } else { 0.0 };
                let length = (epochs - cooldown_epochs - hidden).max(f64::MIN_POSITIVE);
                let progress = ((at - hidden) / length).min(1.0);
                floor + (rate - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Self::Steps { rate, factor, ref milestones } => {
                let passed = milestones.iter().filter(|&&milestone| epoch >= milestone).count();
                rate * factor.powi(passed as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Per, Schedule};

    #[test]
    fn cosine_warms_up_and_ends_at_its_floor() {
        let schedule = Schedule::Cosine {
            rate: 0.1,
            floor: 0.001,
            warmup_epochs: 2.0,
            warmup_from: Some(0.001),
            warmup_prefix: true,
            cooldown_epochs: 0.0,
            per: Per::Iteration,
        };
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
