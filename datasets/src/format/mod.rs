//! File formats, read from bytes: no folder, no data set is known here.

pub mod cifar_bin;
pub mod idx;
pub mod jpeg;
pub mod pickle;
pub mod picture;
pub mod shard;
pub mod tar;

// Event recordings.
pub mod aedat2;
pub mod aedat3;
pub mod atis_bin;
pub mod dat2;
pub mod gesture_csv;
pub mod npy;
pub mod npz;
pub mod packed_events;
#[cfg(feature = "hdf5")]
pub mod shd_hdf5;
pub(crate) mod zip_member;
