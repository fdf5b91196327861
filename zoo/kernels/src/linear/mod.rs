//! Affine maps of rows.
//!
//! ```text
//! y[r, o] = b[o] + sum over i of x[r, i] * w[o, i]      x [rows, in]   w [out, in]   y [rows, out]
//! ```
//!
//! `f32` multiplies matrices tile by tile, expanding spikes on the way; `f64` runs the plain loops.

mod plain;
mod tiled;

use candle_core::Tensor;

use crate::bits::{Source, lend};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{distinct, read, read_opt, write};
use crate::{Operand, Result, held};

/// Sizes of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

fn sizes(op: &'static str, rows: usize, weight: &Tensor) -> Result<Sizes> {
    let (outputs, inputs) = weight.dims2()?;
    ensure(inputs > 0 && outputs > 0, op, "the weights must be [out, in], both positive", || {
        format!("{:?}", weight.shape())
    })?;
    Ok(Sizes { rows, inputs, outputs })
}

/// Computes the output `[rows, out]`, in the weights' type.
///
/// Spikes may come in any rows whose values, one row after the other, make `[rows, in]`.
pub fn forward(rows: usize, x: Operand, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    const OP: &str = "linear::forward";
    let s = sizes(OP, rows, weight)?;
    on_cuda!(weight => crate::cuda::ops::linear::forward(OP, s, x, weight, bias));
    let dtype = weight.dtype();
    dispatch!(OP, weight, T => {
        let w = read::<T>(OP, "weight", weight, s.inputs * s.outputs)?;
        let (x, b) = (lend::<T>(OP, x, rows * s.inputs)?, read_opt::<T>(OP, "bias", bias, s.outputs)?);
        held::made(<T as Arm>::forward(s, x.source(), &w, b.as_deref()), (rows, s.outputs), dtype)
    })
}

/// Computes the gradient of the input `[rows, in]` from that of the output `[rows, out]`.
pub fn backward_input(dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
    const OP: &str = "linear::backward_input";
    let s = sizes(OP, dy.elem_count() / weight.dim(0)?.max(1), weight)?;
    on_cuda!(weight => crate::cuda::ops::linear::backward_input(OP, s, dy, weight));
    let dtype = dy.dtype();
    dispatch!(OP, weight, T => {
        let w = read::<T>(OP, "weight", weight, s.inputs * s.outputs)?;
        let dy = read::<T>(OP, "dy", dy, s.rows * s.outputs)?;
        held::made(<T as Arm>::backward_input(s, &dy, &w), (s.rows, s.inputs), dtype)
    })
}

/// Computes the gradient of the weights into `into` `[out, in]`, over what it held or on top.
pub fn backward_weight(rows: usize, x: Operand, dy: &Tensor, into: &Tensor, accumulate: bool) -> Result<()> {
    const OP: &str = "linear::backward_weight";
    let s = sizes(OP, rows, into)?;
    let seen = if let Operand::Dense(x) = x { x } else { dy };
    distinct(OP, ("into", into), &[("x", seen), ("dy", dy)])?;
    on_cuda!(dy => crate::cuda::ops::linear::backward_weight(OP, s, x, dy, into, accumulate));
    dispatch!(OP, dy, T => {
        let (x, dy) = (lend::<T>(OP, x, rows * s.inputs)?, read::<T>(OP, "dy", dy, rows * s.outputs)?);
        write::<T, _>(OP, "into", into, s.inputs * s.outputs, |dw| {
            <T as Arm>::backward_weight(s, x.source(), &dy, dw, accumulate)
        })
    })
}

/// The kernels of one number type.
trait Arm: Real {
    fn forward(s: Sizes, x: Source<Self>, w: &[Self], b: Option<&[Self]>) -> Vec<Self>;
    fn backward_input(s: Sizes, dy: &[Self], w: &[Self]) -> Vec<Self>;
    fn backward_weight(s: Sizes, x: Source<Self>, dy: &[Self], dw: &mut [Self], accumulate: bool);
}

impl Arm for f64 {
    fn forward(s: Sizes, x: Source<f64>, w: &[f64], b: Option<&[f64]>) -> Vec<f64> {
        plain::forward(s, &x.to_vec(s.rows * s.inputs), w, b)
    }

    fn backward_input(s: Sizes, dy: &[f64], w: &[f64]) -> Vec<f64> {
        plain::backward_input(s, dy, w)
    }

    fn backward_weight(s: Sizes, x: Source<f64>, dy: &[f64], dw: &mut [f64], accumulate: bool) {
        plain::backward_weight(s, &x.to_vec(s.rows * s.inputs), dy, dw, accumulate);
    }
}

impl Arm for f32 {
    fn forward(s: Sizes, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
        tiled::forward(s, x, w, b)
    }

    fn backward_input(s: Sizes, dy: &[f32], w: &[f32]) -> Vec<f32> {
        tiled::backward_input(s, dy, w)
    }

    fn backward_weight(s: Sizes, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
        tiled::backward_weight(s, x, dy, dw, accumulate);
    }
}
