//! The unroll of OTTT: the state is cut, and a presynaptic trace stands in for the spikes in weight gradients.

use engine::ledger::Category;
use engine::neuron::Neuron;
use engine::norm::Norm;
use engine::pass::Pass;
use engine::site::Site;
use engine::tape::Tape;
use engine::unroll::{Mix, Statistics, Synapse, Through, TimeGradient, Unroll};
use engine::value::Value;
use engine::{Error, Result, ops};

/// Keeps `a_t = lambda a_{t-1} + s_t` for every neuron layer; the pair (s, a) travels together through pools and
/// views, and a weight that reads s takes its gradient at a.
pub(crate) struct Traced<'s> {
    inner: Through<'s>,
    /// By neuron site.
    traces: Vec<Option<Value>>,
    /// Which trace belongs to which value of the current step, by the value's identity.
    companions: Vec<(u64, Value)>,
    /// Which trace was kept for the next step with the value of a carry site.
    carried: Vec<Option<Value>>,
}

impl<'s> Traced<'s> {
    pub(crate) fn new(statistics: &'s mut Statistics) -> Self {
        Self {
            inner: Through::new(statistics, TimeGradient::Cut),
            traces: Vec::new(),
            companions: Vec::new(),
            carried: Vec::new(),
        }
    }

    /// Forgets which trace belongs to which value; the traces themselves stay.
    pub(crate) fn end_step(&mut self) {
        self.companions.clear();
    }

    fn companion(&self, value: &Value) -> Option<&Value> {
        // The newest first: a view shares its identity with the value it was made of.
        self.companions.iter().rev().find(|(id, _)| *id == value.id()).map(|(_, trace)| trace)
    }
}

impl Unroll for Traced<'_> {
    fn synapse(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Synapse, x: &Value) -> Result<Value> {
        if !site.is_traced() {
            return op.apply(pass, x, None);
        }
        match self.companion(x) {
            Some(trace) => op.apply(pass, x, Some(trace)),
            None => Err(Error::Misuse(format!(
                "{}: its weights are traced, but what they read came past the port and carries no trace",
                site.name()
            ))),
        }
    }

    fn fire(&mut self, pass: &Pass<'_>, site: &Site, neuron: &Neuron, current: &Value) -> Result<Value> {
        let spikes = self.inner.fire(pass, site, neuron, current)?;
        if self.traces.len() <= site.index() {
            self.traces.resize_with(site.index() + 1, || None);
        }
        let before = self.traces[site.index()].take();
        let trace = ops::trace(pass, before, &spikes, neuron.decay())?;
        pass.session().note_trace(site.name(), &trace)?;
        self.traces[site.index()] = Some(trace.clone());
        self.companions.push((spikes.id(), trace));
        Ok(spikes)
    }

    fn norm(&mut self, pass: &Pass<'_>, site: &Site, norm: &Norm, x: &Value) -> Result<Value> {
        self.inner.norm(pass, site, norm, x)
    }

    fn mix(&mut self, pass: &Pass<'_>, site: &Site, op: &dyn Mix, inputs: &[&Value]) -> Result<Value> {
        let y = self.inner.mix(pass, site, op, inputs)?;
        let traces: Option<Vec<Value>> = inputs.iter().map(|x| self.companion(x).cloned()).collect();
        if let Some(traces) = traces.filter(|_| op.is_linear()) {
            let off = Tape::off();
            let mixed = op.apply(&pass.on(&off), &traces.iter().collect::<Vec<_>>())?;
            self.companions.push((y.id(), mixed));
        }
        Ok(y)
    }

    fn carry(&mut self, pass: &Pass<'_>, site: &Site) -> Result<Option<Value>> {
        let value = self.inner.carry(pass, site)?;
        if let (Some(value), Some(Some(trace))) = (&value, self.carried.get(site.index())) {
            self.companions.push((value.id(), trace.clone()));
        }
        Ok(value)
    }

    fn keep(&mut self, pass: &Pass<'_>, site: &Site, value: &Value) -> Result<()> {
        let trace = self.companion(value).cloned();
        if self.carried.len() <= site.index() {
            self.carried.resize_with(site.index() + 1, || None);
        }
        self.carried[site.index()] = trace.map(|trace| trace.booked_as(Category::Traces));
        self.inner.keep(pass, site, value)
    }
}
