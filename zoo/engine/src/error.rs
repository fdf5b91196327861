//! What can go wrong while a network is built, run or trained.

use crate::method::Unsupported;

/// Result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine. Every message names the value, the rule and the place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel refused its arguments or has no arm for this device.
    #[error(transparent)]
    Kernel(#[from] kernels::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A shape does not fit the place it is used in.
    #[error("{place}: expected shape {expected}, got {found:?}")]
    Shape {
        /// Layer, site or op.
        place: String,
        /// The rule, in words or as a pattern such as `[T, B, C, H, W]`.
        expected: String,
        /// The shape that came.
        found: Vec<usize>,
    },
    /// A setting is out of its range.
    #[error("{place} must be {rule}, got {found}")]
    Setting {
        /// Which setting, by its dotted path.
        place: String,
        /// The rule it breaks.
        rule: String,
        /// The value that came.
        found: String,
    },
    /// A method can't do what the model asks for; not a fault, but a cell of the table.
    #[error("{0}")]
    Unsupported(#[from] Unsupported),
    /// A reversible stream left the range in which its inversion is exact.
    #[error("{place}: the reversible stream reached {found:e}, outside the exact range |x| < {limit}")]
    StreamRange {
        /// The stage.
        place: String,
        /// Largest magnitude found.
        found: f64,
        /// The bound.
        limit: f64,
    },
    /// A weights file does not fit a network.
    #[error("weights do not fit {network}: {misfit}")]
    Weights {
        /// The network's id.
        network: String,
        /// What does not fit.
        misfit: Box<crate::weights::Misfit>,
    },
    /// An op failed on the way back.
    #[error("backward of {op}: {source}")]
    Backward {
        /// The op.
        op: &'static str,
        /// Why.
        source: kernels::Error,
    },
    /// A number that training goes by is not finite.
    #[error("{what} at step {step}: training diverged")]
    Diverged {
        /// Which one.
        what: Divergence,
        /// Which iteration of the run, from 0.
        step: u64,
    },
    /// Something was computed that no counter knows.
    #[error(
        "operations can't be counted: a value of shape {shape:?}, and {others} more, was made by an operation that does \
         not say what it computes"
    )]
    Uncounted {
        /// Shape of the first such value.
        shape: Vec<usize>,
        /// How many others there are.
        others: usize,
    },
    /// The engine was used against its own rules; a defect of the caller.
    #[error("{0}")]
    Misuse(String),
}

/// What is no finite number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Divergence {
    /// The loss, and what it is.
    #[error("the loss became {0}")]
    Loss(f64),
    /// A gradient, whatever factor the loss is scaled with: this is the least one.
    #[error("gradients are not finite with a loss scale of {0}, the least one,")]
    Gradients(f64),
}

impl Error {
    /// Bytes of the allocation that the device refused, where that is what went wrong.
    #[must_use]
    pub fn refused_bytes(&self) -> Option<usize> {
        match self {
            Self::Kernel(kernels::Error::OutOfMemory { bytes, .. })
            | Self::Backward { source: kernels::Error::OutOfMemory { bytes, .. }, .. } => Some(*bytes),
            _ => None,
        }
    }

    /// A [`Error::Setting`] from its three parts.
    pub fn setting(place: impl Into<String>, rule: impl Into<String>, found: impl ToString) -> Self {
        Self::Setting { place: place.into(), rule: rule.into(), found: found.to_string() }
    }

    /// A [`Error::Shape`] from its three parts.
    pub fn shape(place: impl Into<String>, expected: impl Into<String>, found: &[usize]) -> Self {
        Self::Shape { place: place.into(), expected: expected.into(), found: found.to_vec() }
    }
}
