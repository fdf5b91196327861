#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod augment;
mod card;
mod contents;
pub mod convert;
mod encoded;
mod error;
pub mod format;
mod loader;
mod map;
mod prefetch;
mod protocol;
mod sets;
mod subset;
pub mod synth;
mod table;

pub use card::{Card, Dataset, Encoded, Mirror, Split};
pub use encoded::{Extent, Pictures};
pub use error::DataError;
pub use loader::{Batch, Loader};
pub use prefetch::Batches;
pub use protocol::Protocol;
pub use table::{DATASETS, DatasetEntry, Opened, find, open_part};
