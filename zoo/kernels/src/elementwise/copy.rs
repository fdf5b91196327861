//! Copies into a tensor where it lies.

use candle_core::Tensor;

use super::BLOCK;
use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::storage::{distinct, each_chunk, read, write};

/// Writes `src` over `dst`, which keeps its storage.
pub fn copy(dst: &Tensor, src: &Tensor) -> Result<()> {
    const OP: &str = "elementwise::copy";
    distinct(OP, ("dst", dst), &[("src", src)])?;
    on_cuda!(dst => crate::cuda::ops::elementwise::copy(OP, dst, src));
    dispatch!(OP, dst, T => {
        let src = read::<T>(OP, "src", src, dst.elem_count())?;
        let src = &*src;
        write::<T, _>(OP, "dst", dst, src.len(), |dst| {
            each_chunk(dst, BLOCK, |i, dst| dst.copy_from_slice(&src[i * BLOCK..i * BLOCK + dst.len()]));
        })
    })
}
