//! Event cameras: recordings, their frames, named protocols, augmentation and batches `[T, B, C, H, W]`.
//!
//! A *recording* is a list of events. A *protocol* says which recordings train and which test, which way up they lie,
//! and how they become frames. A *frame set* hands out one sample as frames `[T, C, H, W]` and feeds the loader.

mod recording;

pub use recording::{Decoded, Event, Recording, Statistics};
