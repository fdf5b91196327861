//! Affine maps of rows through cuBLAS; see [`crate::linear`].
//!
//! cuBLAS counts columns first: a matrix `[rows, columns]` of ours is `[columns, rows]` there, so each product is asked
//! for turned over. One handle, one stream and cuBLAS's own workspace: the same call gives the same bits. `f32` is
//! computed in `f32`, which is cuBLAS's default.

use std::ffi::c_int;

use candle_core::Tensor;
use cudarc::cublas::{result, sys};

use super::conv::{add_bias, expanded};
use super::tensor::Address;
use super::{Gpu, Number, by_number};
use crate::cuda::source;
use crate::linear::Sizes;
use crate::{Error, Operand, Result};

use sys::cublasOperation_t::{CUBLAS_OP_N as PLAIN, CUBLAS_OP_T as TURNED};

/// A matrix that is read: how it is turned, where it is, values from one of cuBLAS's columns to the next.
type Matrix = (sys::cublasOperation_t, Address, usize);

/// Computes `c (+)= a * b`, cuBLAS's way round: a `[m, k]`, b `[k, n]`, c `[m, n]`, columns `m` apart.
fn multiply<T: Number>(
    gpu: &Gpu,
    [m, n, k]: [usize; 3],
    a: Matrix,
    b: Matrix,
    c: Address,
    accumulate: bool,
) -> Result<()> {
    let op = gpu.op();
    if m == 0 || n == 0 {
        return Ok(());
    }
    let size = |value: usize| {
        c_int::try_from(value).map_err(|_| Error::Rule {
            op,
            rule: "cuBLAS's sizes are below 2^31",
            got: value.to_string(),
        })
    };
    let (m_, n_, k_, lda, ldb) = (size(m)?, size(n)?, size(k)?, size(a.2.max(1))?, size(b.2.max(1))?);
    let (blas, beta) = (gpu.device().cublas_handle(), if accumulate { 1.0 } else { 0.0 });
    let context = gpu.device().cuda_stream();
    context.context().bind_to_thread().map_err(|e| super::tensor::driver(op, &e))?;
    // SAFETY: the addresses are those of tensors whose lengths were checked against these sizes on this device; the
    // factors lie on the host and are read at once.
    let done = unsafe {
        match T::NUMBER {
            source::Number::F32 => {
                let (one, beta) = (1.0f32, beta as f32);
                let (at_a, at_b, at_c) = (a.1 as *const f32, b.1 as *const f32, c as *mut f32);
                result::sgemm(
                    *blas.handle(),
                    a.0,
                    b.0,
                    m_,
                    n_,
                    k_,
                    &one,
                    at_a,
                    lda,
                    at_b,
                    ldb,
                    &beta,
                    at_c,
                    m_,
                )
            }
            source::Number::F64 => {
                let one = 1.0f64;
                let (at_a, at_b, at_c) = (a.1 as *const f64, b.1 as *const f64, c as *mut f64);
                result::dgemm(
                    *blas.handle(),
                    a.0,
                    b.0,
                    m_,
                    n_,
                    k_,
                    &one,
                    at_a,
                    lda,
                    at_b,
                    ldb,
                    &beta,
                    at_c,
                    m_,
                )
            }
            half @ (source::Number::Bf16 | source::Number::F16) => {
                return Err(Error::NoKernel { op, device: format!("CUDA in {half:?}") });
            }
        }
    };
    done.map_err(|e| Error::Driver { op, message: format!("cuBLAS: {e}") })
}

pub(crate) fn forward(
    op: &'static str,
    s: Sizes,
    x: Operand,
    w: &Tensor,
    b: Option<&Tensor>,
) -> Result<Tensor> {
    let (gpu, x) = (Gpu::of(op, w)?, expanded(op, x, w)?);
    by_number!(op, w.dtype(), T => {
        let (at, weights) = (gpu.at::<T>("x", &x, s.rows * s.inputs)?, gpu.at::<T>("weight", w, s.inputs * s.outputs)?);
        let y = gpu.fresh::<T>((s.rows, s.outputs))?;
        let to = gpu.at::<T>("y", &y, s.rows * s.outputs)?;
        let (weights, rows) = ((TURNED, weights, s.inputs), (PLAIN, at, s.inputs));
        multiply::<T>(&gpu, [s.outputs, s.rows, s.inputs], weights, rows, to, false)?;
        if let Some(b) = b {
            add_bias::<T>(&gpu, to, b, (s.outputs, 1), s.rows * s.outputs)?;
        }
        Ok(y)
    })
}

pub(crate) fn backward_input(op: &'static str, s: Sizes, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of(op, w)?;
    by_number!(op, w.dtype(), T => {
        let (at, weights) = (gpu.at::<T>("dy", dy, s.rows * s.outputs)?, gpu.at::<T>("weight", w, s.inputs * s.outputs)?);
        let dx = gpu.fresh::<T>((s.rows, s.inputs))?;
        let to = gpu.at::<T>("dx", &dx, s.rows * s.inputs)?;
        let (weights, rows) = ((PLAIN, weights, s.inputs), (PLAIN, at, s.outputs));
        multiply::<T>(&gpu, [s.inputs, s.rows, s.outputs], weights, rows, to, false)?;
        Ok(dx)
    })
}

pub(crate) fn backward_weight(
    op: &'static str,
    s: Sizes,
    x: Operand,
    dy: &Tensor,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    let (gpu, x) = (Gpu::of(op, dy)?, expanded(op, x, dy)?);
    by_number!(op, dy.dtype(), T => {
        let (at, g) = (gpu.at::<T>("x", &x, s.rows * s.inputs)?, gpu.at::<T>("dy", dy, s.rows * s.outputs)?);
        let to = gpu.at::<T>("into", into, s.inputs * s.outputs)?;
        let (rows, g) = ((PLAIN, at, s.inputs), (TURNED, g, s.outputs));
        multiply::<T>(&gpu, [s.inputs, s.outputs, s.rows], rows, g, to, accumulate)
    })
}
