//! Every method computes the gradient it claims to.

mod finite_differences;
mod golden_vectors;
mod identities;
mod reversal;
