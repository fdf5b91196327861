#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod augment;
mod card;
pub mod check;
mod contents;
pub mod convert;
mod encoded;
mod error;
pub mod events;
pub mod format;
mod frame_table;
mod hex;
mod loader;
mod map;
pub mod pipeline;
mod prefetch;
mod protocol;
mod sets;
pub mod simulate;
mod stand_in;
mod subset;
pub mod synth;
mod table;
pub mod temporal;
mod transform;

pub use card::{Card, Dataset, Encoded, Mirror, Split};
pub use encoded::{Extent, Pictures};
pub use error::DataError;
pub use frame_table::{FRAME_SETS, FrameEntry, OpenedFrames, Request, find_frames};
pub use loader::{Batch, Loader, Throughput};
pub use pipeline::Pipeline;
pub use prefetch::Batches;
pub use protocol::{EventName, Named, Protocol};
pub use table::{DATASETS, DatasetEntry, Opened, find, open_part};
