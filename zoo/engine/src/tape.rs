//! The tape: what was done, what was kept for it, and how to walk back.
//!
//! An op records one node: its name and a closure that owns what it saved. Backward pops the nodes from the end;
//! a node's saves die with its closure, so memory falls as the walk goes on. Nothing recurses. Gradients of
//! parameters go straight into their accumulators.

use std::cell::{Cell, RefCell};

use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::ops;
use crate::param::ParamId;
use crate::pass::Pass;
use crate::unroll::Unroll;
use crate::value::Value;

/// Where the gradient of a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A value of one tape. On every other tape it counts as a constant.
    Value { tape: u64, index: usize },
    /// A parameter: its accumulator.
    Parameter(ParamId),
}

type Walk = Box<dyn FnOnce(&mut Backward<'_>) -> Result<()>>;

struct Node {
    op: &'static str,
    walk: Walk,
}

/// A record of one forward pass.
pub struct Tape {
    id: u64,
    recording: bool,
    nodes: RefCell<Vec<Node>>,
    slots: Cell<usize>,
}

impl Tape {
    /// A tape that records. `id` tells its values from those of every other tape.
    pub(crate) fn recording(id: u64) -> Self {
        Self { id, recording: true, nodes: RefCell::default(), slots: Cell::new(0) }
    }

    /// A tape that records nothing: the forward keeps only what the caller holds.
    #[must_use]
    pub fn off() -> Self {
        Self { id: 0, recording: false, nodes: RefCell::default(), slots: Cell::new(0) }
    }

    /// Whether ops record themselves.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// Number of recorded nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value as a leaf of this tape: its gradient can be asked for after backward.
    #[must_use]
    pub fn leaf(&self, value: &Value) -> Value {
        let mut leaf = value.detached();
        if self.recording {
            leaf.slot = Some(self.next_slot());
        }
        leaf
    }

    /// Whether gradients should flow to the value on this tape.
    #[must_use]
    pub fn tracks(&self, value: &Value) -> bool {
        value.slot.is_some_and(|slot| self.tracks_slot(slot))
    }

    /// The same of where a gradient goes.
    pub(crate) fn tracks_slot(&self, slot: Slot) -> bool {
        self.recording
            && match slot {
                Slot::Value { tape, .. } => tape == self.id,
                Slot::Parameter(_) => true,
            }
    }

    fn next_slot(&self) -> Slot {
        let index = self.slots.get();
        self.slots.set(index + 1);
        Slot::Value { tape: self.id, index }
    }

    /// Records an op with one output. `walk` gets the output's gradient; it is not called when there is none.
    pub(crate) fn record(
        &self,
        op: &'static str,
        output: Value,
        walk: impl FnOnce(&mut Backward<'_>, Value) -> Result<()> + 'static,
    ) -> Value {
        let mut output = output;
        let slot = self.next_slot();
        output.slot = Some(slot);
        self.push(op, move |backward| match backward.take(slot) {
            Some(gradient) => walk(backward, gradient),
            None => Ok(()),
        });
        output
    }

    /// Records an op with two outputs, of whose gradients either may be absent.
    pub(crate) fn record_pair(
        &self,
        op: &'static str,
        (first, second): (Value, Value),
        walk: impl FnOnce(&mut Backward<'_>, Option<Value>, Option<Value>) -> Result<()> + 'static,
    ) -> (Value, Value) {
        let (mut first, mut second) = (first, second);
        let slots = (self.next_slot(), self.next_slot());
        first.slot = Some(slots.0);
        second.slot = Some(slots.1);
        self.push(op, move |backward| {
            let gradients = (backward.take(slots.0), backward.take(slots.1));
            if gradients.0.is_none() && gradients.1.is_none() {
                return Ok(());
            }
            walk(backward, gradients.0, gradients.1)
        });
        (first, second)
    }

    fn push(&self, op: &'static str, walk: impl FnOnce(&mut Backward<'_>) -> Result<()> + 'static) {
        self.nodes.borrow_mut().push(Node { op, walk: Box::new(walk) });
    }

    /// Walks back from the seed gradients, consuming the record. `port` rebuilds what regions dropped.
    ///
    /// # Errors
    /// When a seed is not a value of this tape, or a kernel fails.
    pub fn backward(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        seeds: impl IntoIterator<Item = (Value, Value)>,
    ) -> Result<Gradients> {
        let mut slots: Vec<Option<Value>> = Vec::with_capacity(self.slots.get());
        slots.resize_with(self.slots.get(), || None);
        let mut backward = Backward { pass, port, tape: self.id, slots };
        for (value, gradient) in seeds {
            match value.slot {
                Some(slot @ Slot::Value { tape, .. }) if tape == self.id => {
                    backward.give(Some(slot), gradient)?
                }
                _ => {
                    return Err(Error::Misuse(
                        "a seed gradient was given for a value that this tape does not track".into(),
                    ));
                }
            }
        }
        loop {
            let Some(node) = self.nodes.borrow_mut().pop() else { break };
            (node.walk)(&mut backward).map_err(|error| match error {
                Error::Kernel(source) => Error::Backward { op: node.op, source },
                other => other,
            })?;
        }
        Ok(Gradients { tape: self.id, slots: backward.slots })
    }
}

/// Gradients of the leaves of a tape.
pub struct Gradients {
    tape: u64,
    slots: Vec<Option<Value>>,
}

impl Gradients {
    /// Takes the gradient of a leaf; `None` if nothing flowed to it.
    pub fn take(&mut self, leaf: &Value) -> Option<Value> {
        match leaf.slot {
            Some(Slot::Value { tape, index }) if tape == self.tape => self.slots[index].take(),
            _ => None,
        }
    }
}

/// A walk back in progress.
pub struct Backward<'a> {
    pass: &'a Pass<'a>,
    port: &'a mut dyn Unroll,
    tape: u64,
    slots: Vec<Option<Value>>,
}

impl<'a> Backward<'a> {
    /// The pass that is walked back.
    pub(crate) fn pass(&self) -> &'a Pass<'a> {
        self.pass
    }

    /// Pass and port, for a region that runs its forward again.
    pub(crate) fn rebuild(&mut self) -> (&'a Pass<'a>, &mut dyn Unroll) {
        (self.pass, self.port)
    }

    fn take(&mut self, slot: Slot) -> Option<Value> {
        match slot {
            Slot::Value { tape, index } if tape == self.tape => self.slots[index].take(),
            _ => None,
        }
    }

    /// Hands a gradient on, adding it to what is there.
    pub(crate) fn give(&mut self, to: Option<Slot>, gradient: Value) -> Result<()> {
        match to {
            None => Ok(()),
            Some(Slot::Parameter(id)) => self.pass.params().add_gradient(id, &gradient),
            Some(Slot::Value { tape, .. }) if tape != self.tape => Ok(()),
            Some(Slot::Value { index, .. }) => {
                let gradient = gradient.booked_as(Category::ActivationGradients);
                if let Some(before) = &self.slots[index] {
                    let (a, b) = (before.dtype(), gradient.dtype());
                    if a != b {
                        return Err(Error::Misuse(format!(
                            "gradients of one value in two types, {a:?} and {b:?}"
                        )));
                    }
                    self.pass.count_gradient_sum(&gradient);
                }
                let sum = match self.slots[index].take() {
                    None => gradient,
                    Some(before) if before.is_sole() => {
                        ops::accumulate(&before, &gradient)?;
                        before
                    }
                    Some(before) if gradient.is_sole() => {
                        ops::accumulate(&gradient, &before)?;
                        gradient
                    }
                    Some(before) => ops::sum(self.pass, &before, &gradient)?,
                };
                self.slots[index] = Some(sum);
                Ok(())
            }
        }
    }

    /// Adds the gradient of one frame to its place in the gradient of a sequence of `shape`.
    pub(crate) fn give_frame(
        &mut self,
        to: Option<Slot>,
        shape: &[usize],
        step: usize,
        gradient: &Value,
    ) -> Result<()> {
        let Some(Slot::Value { tape, index }) = to else {
            return Err(Error::Misuse("a parameter has no frames".into()));
        };
        if tape != self.tape {
            return Ok(());
        }
        let all = match self.slots[index].take() {
            Some(before) if before.is_sole() => before,
            before => {
                let zeros =
                    self.pass.session().zeros_in(gradient.dtype(), Category::ActivationGradients, shape)?;
                if let Some(before) = before {
                    ops::accumulate(&zeros, &before)?;
                }
                zeros
            }
        };
        if let (Ok(all), Ok(gradient)) = (all.tensor(), gradient.tensor()) {
            kernels::elementwise::add_assign(&all.narrow(0, step, 1)?, gradient, 1.0)?;
        }
        self.slots[index] = Some(all);
        Ok(())
    }
}
