//! Attention without a softmax; see [`crate::attention`]. Spikes are read as bits; the product between the two lies in the
//! pool for the length of the call, in the type that is computed in.

use candle_core::{DType, Tensor};
use cudarc::driver::DeviceRepr;

use super::tensor::{Address, Beside, Values};
use super::{Gpu, Number, by_number, launch};
use crate::attention::AttentionShape;
use crate::cuda::launch as grid;
use crate::{Operand, Result};

/// `struct Matrix` of `attention.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Matrix {
    at: Address,
    plane: u64,
    each: u64,
    row: u64,
    column: u64,
    kind: i32,
}

// SAFETY: numbers in C's order, as the source declares them; passed by value.
unsafe impl DeviceRepr for Matrix {}

impl Matrix {
    /// Rows of `row` values, `each` values a head.
    fn rows(x: Values, each: usize, row: usize) -> Self {
        Matrix { at: x.at, plane: x.plane, each: each as u64, row: row as u64, column: 1, kind: x.kind }
    }

    /// The product between the two, which is not rounded.
    fn between(x: Beside, each: usize, row: usize) -> Self {
        Self::rows(Values { at: x.at, kind: 2 * x.wide, plane: 1 }, each, row)
    }

    /// The same, turned over.
    fn turn(self) -> Self {
        Matrix { row: self.column, column: self.row, ..self }
    }
}

/// Products of one attention: on which device, for how many heads of all images.
struct Heads<'a> {
    gpu: &'a Gpu,
    heads: usize,
}

impl Heads<'_> {
    /// Computes `factor * a * b` `[m, n]`, with `k` products a value, for each head; sums are rounded where they go to halves.
    fn product<H: Number>(
        &self,
        [m, n, k]: [usize; 3],
        (a, b): (Matrix, Matrix),
        factor: f64,
        out: Beside,
    ) -> Result<()> {
        let (gpu, tiles) = (self.gpu, grid::tiles(m, n));
        launch!(
            gpu,
            ATTENTION,
            H,
            0,
            "product",
            grid::blocks(gpu.op(), self.heads * tiles)?,
            [
                a,
                b,
                <H::Real as crate::real::Real>::of(factor),
                out.at,
                out.wide,
                m as u64,
                n as u64,
                k as u64,
                tiles as u64
            ]
        );
        Ok(())
    }
}

pub(crate) fn forward(
    op: &'static str,
    s: &AttentionShape,
    [q, k, v]: [Operand; 3],
    scale: f64,
    dtype: DType,
) -> Result<Tensor> {
    let gpu = Gpu::of(op, q.tensor())?;
    let (heads, d, n) = (s.images * s.heads, s.width(), s.tokens);
    let all = Heads { gpu: &gpu, heads };
    by_number!(op, q.dtype_or(k.dtype_or(v.dtype_or(dtype))), H, R => {
        let of = |x: Operand| -> Result<Matrix> { Ok(Matrix::rows(gpu.values::<H>(x, s.len())?, s.head(), n)) };
        let (q, k, v) = (of(q)?, of(k)?, of(v)?);
        let (out, between) = (gpu.fresh::<H>((s.images, s.channels, n))?, gpu.fresh::<R>(heads * s.inner())?);
        let to = gpu.beside::<H>("out", &out, s.len())?;
        let inner = gpu.beside::<H>("inner", &between, heads * s.inner())?;
        let between = |row: usize| Matrix::between(inner, s.inner(), row);
        if s.values_meet_keys() {
            all.product::<H>([d, d, n], (v, k.turn()), 1.0, inner)?;
            all.product::<H>([d, n, d], (between(d), q), scale, to)?;
        } else {
            all.product::<H>([n, n, d], (k.turn(), q), 1.0, inner)?;
            all.product::<H>([d, n, n], (v, between(n)), scale, to)?;
        }
        Ok(out)
    })
}

pub(crate) fn backward(
    op: &'static str,
    s: &AttentionShape,
    [q, k, v]: [Operand; 3],
    dout: &Tensor,
    scale: f64,
) -> Result<[Tensor; 3]> {
    let gpu = Gpu::of(op, dout)?;
    let (heads, d, n) = (s.images * s.heads, s.width(), s.tokens);
    let all = Heads { gpu: &gpu, heads };
    by_number!(op, dout.dtype(), H, R => {
        let of = |x: Operand| -> Result<Matrix> { Ok(Matrix::rows(gpu.values::<H>(x, s.len())?, s.head(), n)) };
        let (q, k, v, g) = (of(q)?, of(k)?, of(v)?, of(Operand::Dense(dout))?);
        let fresh = || gpu.fresh::<H>((s.images, s.channels, n));
        let (dq, dk, dv, between) = (fresh()?, fresh()?, fresh()?, gpu.fresh::<R>(heads * s.inner())?);
        let at = |x: &Tensor| gpu.beside::<H>("gradient", x, s.len());
        let (to_q, to_k, to_v) = (at(&dq)?, at(&dk)?, at(&dv)?);
        let inner = gpu.beside::<H>("inner", &between, heads * s.inner())?;
        let between = |row: usize| Matrix::between(inner, s.inner(), row);
        if s.values_meet_keys() {
            all.product::<H>([d, d, n], (v, k.turn()), scale, inner)?;
            all.product::<H>([d, n, d], (between(d).turn(), g), 1.0, to_q)?;
            all.product::<H>([d, d, n], (g, q.turn()), scale, inner)?;
            all.product::<H>([d, n, d], (between(d), k), 1.0, to_v)?;
            all.product::<H>([d, n, d], (between(d).turn(), v), 1.0, to_k)?;
        } else {
            all.product::<H>([n, n, d], (k.turn(), q), scale, inner)?;
            all.product::<H>([d, n, n], (g, between(n).turn()), 1.0, to_v)?;
            all.product::<H>([n, n, d], (v.turn(), g), scale, inner)?;
            all.product::<H>([d, n, n], (k, between(n)), 1.0, to_q)?;
            all.product::<H>([d, n, n], (q, between(n).turn()), 1.0, to_k)?;
        }
        Ok([dq, dk, dv])
    })
}
