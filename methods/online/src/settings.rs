//! What tells the online methods apart.

/// How weights get credit for earlier steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credit {
    /// Not at all: the spikes of the step alone.
    StepAlone,
    /// Through presynaptic traces.
    Traces,
}

/// When parameters move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// Once, after all steps.
    OncePerBatch,
    /// After every step, from that step's gradient alone.
    EveryStep,
}

/// An online method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Online {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) credit: Credit,
    pub(crate) updates: Updates,
    /// How many random steps go backward; all if absent.
    pub(crate) backward_steps: Option<usize>,
}

impl Online {
    pub(crate) fn sltt() -> Self {
        Self { name: "SLTT", credit: Credit::StepAlone, updates: Updates::OncePerBatch, backward_steps: None }
    }

    pub(crate) fn ottt(updates: Updates) -> Self {
        Self { name: "OTTT", credit: Credit::Traces, updates, backward_steps: None }
    }
}
