//! The same ops on an NVIDIA device.
//!
//! Kernels are CUDA C, one idea a file, beside this one (`*.cu`). They are compiled when first used, by NVRTC, for the
//! number type and the device at hand; convolutions go through cuDNN and products through cuBLAS. An op of this crate
//! comes here when its tensor lies on such a device; one that has no kernel here says so as an error.
//!
//! What holds for every kernel:
//! - no atomics, and sums over threads in an order fixed by the shape: the same bits on each run;
//! - no contraction of products and sums: a kernel that does not sum over threads has the CPU's bits;
//! - one stream a device, so that what is launched first is done first; buffers come from the stream's pool.
//!
//! **No kernel of this module has run on a GPU yet.** What is checked without one: every source compiles, the sizes
//! of launches cover their elements ([`launch`]), and what the libraries are asked for ([`plan`]).

pub mod launch;
pub mod plan;
mod pool;
pub mod source;

#[cfg(feature = "cuda")]
pub(crate) mod ops;
#[cfg(feature = "cuda")]
pub use ops::open;

pub use pool::{Pool, pool_of};

/// Gives `$body` when `$tensor` lies on a CUDA device, where the build has such kernels.
macro_rules! on_cuda {
    ($tensor:expr => $body:expr) => {
        #[cfg(feature = "cuda")]
        if $tensor.device().is_cuda() {
            return $body;
        }
    };
}
pub(crate) use on_cuda;
