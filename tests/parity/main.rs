//! Every method computes the gradient it claims to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

mod finite_differences;
mod golden_vectors;
mod halves;
mod identities;
mod reversal;
mod sparing;
mod stacking;
mod temporal_reversal;
mod trevsnn;
