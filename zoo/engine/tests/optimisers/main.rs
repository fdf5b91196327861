//! What ends a training step (clipping, update, average) and what begins it (losses, drop-path, learning rates),
//! against their equations written out in f64, and against what PyTorch and timm compute.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers included")]

mod average;
mod clipping;
mod drop_path;
mod losses;
mod reference;
mod schedules;
mod setup;
mod updates;
