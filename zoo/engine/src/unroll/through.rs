//! The plain unroll: all steps at once, or step by step with or without the gradient of the state.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{Mix, Statistics, Synapse, Unroll};
use crate::error::Result;
use crate::journal::Noted;
use crate::ledger::Category;
use crate::neuron::{Neuron, ResetGradient};
use crate::norm::{Norm, NormOver};
use crate::ops;
use crate::pass::{Mode, NormUpdates, Pass};
use crate::site::Site;
use crate::value::Value;

/// Whether gradients flow from a step to the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeGradient {
    /// They do: backpropagation through time.
    Kept,
    /// They don't: each step's graph ends at the state it was given.
    Cut,
    /// They do at the sites of these names alone (T-RevSNN, figure 2).
    Only(Rc<BTreeSet<String>>),
    /// They do but at the sites of these names.
    Except(Rc<BTreeSet<String>>),
}

impl TimeGradient {
    /// Whether gradients flow back in time at a site.
    #[must_use]
    pub fn is_kept_at(&self, site: &Site) -> bool {
        match self {
            Self::Kept => true,
            Self::Cut => false,
            Self::Only(sites) => sites.contains(site.name()),
            Self::Except(sites) => !sites.contains(site.name()),
        }
    }
}

/// Carries a network through time with explicit state, changing nothing about the forward pass.
pub struct Through<'s> {
    statistics: &'s mut Statistics,
    time_gradient: TimeGradient,
    reset_gradient: Option<ResetGradient>,
    membranes: Vec<Option<Value>>,
    carried: Vec<Option<Value>>,
}

impl<'s> Through<'s> {
    /// An unroll at the beginning of time: no membrane, nothing carried.
    #[must_use]
    pub fn new(statistics: &'s mut Statistics, time_gradient: TimeGradient) -> Self {
        Self { statistics, time_gradient, reset_gradient: None, membranes: Vec::new(), carried: Vec::new() }
    }

    /// The same unroll with this gradient through every reset, whatever the neurons say.
    #[must_use]
    pub fn with_reset_gradient(self, rule: Option<ResetGradient>) -> Self {
        Self { reset_gradient: rule, ..self }
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

    fn stored(&self, site: &Site, value: &Value) -> Value {
        if self.time_gradient.is_kept_at(site) {
            value.clone()
        } else {
            value.detached().booked_as(Category::State)
        }
    }
}

impl Unroll for Through<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, _site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        op.apply(pass, x, None)
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        let neuron = self.reset_gradient.map_or(*neuron, |rule| neuron.with_reset_gradient(rule));
        let (name, kept) = (site.name(), self.time_gradient.is_kept_at(site));
        let spikes = if !neuron.has_state() {
            ops::fire(pass, name, &neuron, current, current.steps(), None, (false, true))?.0
        } else if pass.step().is_none() {
            ops::fire(pass, name, &neuron, current, pass.steps(), None, (false, kept))?.0
        } else {
            let before = take(&mut self.membranes, site);
            let (spikes, after) = ops::fire(pass, name, &neuron, current, 1, before.as_ref(), (true, kept))?;
            let after = after.map(|after| self.stored(site, &after));
            note_membrane(pass, name, after.as_ref())?;
            put(&mut self.membranes, site, after);
            spikes
        };
        note_spikes(pass, name, &spikes)?;
        Ok(spikes)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        let session = pass.session();
        match pass.mode() {
            Mode::Train => {
                // A value that is constant in time still counts once a step, as it would step by step.
                let repeats = if pass.step().is_none() && x.steps() == 1 { pass.steps() } else { 1 };
                let counted = if norm.repeated && norm.over == NormOver::Time { repeats } else { 1 };
                let statistics = &mut *self.statistics;
                statistics.meet(session, site, norm.channels)?;
                ops::normalise(pass, site.name(), norm, x, |moments, groups, count| {
                    match pass.norm_updates() {
                        NormUpdates::Keep => Ok(()),
                        NormUpdates::Move => {
                            let repeats = if norm.over == NormOver::Step { repeats } else { 1 };
                            let (shape, count) = ((groups, repeats), counted * count);
                            statistics.update(session, site, moments, shape, count, norm.momentum)
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
        let value = self.stored(site, value);
        put(&mut self.carried, site, Some(value));
        Ok(())
    }
}

fn note_spikes(pass: &Pass<'_>, name: &str, spikes: &Value) -> Result<()> {
    if !pass.session().is_watched() || pass.session().is_planned() {
        return Ok(());
    }
    let values = ops::dense(pass, spikes)?.tensor()?.copy()?;
    pass.session().note(|journal| {
        let book = if pass.is_rebuilding() { &mut journal.rebuilt } else { &mut journal.spikes };
        book.entry(name.to_string()).or_default().push(Noted { step: pass.step(), values });
        Ok(())
    })
}

fn note_membrane(pass: &Pass<'_>, name: &str, membrane: Option<&Value>) -> Result<()> {
    let Some(membrane) = membrane else { return Ok(()) };
    pass.session().note(|journal| {
        journal.membranes.insert(name.to_string(), membrane.tensor()?.copy()?);
        Ok(())
    })
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
