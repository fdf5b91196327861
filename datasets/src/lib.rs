#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod augment;
mod card;
mod contents;
mod error;
pub mod events;
pub mod format;
mod loader;
mod prefetch;
mod protocol;
mod sets;
pub mod simulate;
mod subset;
pub mod synth;
mod table;
pub mod temporal;

pub use card::{Card, Dataset, Split};
pub use error::DataError;
pub use loader::{Batch, Loader};
pub use prefetch::Batches;
pub use protocol::Protocol;
pub use table::{DATASETS, DatasetEntry, Opened, find};
