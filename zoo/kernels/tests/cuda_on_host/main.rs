//! The CUDA sources, compiled as C++ and run on the host, beside the CPU kernels of the same name.
//!
//! It judges arithmetic, indices and the order of sums, not a device: threads of the host stand for those of a block.
//! Kernels that do not sum over threads must have the CPU's bits. Needs a C++ compiler (`CXX`, else `c++`); where there is
//! none the tests say that they were skipped.
#![allow(unsafe_code, reason = "calls what it has compiled")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod arithmetic;
mod beside;
mod halves;
mod host;
mod neurons;
mod remainders;
mod sums;
