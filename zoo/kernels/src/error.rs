//! What a kernel refuses, with the rule, the value and the place.

use candle_core::{DType, Shape};

/// Result of a kernel.
pub type Result<T> = std::result::Result<T, Error>;

/// A kernel call that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No implementation of the op exists for the device the tensors are on.
    #[error("{op} has no kernel for {device}")]
    NoKernel {
        /// The op.
        op: &'static str,
        /// The device, in candle's words.
        device: String,
    },
    /// A tensor has a type that the op does not compute in.
    #[error("{op}: `{what}` must be {expected:?}, got {got:?}")]
    DType {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// The type the op wants here.
        expected: DType,
        /// The type it was given.
        got: DType,
    },
    /// A tensor has not the number of elements that the shape says.
    #[error("{op}: `{what}` must have {expected} elements, got {got} (shape {shape:?})")]
    Length {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// Elements that the op's shape asks for.
        expected: usize,
        /// Elements that the tensor has.
        got: usize,
        /// The tensor's shape.
        shape: Shape,
    },
    /// A tensor's elements do not lie one after the other.
    #[error("{op}: `{what}` must be contiguous, got strides {stride:?}")]
    Layout {
        /// The op.
        op: &'static str,
        /// The argument.
        what: &'static str,
        /// Its strides, in elements.
        stride: Vec<usize>,
    },
    /// A tensor that is written shares its storage with one that is read.
    #[error("{op}: `{what}` is written and must not share storage with `{with}`")]
    Aliased {
        /// The op.
        op: &'static str,
        /// The argument that is written.
        what: &'static str,
        /// The argument that is read.
        with: &'static str,
    },
    /// A shape or a setting breaks a rule of the op.
    #[error("{op}: {rule}, got {got}")]
    Rule {
        /// The op.
        op: &'static str,
        /// What must hold.
        rule: &'static str,
        /// What was given instead.
        got: String,
    },
    /// The thread pool could not be started.
    #[error("the thread pool could not be started: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
    /// There is no such device, or what it needs is missing.
    #[error("no CUDA device: {why}")]
    NoDevice {
        /// What was missing.
        why: String,
    },
    /// A device's memory does not hold what was asked for.
    #[error("{op}: out of device memory, {bytes} bytes were asked for")]
    OutOfMemory {
        /// The op.
        op: &'static str,
        /// Bytes of the allocation that failed.
        bytes: usize,
    },
    /// The driver or one of its libraries refused a call.
    #[error("{op}: {message}")]
    Driver {
        /// The op.
        op: &'static str,
        /// What it said.
        message: String,
    },
    /// A CUDA source does not compile.
    #[error("{source_name}.cu does not compile: {message}")]
    Compile {
        /// The source.
        source_name: &'static str,
        /// What the compiler said.
        message: String,
    },
    /// candle refused a view or a storage access.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Refuses with `rule` unless `holds`.
pub(crate) fn ensure(
    holds: bool,
    op: &'static str,
    rule: &'static str,
    got: impl FnOnce() -> String,
) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Rule { op, rule, got: got() }) }
}
