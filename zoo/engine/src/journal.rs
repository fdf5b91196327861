//! What a step did, written down for a probe.
//!
//! A session that is [watched](crate::pass::Session::watch) keeps a journal: scores and losses step by step, the
//! gradient of the input, spikes of every site in the forward pass and in rebuilt forwards, membranes and traces after
//! the last step, and what each update saw. Training never watches; nothing is computed or kept for it then. A session
//! that is watched for its [updates alone](crate::pass::Session::watch_updates) keeps just those: no activation is
//! copied.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::error::Result;
use crate::param::Params;
use crate::pass::Session;
use crate::value::Value;

/// Values of one call: at which step (`None`: all steps at once), dense, `[T or 1, B, ...]`.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The step, from 0; `None` when the call covered all.
    pub step: Option<usize>,
    /// `[T or 1, B, ...]`.
    pub values: Tensor,
}

/// Gradients and parameters at one update, by name in declaration order.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// What the update used.
    pub gradients: Vec<(String, Tensor)>,
    /// What it left.
    pub params: Vec<(String, Tensor)>,
}

/// What a step did.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Scores `[T or 1, B, classes]` with the step they belong to, in the order they were computed.
    pub scores: Vec<Noted>,
    /// Parts of the loss in the same order, one a step.
    pub losses: Vec<f64>,
    /// Gradient of the images `[1 or T, B, C, H, W]`, summed over all backward walks.
    pub input_gradient: Option<Tensor>,
    /// Spikes of the forward pass, by site.
    pub spikes: BTreeMap<String, Vec<Noted>>,
    /// Spikes of rebuilt forwards, by site.
    pub rebuilt: BTreeMap<String, Vec<Noted>>,
    /// Membranes `[1, B, ...]` after the last step, by site; only of methods that go step by step.
    pub membranes: BTreeMap<String, Tensor>,
    /// Presynaptic traces `[1, B, ...]` after the last step, by site.
    pub traces: BTreeMap<String, Tensor>,
    /// Updates inside the step, for methods that update at every time step.
    pub updates: Vec<Update>,
}

impl Journal {
    /// How many spikes a rebuilt forward fired otherwise than the forward pass, and how many it rebuilt.
    ///
    /// # Errors
    /// When the two do not have the same shapes.
    pub fn flips(&self) -> Result<(u64, u64)> {
        let (mut flips, mut all) = (0, 0);
        for (site, rebuilt) in &self.rebuilt {
            for again in rebuilt {
                let Some(first) = self.spikes.get(site).and_then(|f| f.iter().find(|f| f.step == again.step))
                else {
                    continue;
                };
                let differ = first.values.ne(&again.values)?.flatten_all()?.to_vec1::<u8>()?;
                flips += differ.iter().map(|&flip| u64::from(flip)).sum::<u64>();
                all += differ.len() as u64;
            }
        }
        Ok((flips, all))
    }

    /// The gradients of all updates inside the step, summed in their order; empty where there was none.
    ///
    /// # Errors
    /// When a tensor can't be added.
    pub fn summed_gradients(&self) -> Result<Vec<(String, Tensor)>> {
        let mut sums: Vec<(String, Tensor)> = Vec::new();
        for update in &self.updates {
            for (index, (name, gradient)) in update.gradients.iter().enumerate() {
                match sums.get_mut(index) {
                    Some((_, sum)) => *sum = (&*sum + gradient)?,
                    None => sums.push((name.clone(), gradient.copy()?)),
                }
            }
        }
        Ok(sums)
    }

    pub(crate) fn add_input_gradient(&mut self, gradient: &Value, session: &Session) -> Result<()> {
        let gradient = (gradient.tensor()?.to_dtype(session.real())? / session.loss_scale().factor())?;
        self.input_gradient = Some(match self.input_gradient.take() {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        });
        Ok(())
    }

    pub(crate) fn add_update(&mut self, gradients: Vec<(String, Tensor)>, params: &Params) -> Result<()> {
        self.updates.push(Update { gradients, params: snapshot(params, false)? });
        Ok(())
    }
}

/// Copies of all parameters, or of their gradients (zeros where none flowed).
///
/// # Errors
/// In a plan.
pub fn snapshot(params: &Params, gradients: bool) -> Result<Vec<(String, Tensor)>> {
    params
        .iter()
        .map(|param| {
            let tensor = match (gradients, param.gradient()) {
                (false, _) => param.value().tensor()?.copy()?,
                (true, Some(gradient)) => gradient.tensor()?.copy()?,
                (true, None) => param.value().tensor()?.zeros_like()?,
            };
            Ok((param.name().to_string(), tensor))
        })
        .collect()
}
