//! Procedural pictures in place of sets that are not at hand: learnable, of the right shape, and never called by the
//! name of the set whose shape they have.

mod object;
mod scene;
mod texture;

pub(crate) use scene::{Nuisances, Scene};
