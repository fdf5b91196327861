//! The plain unroll: all steps at once, or step by step with or without the gradient of the state.

use super::{Mix, Statistics, Synapse, Unroll};
use crate::error::Result;
use crate::ledger::Category;
use crate::neuron::Neuron;
use crate::norm::Norm;
use crate::ops;
use crate::pass::{Mode, NormUpdates, Pass};
use crate::site::Site;
use crate::value::Value;

/// Whether gradients flow from a step to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeGradient {
    /// They do: backpropagation through time.
    Kept,
    /// They don't: each step's graph ends at the state it was given.
    Cut,
}

/// Carries a network through time with explicit state, changing nothing about the forward pass.
pub struct Through<'s> {
    statistics: &'s mut Statistics,
    time_gradient: TimeGradient,
    membranes: Vec<Option<Value>>,
    carried: Vec<Option<Value>>,
}

impl<'s> Through<'s> {
    /// An unroll at the beginning of time: no membrane, nothing carried.
    #[must_use]
    pub fn new(statistics: &'s mut Statistics, time_gradient: TimeGradient) -> Self {
        Self { statistics, time_gradient, membranes: Vec::new(), carried: Vec::new() }
    }

    /// Whether a neuron with a state of its own has fired step by step.
    #[must_use]
    pub fn holds_membranes(&self) -> bool {
        self.membranes.iter().any(Option::is_some)
    }

    /// Takes the value kept at a site, so that the caller holds the only handle.
    pub fn take_carried(&mut self, site: &Site) -> Option<Value> {
        take(&mut self.carried, site)
    }

    fn stored(&self, value: &Value) -> Value {
        match self.time_gradient {
            TimeGradient::Kept => value.clone(),
            TimeGradient::Cut => value.detached().booked_as(Category::State),
        }
    }
}

impl Unroll for Through<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, _site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        op.apply(pass, x, None)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        if !neuron.has_state() {
            return Ok(ops::fire(pass, site.name(), neuron, current, current.steps(), None, false)?.0);
        }
        if pass.step().is_none() {
            return Ok(ops::fire(pass, site.name(), neuron, current, pass.steps(), None, false)?.0);
        }
        let before = take(&mut self.membranes, site);
        let (spikes, after) = ops::fire(pass, site.name(), neuron, current, 1, before.as_ref(), true)?;
        let after = after.map(|after| self.stored(&after));
        put(&mut self.membranes, site, after);
        Ok(spikes)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        let session = pass.session();
        match pass.mode() {
            Mode::Train => {
                // A value that is constant in time still counts once a step, as it would step by step.
                let repeats = if pass.step().is_none() && x.steps() == 1 { pass.steps() } else { 1 };
                let statistics = &mut *self.statistics;
                statistics.meet(session, site, norm.channels)?;
                ops::normalise(pass, site.name(), norm, x, |moments, groups, count| {
                    match pass.norm_updates() {
                        NormUpdates::Keep => Ok(()),
                        NormUpdates::Move => {
                            let repeats = if norm.over == crate::norm::NormOver::Step { repeats } else { 1 };
                            statistics.update(session, site, moments, (groups, repeats), count, norm.momentum)
                        }
                    }
                })
            }
            Mode::Eval if session.is_planned() => {
                ops::normalise(pass, site.name(), norm, x, |_, _, _| Ok(()))
            }
            Mode::Eval => {
                let running = self.statistics.moments(session, site, norm.channels)?;
                ops::normalise_running(pass, site.name(), norm, x, &running)
            }
        }
    }

    fn mix(&mut self, pass: &Pass<'_>, _site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        op.apply(pass, inputs)
    }

    fn carry(&mut self, _pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        Ok(self.carried.get(site.index()).cloned().flatten())
    }

    fn keep(&mut self, _pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        let value = self.stored(value);
        put(&mut self.carried, site, Some(value));
        Ok(())
    }
}

fn take(store: &mut [Option<Value>], site: &Site) -> Option<Value> {
    store.get_mut(site.index()).and_then(Option::take)
}

fn put(store: &mut Vec<Option<Value>>, site: &Site, value: Option<Value>) {
    if store.len() <= site.index() {
        store.resize_with(site.index() + 1, || None);
    }
    store[site.index()] = value;
}
