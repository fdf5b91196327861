//! The moving average of a network's parameters.

use kernels::update;
use serde::{Deserialize, Serialize};

use super::rule;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::param::Params;
use crate::pass::Session;
use crate::unroll::Statistics;
use crate::value::Value;

/// How the average of the parameters moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AverageSpec {
    /// What each step keeps of the average.
    pub decay: f64,
}

impl AverageSpec {
    /// Checks the range.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        rule((0.0..1.0).contains(&self.decay), "average.decay", "in [0, 1)", self.decay)
    }

    /// The average, which starts at the parameters and statistics as they are.
    ///
    /// # Errors
    /// When the decay is out of range or memory is short.
    pub fn build(&self, params: &Params, statistics: &Statistics) -> Result<Average> {
        self.check()?;
        let session = params.session();
        let copy =
            |value: &Value| session.dense(Category::Average, value.shape(), || Ok(value.tensor()?.copy()?));
        let values = params.iter().map(|param| copy(param.value())).collect::<Result<_>>()?;
        let mut met = Vec::new();
        for (site, mean, var, _) in statistics.iter() {
            met.resize_with(site, || None);
            met.push(Some([copy(mean)?, copy(var)?]));
        }
        Ok(Average { decay: self.decay, params: values, statistics: met })
    }
}

/// `a = decay a + (1 - decay) p` for every parameter and for the running mean and variance of every norm (timm's
/// `ModelEma`; T-RevSNN).
///
/// It belongs to no optimiser and no method: whoever trains moves it once after each training step. The learned
/// numbers that a network is judged by are [exchanged](Average::exchange) with the average where they lie, so an
/// evaluation of the average takes no more memory than any other.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    /// In declaration order.
    params: Vec<Value>,
    /// Mean and variance of each norm, by site.
    statistics: Vec<Option<[Value; 2]>>,
}

impl Average {
    /// Moves the average towards the numbers after a step.
    ///
    /// # Errors
    /// When the parameters are not those it was built for, or a kernel fails.
    pub fn update(&mut self, params: &Params, statistics: &Statistics) -> Result<()> {
        self.meet(params.session(), statistics)?;
        self.pairs(params, statistics, |average, value| Ok(update::average(average, value, self.decay)?))
    }

    /// Exchanges the average and the numbers that the network runs with, in place. Called twice, it changes nothing.
    ///
    /// # Errors
    /// When the parameters are not those it was built for, or a kernel fails.
    pub fn exchange(&mut self, params: &Params, statistics: &Statistics) -> Result<()> {
        self.meet(params.session(), statistics)?;
        self.pairs(params, statistics, |average, value| Ok(update::swap(average, value)?))
    }

    /// The averaged parameters, in declaration order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.params.iter()
    }

    /// Makes room for norms that were not met before. Until then their statistics were mean 0 and variance 1, and so
    /// was the average of these.
    fn meet(&mut self, session: &Session, statistics: &Statistics) -> Result<()> {
        for (site, mean, var, _) in statistics.iter() {
            if self.statistics.len() <= site {
                self.statistics.resize_with(site + 1, || None);
            }
            let slot = &mut self.statistics[site];
            if slot.is_none() {
                let ones =
                    session.dense(Category::Average, var.shape(), || Ok(var.tensor()?.ones_like()?))?;
                *slot = Some([session.zeros(Category::Average, mean.shape())?, ones]);
            }
        }
        Ok(())
    }

    fn pairs(
        &self,
        params: &Params,
        statistics: &Statistics,
        visit: impl Fn(&candle_core::Tensor, &candle_core::Tensor) -> Result<()>,
    ) -> Result<()> {
        if params.iter().len() != self.params.len() {
            return Err(Error::Misuse("an average met parameters that it was not built for".into()));
        }
        if params.session().is_planned() {
            return Ok(());
        }
        for (average, param) in self.params.iter().zip(params.iter()) {
            visit(average.tensor()?, param.value().tensor()?)?;
        }
        for (site, mean, var, _) in statistics.iter() {
            if let Some(Some([average_mean, average_var])) = self.statistics.get(site) {
                visit(average_mean.tensor()?, mean.tensor()?)?;
                visit(average_var.tensor()?, var.tensor()?)?;
            }
        }
        Ok(())
    }
}
