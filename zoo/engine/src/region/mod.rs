//! Regions: parts of a network that run with the tape off and are rebuilt when backward reaches them.
//!
//! | kind | keeps | rebuilds by |
//! | --- | --- | --- |
//! | `checkpoint` | its input | running forward again |
//! | [`stage`] | its output | inverting `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` block by block |
//! | [`Carried`] | the last step's states and a [`Past`] | inverting `c[t] = F + alpha * c[t-1]` level by level |
//!
//! Beside regions, single values may be computed again from what else is kept: see [`crate::saved`].
//!
//! A rebuilt forward moves no running statistics and draws no new randomness.

mod carried;
mod checkpoint;
mod coupled;
mod grid;
mod past;
mod stem;

pub use carried::Carried;
pub(crate) use checkpoint::checkpoint;
pub use checkpoint::segments;
pub use coupled::stage;
pub use grid::Grid;
pub(crate) use grid::StreamRange;
pub(crate) use past::Remainders;
pub use past::{KeptStates, Past};
pub use stem::Stem;

use std::ops::Range;

use crate::saved::Recompute;

/// What is rebuilt in backward in place of being kept. Stacking is choosing two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Coupled stages keep their output and are inverted.
    pub coupled: bool,
    /// Runs of segments of a sequence, in order, that keep their input and run again.
    pub checkpoints: Vec<Range<usize>>,
    /// Single values are computed again; `None` where all that is saved is kept but cheap functions of spikes.
    pub recompute: Option<Recompute>,
}
