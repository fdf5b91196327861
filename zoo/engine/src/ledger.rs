//! Who holds how many bytes, by category and by phase.
//!
//! Every value the engine makes is entered here when it is made and struck out when it is dropped, in a run and in
//! a plan alike. The counting heap of `kernels` is the independent judge.

use std::cell::{Cell, RefCell};

/// What a held byte is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Weights, gains, biases, running statistics.
    Parameters,
    /// Gradient accumulators of parameters.
    Gradients,
    /// Momentum and other state of the optimiser.
    Optimiser,
    /// The moving average of parameters and running statistics.
    Average,
    /// What the tape keeps for backward.
    Saved,
    /// Membranes and carried values between time steps.
    State,
    /// Presynaptic traces.
    Traces,
    /// The batch.
    Input,
    /// Values on their way from one op to the next.
    Passing,
    /// Gradients of activations.
    ActivationGradients,
    /// Scratch of the kernels.
    Workspace,
}

impl Category {
    /// Every category, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::Parameters,
        Self::Gradients,
        Self::Optimiser,
        Self::Average,
        Self::Saved,
        Self::State,
        Self::Traces,
        Self::Input,
        Self::Passing,
        Self::ActivationGradients,
        Self::Workspace,
    ];

    /// Its name in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Gradients => "gradients",
            Self::Optimiser => "optimiser",
            Self::Average => "average",
            Self::Saved => "saved",
            Self::State => "state",
            Self::Traces => "traces",
            Self::Input => "input",
            Self::Passing => "passing",
            Self::ActivationGradients => "activation-gradients",
            Self::Workspace => "workspace",
        }
    }

    /// Whether the memory laws are stated on it: what training holds beside parameters, their gradients,
    /// their average, the optimiser and the batch.
    #[must_use]
    pub fn in_laws(self) -> bool {
        matches!(self, Self::Saved | Self::State | Self::Traces | Self::Passing | Self::ActivationGradients)
    }
}

/// What the trainer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Between steps.
    Idle,
    /// Forward pass of a training step.
    Forward,
    /// Backward pass, rebuilt forwards included.
    Backward,
    /// The optimiser's update.
    Update,
    /// Evaluation.
    Evaluation,
}

impl Phase {
    /// Every phase, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Forward, Self::Backward, Self::Update, Self::Evaluation];

    /// Its name in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
            Self::Evaluation => "evaluation",
        }
    }
}

/// Bytes held, by category.
pub type Bytes = [usize; Category::ALL.len()];

/// The most that was held in a phase, and what it was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Sum over all categories but the workspace, which the kernels keep for the whole run.
    pub total: usize,
    /// What was held at that moment.
    pub held: Bytes,
    /// Each category's own maximum in this phase, wherever in the phase it fell.
    pub most: Bytes,
    /// The largest sum over the categories that the memory laws are stated on.
    pub in_laws: usize,
}

/// The book of held bytes. Single-threaded: the engine runs on one thread, the kernels under it on many.
#[derive(Debug)]
pub struct Ledger {
    held: RefCell<Bytes>,
    phase: Cell<Phase>,
    peaks: RefCell<[Peak; Phase::ALL.len()]>,
    serial: Cell<u64>,
    made: Cell<usize>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            held: RefCell::default(),
            phase: Cell::new(Phase::Idle),
            peaks: RefCell::default(),
            serial: Cell::new(0),
            made: Cell::new(0),
        }
    }
}

impl Ledger {
    /// What the trainer is doing now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Bytes held now, by category.
    #[must_use]
    pub fn held(&self) -> Bytes {
        *self.held.borrow()
    }

    /// The peak of a phase since the last [`Ledger::restart`].
    #[must_use]
    pub fn peak(&self, phase: Phase) -> Peak {
        self.peaks.borrow()[phase as usize]
    }

    /// The peak of the phase that held most since the last [`Ledger::restart`].
    #[must_use]
    pub fn peak_of_all(&self) -> Peak {
        self.peaks.borrow().iter().copied().max_by_key(|peak| peak.total).unwrap_or_default()
    }

    /// The largest sum of law categories over all phases since the last [`Ledger::restart`].
    #[must_use]
    pub fn peak_in_laws(&self) -> usize {
        self.peaks.borrow().iter().map(|peak| peak.in_laws).max().unwrap_or(0)
    }

    /// The largest a category was in any phase since the last [`Ledger::restart`].
    #[must_use]
    pub fn most(&self, category: Category) -> usize {
        self.peaks.borrow().iter().map(|peak| peak.most[category as usize]).max().unwrap_or(0)
    }

    /// Bytes of all values that ops made in the forward phase since the last [`Ledger::restart`], as numbers: what an
    /// automatic differentiation holds that keeps every value until the loss is dropped, as candle's does.
    #[must_use]
    pub fn made_forward(&self) -> usize {
        self.made.get()
    }

    /// Forgets all peaks: they start again from what is held now.
    pub fn restart(&self) {
        self.made.set(0);
        *self.peaks.borrow_mut() = Default::default();
        self.observe();
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.observe();
    }

    /// Notes that an op needs `bytes` of kernel scratch: threads times the planned size.
    pub fn workspace(&self, bytes: usize) {
        let mut held = self.held.borrow_mut();
        let slot = &mut held[Category::Workspace as usize];
        // Scratch is kept for the whole run, so it only grows.
        *slot = (*slot).max(bytes);
    }

    pub(crate) fn hold(&self, category: Category, bytes: usize) {
        self.held.borrow_mut()[category as usize] += bytes;
        self.observe();
    }

    pub(crate) fn release(&self, category: Category, bytes: usize) {
        let mut held = self.held.borrow_mut();
        let slot = &mut held[category as usize];
        debug_assert!(*slot >= bytes, "released more {} than was held", category.id());
        *slot = slot.saturating_sub(bytes);
    }

    /// Notes that an op made a value which takes `bytes` as numbers.
    pub(crate) fn make(&self, bytes: usize) {
        if self.phase.get() == Phase::Forward {
            self.made.set(self.made.get() + bytes);
        }
    }

    /// A number never given before: the identity of a value.
    pub(crate) fn serial(&self) -> u64 {
        let next = self.serial.get() + 1;
        self.serial.set(next);
        next
    }

    fn observe(&self) {
        let held = *self.held.borrow();
        let peak = &mut self.peaks.borrow_mut()[self.phase.get() as usize];
        let workspace = held[Category::Workspace as usize];
        let total = held.iter().sum::<usize>() - workspace;
        if total > peak.total {
            peak.total = total;
            peak.held = held;
        }
        for (most, now) in peak.most.iter_mut().zip(held) {
            *most = (*most).max(now);
        }
        let in_laws = Category::ALL.iter().filter(|c| c.in_laws()).map(|&c| held[c as usize]).sum();
        peak.in_laws = peak.in_laws.max(in_laws);
    }
}
