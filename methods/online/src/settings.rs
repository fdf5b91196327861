//! What tells the online methods apart.

use keys::Key;

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

/// Which steps go backward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backward {
    /// All.
    All,
    /// So many, drawn anew for each batch.
    Random(usize),
    /// These, counted from 0: to replay a draw.
    Fixed(Vec<usize>),
}

impl Backward {
    /// The chosen steps, uniformly without replacement where they are drawn; `None` means all.
    pub(crate) fn selected(&self, steps: usize, key: Key) -> Option<Vec<usize>> {
        match self {
            Self::All => None,
            Self::Fixed(chosen) => Some(chosen.clone()),
            Self::Random(k) => {
                let mut order: Vec<usize> = (0..steps).collect();
                key.fork("backward-steps").stream().shuffle(&mut order);
                order.truncate(*k);
                Some(order)
            }
        }
    }
}

/// An online method.
#[derive(Clone, Debug)]
pub(crate) struct Online {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) credit: Credit,
    pub(crate) updates: Updates,
    pub(crate) backward: Backward,
}

impl Online {
    pub(crate) fn sltt() -> Self {
        Self {
            name: "SLTT",
            credit: Credit::StepAlone,
            updates: Updates::OncePerBatch,
            backward: Backward::All,
        }
    }

    pub(crate) fn ottt(updates: Updates) -> Self {
        Self { name: "OTTT", credit: Credit::Traces, updates, backward: Backward::All }
    }
}
