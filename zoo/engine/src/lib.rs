//! Tape, parameters, neurons, layers, and the port between models and methods.
//!
//! - [`value`], [`tape`], [`ops`]: what travels, what is kept, what is computed.
//! - [`saved`]: what is kept for backward, or how it is computed again.
//! - [`region`], [`bridge`]: parts that are rebuilt in backward.
//! - [`unroll`]: the port. A model calls out at every weight, neuron, norm, pool and carried value; a method answers.
//! - [`model`], [`layer`], [`drive`]: wiring, and how it is driven through time.
//! - [`rehearsal`]: a step that is planned before it is taken.
//! - [`method`], [`run`], [`loss`], [`optim`]: training.
//! - [`operations`]: what is computed, layer by layer and step by step.
//! - [`ledger`]: who holds how many bytes. [`journal`]: what a watched step did. [`fidelity`]: how right a gradient is.
//!   [`weights`]: files of parameters.
#![forbid(unsafe_code)]

pub mod bridge;
pub mod drive;
pub mod error;
pub mod fidelity;
pub mod journal;
pub mod layer;
pub mod ledger;
pub mod loss;
pub mod method;
pub mod model;
pub mod neuron;
pub mod norm;
pub mod operations;
pub mod ops;
pub mod optim;
pub mod param;
pub mod pass;
pub mod region;
pub mod rehearsal;
pub mod run;
pub mod saved;
pub mod site;
pub mod tape;
pub mod unroll;
pub mod value;
pub mod weights;

pub use error::{Divergence, Error, Result};
