#![doc = include_str!("../README.md")]
// The workspace denies `unsafe`; this crate is the one that needs it: raw matrix products, buffers that are
// not zeroed before they are filled, disjoint writes from parallel tasks, and run-time chosen instruction sets.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod attention;
pub mod bias;
pub mod bits;
pub mod conv;
pub mod cuda;
pub mod elementwise;
pub mod heap;
pub mod held;
pub mod lif;
pub mod linear;
pub mod loss;
pub mod norm;
pub mod pool;
pub mod remainder;
pub mod scalar;
pub mod scratch;
pub mod standardise;
pub mod storage;
pub mod threads;
pub mod update;

mod dispatch;
mod error;
mod lanes;
mod product;
mod real;
pub mod simd;
mod tasks;
mod turn;
mod vector;

pub use bits::{Bits, Operand};
pub use error::{Error, Result};
pub use scalar::Scalar;
pub use simd::instruction_set;
