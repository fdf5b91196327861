//! Sets of encoded pictures, and where they lie: class folders, tar archives, packed shards.

mod archive;
mod folder;
pub(crate) mod packed;
mod pictures;

pub use pictures::{Extent, Pictures};
