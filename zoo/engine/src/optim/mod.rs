//! Optimisers and learning-rate schedules.

mod schedule;

use candle_core::Tensor;
use kernels::update;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::param::Params;
use crate::value::Value;

pub use schedule::Schedule;

/// Turns gradients into new parameters, in place.
pub trait Optimizer {
    /// One update from the gradients that stand in `params`. A parameter without a gradient stays.
    ///
    /// # Errors
    /// When a kernel fails.
    fn update(&mut self, params: &Params) -> Result<()>;

    /// Sets the learning rate of the updates that follow.
    fn set_learning_rate(&mut self, rate: f64);
}

/// Which optimiser, with its constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimSpec {
    /// Stochastic gradient descent.
    Sgd {
        /// Momentum; 0 keeps no state.
        #[serde(default)]
        momentum: f64,
        /// L2 penalty.
        #[serde(default, rename = "weight-decay")]
        weight_decay: f64,
        /// Nesterov's form.
        #[serde(default)]
        nesterov: bool,
    },
    /// Adam with an L2 penalty.
    Adam {
        /// Penalty.
        #[serde(default, rename = "weight-decay")]
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decay.
        #[serde(default, rename = "weight-decay")]
        weight_decay: f64,
    },
    /// Layer-wise adaptive moments (T-RevSNN).
    Lamb {
        /// Decay.
        #[serde(default, rename = "weight-decay")]
        weight_decay: f64,
        /// Whether the trust ratio is clipped at 1.
        #[serde(default, rename = "trust-clip")]
        trust_clip: bool,
    },
}

impl OptimSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let (Self::Sgd { weight_decay, .. }
        | Self::Adam { weight_decay }
        | Self::AdamW { weight_decay }
        | Self::Lamb { weight_decay, .. }) = *self;
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::setting("optimizer.weight-decay", "at least 0", weight_decay));
        }
        match *self {
            Self::Sgd { momentum, .. } if !(0.0..1.0).contains(&momentum) => {
                Err(Error::setting("optimizer.momentum", "in [0, 1)", momentum))
            }
            Self::Sgd { momentum, nesterov: true, .. } if momentum == 0.0 => {
                Err(Error::setting("optimizer.momentum", "positive with nesterov", momentum))
            }
            _ => Ok(()),
        }
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
        let session = params.session();
        let state = params
            .iter()
            .map(|param| {
                let moments = (0..moments).map(|_| session.zeros(Category::Optimiser, param.shape()));
                Ok(State { moments: moments.collect::<Result<_>>()?, updates: 0 })
            })
            .collect::<Result<_>>()?;
        Ok(Box::new(Stateful { spec: *self, rate: 0.0, state }))
    }
}

const BETAS: (f64, f64) = (0.9, 0.999);

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
}

impl Optimizer for Stateful {
    fn update(&mut self, params: &Params) -> Result<()> {
        if params.session().is_planned() {
            return Ok(());
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

fn apply(spec: OptimSpec, rate: f64, p: &Tensor, g: &Tensor, state: &State) -> Result<()> {
    match (spec, state.moments.as_slice()) {
        (OptimSpec::Sgd { momentum, weight_decay, nesterov }, moments) => {
            let velocity = moments.first().map(Value::tensor).transpose()?;
            update::sgd(p, g, velocity, rate, momentum, weight_decay, nesterov)?;
        }
        (OptimSpec::Adam { weight_decay } | OptimSpec::AdamW { weight_decay }, [m, v]) => {
            let decoupled = matches!(spec, OptimSpec::AdamW { .. });
            let (m, v) = (m.tensor()?, v.tensor()?);
            update::adam(p, g, m, v, state.updates, rate, BETAS.0, BETAS.1, 1e-8, weight_decay, decoupled)?;
        }
        (OptimSpec::Lamb { weight_decay, trust_clip }, [m, v]) => {
            let (m, v) = (m.tensor()?, v.tensor()?);
            update::lamb(p, g, m, v, state.updates, rate, BETAS.0, BETAS.1, 1e-6, weight_decay, trust_clip)?;
        }
        _ => return Err(Error::Misuse("an adaptive optimiser lost its moments".into())),
    }
    Ok(())
}
