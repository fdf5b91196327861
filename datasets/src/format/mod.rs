//! File formats, read from bytes: no folder, no data set is known here.

pub mod cifar_bin;
pub mod idx;
pub mod pickle;
pub mod picture;
pub mod shard;
pub mod tar;
