//! Sites: the named places of a network that a method may treat in its own way.

use std::rc::Rc;

/// What stands at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first weights, fed by the image itself.
    Encoder,
    /// Weights fed by spikes.
    Hidden,
    /// Weights that give the scores.
    Readout,
    /// A neuron layer.
    Neuron,
    /// A norm.
    Norm,
    /// A product or pool without weights.
    Mix,
    /// A maximum or a product whose result weights read: no presynaptic trace can travel through it.
    Barrier,
    /// A value carried to the next step.
    Carry,
}

/// A named place of a network, numbered in building order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    index: usize,
    name: Rc<str>,
    role: Role,
    traced: bool,
}

impl Site {
    pub(crate) fn new(index: usize, name: &str, role: Role, traced: bool) -> Self {
        Self { index, name: name.into(), role, traced }
    }

    /// The same site without a presynaptic trace.
    #[must_use]
    pub fn untraced(self) -> Self {
        Self { traced: false, ..self }
    }

    /// Its number.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its dotted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands here.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether a method with presynaptic traces uses one here. OTTT's authors leave the first layer untraced.
    #[must_use]
    pub fn is_traced(&self) -> bool {
        self.traced
    }
}
