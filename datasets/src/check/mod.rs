//! What can be said of a set without training on it: whether it is whole, and what it looks like.

mod frames;
mod sheet;
mod verify;

pub use frames::{FrameReport, FrameSplit, frame_sheet, verify_frames};
pub use sheet::{Sheet, sheet};
pub use verify::{Report, SplitReport, Twin, verify};
