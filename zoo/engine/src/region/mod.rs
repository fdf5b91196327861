//! Regions: parts of a network that run with the tape off and are rebuilt when backward reaches them.
//!
//! | kind | keeps | rebuilds by |
//! | --- | --- | --- |
//! | [`checkpoint`] | its input | running forward again |
//! | [`coupled`] | its output | inverting `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block by block |
//! | [`Carried`] | the last step's states and a [`Past`] | inverting `c[t] = F + alpha * c[t-1]` level by level |
//!
//! A rebuilt forward moves no running statistics and draws no new randomness.

mod carried;
mod checkpoint;
mod coupled;
mod grid;
mod past;
mod stem;

pub use carried::Carried;
pub use checkpoint::checkpoint;
pub use coupled::{coupled, coupled_plain};
pub use grid::Grid;
pub(crate) use past::Remainders;
pub use past::{KeptStates, Past};
pub use stem::Stem;
