//! What is done to an image on its way into a batch: one idea a file, each a pure function of an image and a key.

pub mod affine;
pub mod colour;
pub mod crop;
pub mod cutout;
pub mod erasing;
mod event_mix;
pub mod jitter;
pub mod mix;
mod placement;
pub mod rand_augment;
mod scale;
pub mod trivial_augment;

pub(crate) use placement::{Placement, Small};
pub(crate) use scale::Scale;
