//! Event cameras: recordings, their frames, named protocols, augmentation and batches `[T, B, C, H, W]`.
//!
//! A *recording* is a list of events. A *protocol* says which recordings train and which test, which way up they lie,
//! and how they become frames. A *frame set* hands out one sample as frames `[T, C, H, W]` and feeds the loader.

mod augment;
mod folders;
mod frame_cache;
mod frame_set;
mod frames;
mod loader;
pub(crate) mod packed;
mod protocol;
mod recording;
mod resize;
mod set;
mod survey;

pub use augment::{Augment, Flip};
pub(crate) use folders::CIFAR_CLASSES;
pub use folders::open_folder;
pub use frame_cache::open_frame_cache;
pub(crate) use frame_set::check_target;
pub use frame_set::{FrameCard, FrameSet, Framed, leaks};
pub use frames::{FrameRule, by_duration};
pub use loader::FrameLoader;
pub use protocol::{EVENT_PROTOCOLS, EventProtocol, Normalise, SplitRule, TrialRows, named};
pub use recording::{Decoded, Event, Recording, Statistics};
pub use resize::Resize;
pub(crate) use set::no_sample;
pub use set::{EventCard, EventSet, Origin};
pub use survey::{Survey, survey};
