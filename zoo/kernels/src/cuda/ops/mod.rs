//! What needs the CUDA libraries: only in a build with feature `cuda`.

pub(crate) mod attention;
pub(crate) mod bits;
pub(crate) mod channels;
pub(crate) mod conv;
mod device;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod grid;
mod libraries;
pub(crate) mod lif;
pub(crate) mod linear;
pub(crate) mod loss;
pub(in crate::cuda) mod memory;
pub(crate) mod norm;
pub(crate) mod pool;
mod program;
pub(crate) mod remainder;
pub(crate) mod standardise;
mod tensor;
pub(crate) mod update;

pub use device::open;

use program::launch;
use tensor::{Gpu, Number, by_number, by_real};
