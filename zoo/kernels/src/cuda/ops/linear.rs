//! Affine maps of rows through cuBLAS; see [`crate::linear`].
//!
//! cuBLAS counts columns first: a matrix `[rows, columns]` of ours is `[columns, rows]` there, so each product is asked
//! for turned over. One handle, one stream and cuBLAS's own workspace: the same call gives the same bits. `f32` is
//! computed in `f32`, which is cuBLAS's default; halves by tensor cores, whose sums are `f32`.

use std::ffi::{c_int, c_void};

use candle_core::Tensor;
use cudarc::cublas::{result, sys};

use super::conv::{add_bias, biased, expanded};
use super::tensor::Address;
use super::{Gpu, Number, by_number};
use crate::cuda::plan::{Data, Lane};
use crate::cuda::source;
use crate::linear::Sizes;
use crate::{Error, Operand, Result, held};

use sys::cublasOperation_t::{CUBLAS_OP_N as PLAIN, CUBLAS_OP_T as TURNED};

/// A matrix that is read: how it is turned, where it is, values from one of cuBLAS's columns to the next.
type Matrix = (sys::cublasOperation_t, Address, usize);

/// Computes `c (+)= a * b`, cuBLAS's way round: a `[m, k]`, b `[k, n]`, c `[m, n]`, columns `m` apart. Of halves, `c` is either
/// one or what they are computed in.
fn multiply<H: Number, C: Number>(
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
    // SAFETY: the addresses are those of tensors whose lengths were checked against these sizes on this device, and whose
    // types are `H` and `C`; the factors lie on the host and are read at once.
    let done = unsafe {
        match H::NUMBER {
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
            source::Number::Bf16 | source::Number::F16 => {
                let (one, beta) = (1.0f32, beta as f32);
                // Parts of a sum that is cut meet in the type of the sums, not in that of the result.
                let whole = sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
                sys::cublasSetMathMode(*blas.handle(), whole).result().and_then(|()| {
                    result::gemm_ex(
                        *blas.handle(),
                        a.0,
                        b.0,
                        m_,
                        n_,
                        k_,
                        (&raw const one).cast(),
                        a.1 as *const c_void,
                        data_type(Lane::Plain(H::NUMBER).data()),
                        lda,
                        b.1 as *const c_void,
                        data_type(Lane::Plain(H::NUMBER).data()),
                        ldb,
                        (&raw const beta).cast(),
                        c as *mut c_void,
                        data_type(Lane::Plain(C::NUMBER).data()),
                        m_,
                        sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                        sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
                    )
                })
            }
        }
    };
    done.map_err(|e| Error::Driver { op, message: format!("cuBLAS: {e}") })
}

fn data_type(data: Data) -> sys::cudaDataType {
    match data {
        Data::Float => sys::cudaDataType::CUDA_R_32F,
        Data::Double => sys::cudaDataType::CUDA_R_64F,
        Data::Half => sys::cudaDataType::CUDA_R_16F,
        Data::Bfloat16 => sys::cudaDataType::CUDA_R_16BF,
    }
}

pub(crate) fn forward(
    op: &'static str,
    s: Sizes,
    x: Operand,
    w: &Tensor,
    b: Option<&Tensor>,
) -> Result<Tensor> {
    let (gpu, x) = (Gpu::of(op, w)?, expanded(op, x, w)?);
    by_number!(op, w.dtype(), H, R => {
        let (at, weights) = (gpu.at::<H>("x", &x, s.rows * s.inputs)?, gpu.at::<H>("weight", w, s.inputs * s.outputs)?);
        let y = gpu.fresh::<H>((s.rows, s.outputs))?;
        let (to, len) = (gpu.at::<H>("y", &y, s.rows * s.outputs)?, s.rows * s.outputs);
        let (weights, rows) = ((TURNED, weights, s.inputs), (PLAIN, at, s.inputs));
        let sizes = [s.outputs, s.rows, s.inputs];
        match b {
            // Nothing is rounded before the bias is on.
            Some(b) if held::is_half(w.dtype()) => {
                let (sums, b) = (gpu.buffer::<R>(len)?, gpu.at::<R>("b", b, s.outputs)?);
                multiply::<H, R>(&gpu, sizes, weights, rows, gpu.of_buffer(&sums), false)?;
                biased::<H>(&gpu, gpu.of_buffer(&sums), b, (s.outputs, 1), (to, len))?;
            }
            b => {
                multiply::<H, H>(&gpu, sizes, weights, rows, to, false)?;
                if let Some(b) = b {
                    add_bias::<H>(&gpu, to, b, (s.outputs, 1), len)?;
                }
            }
        }
        Ok(y)
    })
}

pub(crate) fn backward_input(op: &'static str, s: Sizes, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of(op, w)?;
    by_number!(op, w.dtype(), H => {
        let (at, weights) = (gpu.at::<H>("dy", dy, s.rows * s.outputs)?, gpu.at::<H>("weight", w, s.inputs * s.outputs)?);
        let dx = gpu.fresh::<H>((s.rows, s.inputs))?;
        let to = gpu.at::<H>("dx", &dx, s.rows * s.inputs)?;
        let (weights, rows) = ((PLAIN, weights, s.inputs), (PLAIN, at, s.outputs));
        multiply::<H, H>(&gpu, [s.inputs, s.rows, s.outputs], weights, rows, to, false)?;
        Ok(dx)
    })
}

/// Into the accumulator as it is summed up, of halves too.
pub(crate) fn backward_weight(
    op: &'static str,
    s: Sizes,
    x: Operand,
    dy: &Tensor,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    let (gpu, x) = (Gpu::of(op, dy)?, expanded(op, x, dy)?);
    by_number!(op, dy.dtype(), H, R => {
        let (at, g) = (gpu.at::<H>("x", &x, s.rows * s.inputs)?, gpu.at::<H>("dy", dy, s.rows * s.outputs)?);
        let to = gpu.at::<R>("into", into, s.inputs * s.outputs)?;
        let (rows, g) = ((PLAIN, at, s.inputs), (TURNED, g, s.outputs));
        multiply::<H, R>(&gpu, [s.inputs, s.outputs, s.rows], rows, g, to, accumulate)
    })
}
