//! Copies, into a tensor where it lies or into one of its own.

use candle_core::Tensor;

use super::BLOCK;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::storage::{distinct, filled_chunks, read, write};
use crate::tasks::each_chunk;
use crate::{Result, held};

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

/// A tensor of its own with the values of `x`, in its shape; by all threads, as one alone does not fill the memory's lanes.
pub fn copied(x: &Tensor) -> Result<Tensor> {
    const OP: &str = "elementwise::copied";
    on_cuda!(x => Ok(x.copy()?));
    dispatch!(OP, x, T => {
        let (shape, dtype, len) = (x.shape().clone(), x.dtype(), x.elem_count());
        let x = read::<T>(OP, "x", x, len)?;
        let x = &*x;
        // SAFETY: each chunk is written whole.
        let out = unsafe {
            filled_chunks(len, BLOCK, |i, out| {
                out.write_copy_of_slice(&x[i * BLOCK..i * BLOCK + out.len()]);
            })
        };
        held::made(out, shape, dtype)
    })
}
