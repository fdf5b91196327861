//! Attention without a softmax, as spiking transformers have it (Spikformer, Zhou et al. 2023; RevSFormer).
//!
//! ```text
//! out[c, i] = scale * sum over j of (sum over c' of q[c', i] * k[c', j]) * v[c, j]      inside each head
//! q, k, v, out [images, channels, tokens]      head h is channels h*d .. (h+1)*d,  d = channels / heads
//!
//! d <= tokens:  m = v k^T [d, d],             out = scale * m q          the form with fewer products
//! else:         a = k^T q [tokens, tokens],   out = scale * v a
//!
//! backward, g the gradient of out:
//! d <= tokens:  dq = scale * m^T g    n = scale * g q^T    dv = n k      dk = n^T v
//! else:         dv = scale * g a^T    n = scale * v^T g    dq = k n      dk = q n^T
//! ```
//!
//! There is nothing but products, so they may be taken in either order: the shape decides, and nothing else. A task is
//! one head of one image. Spikes are expanded into the thread's scratch, a head at a time. `f32` multiplies matrices,
//! `f64` runs plain loops.

use candle_core::{DType, Tensor};

use crate::bits::{Source, lend};
use crate::cuda::on_cuda;
use crate::dispatch::{dispatch, refusal};
use crate::error::ensure;
use crate::product::{self, Target, View};
use crate::real::Real;
use crate::scratch::{self, Slot};
use crate::storage::{Disjoint, read};
use crate::tasks::each_task;
use crate::{Operand, Result, held};

/// Sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Images: steps times batch.
    pub images: usize,
    /// Channels of all heads.
    pub channels: usize,
    /// Tokens, which are the pixels of a map.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
}

impl AttentionShape {
    /// Channels of a head.
    pub fn width(&self) -> usize {
        self.channels / self.heads
    }

    /// Whether values meet keys before queries do, which is the cheaper order when heads are narrow.
    pub fn values_meet_keys(&self) -> bool {
        self.width() <= self.tokens
    }

    /// Multiplications of the forward pass.
    pub fn products(&self) -> usize {
        2 * self.images * self.channels * self.tokens * self.width().min(self.tokens)
    }

    fn check(&self, op: &'static str) -> Result<()> {
        let holds = self.images > 0 && self.tokens > 0 && self.heads > 0 && self.channels > 0;
        ensure(holds, op, "images, channels, tokens and heads must be positive", || format!("{self:?}"))?;
        let divides = self.channels.is_multiple_of(self.heads);
        ensure(divides, op, "the heads must divide the channels", || format!("{self:?}"))
    }

    pub(crate) fn len(&self) -> usize {
        self.images * self.channels * self.tokens
    }

    /// Values of one head of one image.
    pub(crate) fn head(&self) -> usize {
        self.width() * self.tokens
    }

    /// Values of the product that stands between the two.
    pub(crate) fn inner(&self) -> usize {
        self.width().min(self.tokens).pow(2)
    }

    fn scratch(&self) -> usize {
        3 * self.head() + self.inner()
    }
}

/// Computes the output `[images, channels, tokens]`; `dtype` is that of the result when all three are spikes.
pub fn forward(
    s: &AttentionShape,
    q: Operand,
    k: Operand,
    v: Operand,
    scale: f64,
    dtype: DType,
) -> Result<Tensor> {
    const OP: &str = "attention::forward";
    s.check(OP)?;
    on_cuda!(q.tensor() => crate::cuda::ops::attention::forward(OP, s, [q, k, v], scale, dtype));
    let dtype = q.dtype_or(k.dtype_or(v.dtype_or(dtype)));
    match held::real(dtype) {
        DType::F32 => run_forward::<f32>(OP, s, [q, k, v], scale, dtype),
        DType::F64 => run_forward::<f64>(OP, s, [q, k, v], scale, dtype),
        other => Err(refusal(OP, &candle_core::Device::Cpu, other)),
    }
}

/// Computes the gradients of q, k and v, each `[images, channels, tokens]`.
pub fn backward(
    s: &AttentionShape,
    q: Operand,
    k: Operand,
    v: Operand,
    dout: &Tensor,
    scale: f64,
) -> Result<[Tensor; 3]> {
    const OP: &str = "attention::backward";
    s.check(OP)?;
    on_cuda!(dout => crate::cuda::ops::attention::backward(OP, s, [q, k, v], dout, scale));
    dispatch!(OP, dout, T => run_backward::<T>(OP, s, [q, k, v], dout, scale))
}

/// Bytes of scratch that each thread keeps for these ops.
pub fn workspace_bytes(s: &AttentionShape, dtype: DType) -> usize {
    if held::real(dtype) == DType::F32 { s.scratch() * size_of::<f32>() } else { 0 }
}

fn run_forward<T: Arm>(
    op: &'static str,
    s: &AttentionShape,
    x: [Operand; 3],
    scale: f64,
    dtype: DType,
) -> Result<Tensor> {
    let [q, k, v] = [lend::<T>(op, x[0], s.len())?, lend(op, x[1], s.len())?, lend(op, x[2], s.len())?];
    let (sources, scale) = ([q.source(), k.source(), v.source()], T::of(scale));
    let mut out = vec![T::ZERO; s.len()];
    let all = Disjoint::new(&mut out);
    each_task(s.images * s.heads, s.products(), |task| {
        let at = task * s.head();
        with_heads(s, sources, at, |head, inner| {
            // SAFETY: each task has its own head of its own image.
            let out = unsafe { all.part(at..at + s.head()) };
            head.forward(inner, out);
            out.iter_mut().for_each(|out| *out *= scale);
        });
    });
    held::made(out, (s.images, s.channels, s.tokens), dtype)
}

fn run_backward<T: Arm>(
    op: &'static str,
    s: &AttentionShape,
    x: [Operand; 3],
    dout: &Tensor,
    scale: f64,
) -> Result<[Tensor; 3]> {
    let [q, k, v] = [lend::<T>(op, x[0], s.len())?, lend(op, x[1], s.len())?, lend(op, x[2], s.len())?];
    let (g, dtype) = (read::<T>(op, "dout", dout, s.len())?, dout.dtype());
    let (sources, g, scale) = ([q.source(), k.source(), v.source()], &*g, T::of(scale));
    let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![T::ZERO; s.len()]);
    let all = [Disjoint::new(&mut dq), Disjoint::new(&mut dk), Disjoint::new(&mut dv)];
    each_task(s.images * s.heads, s.products(), |task| {
        let at = task * s.head()..(task + 1) * s.head();
        with_heads(s, sources, at.start, |head, inner| {
            // SAFETY: each task has its own head of its own image, in three buffers.
            let [dq, dk, dv] = all.each_ref().map(|all| unsafe { all.part(at.clone()) });
            head.backward(&g[at.clone()], scale, inner, dq, dk, dv);
        });
    });
    let shape = (s.images, s.channels, s.tokens);
    Ok([held::made(dq, shape, dtype)?, held::made(dk, shape, dtype)?, held::made(dv, shape, dtype)?])
}

/// Lends q, k and v of the head whose values start at `first`, and room for the product between them.
fn with_heads<T: Arm>(
    s: &AttentionShape,
    sources: [Source<T>; 3],
    first: usize,
    f: impl FnOnce(Head<T>, &mut [T]),
) {
    T::with_scratch(s.scratch(), |scratch| {
        let (kept, inner) = scratch.split_at_mut(3 * s.head());
        let mut kept = kept.chunks_mut(s.head());
        let [q, k, v] = sources.map(|source| match (source, kept.next()) {
            (Source::Dense(x), _) => &x[first..first + s.head()],
            (spikes, Some(kept)) => {
                spikes.expand(first, kept);
                &*kept
            }
            (Source::Spikes(..), None) => &[],
        });
        f(Head { width: s.width(), tokens: s.tokens, q, k, v }, inner);
    });
}

/// One head of one image, each `[width, tokens]`.
struct Head<'a, T> {
    width: usize,
    tokens: usize,
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
}

impl<T: Arm> Head<'_, T> {
    /// Writes the output without its factor; `inner` takes the product between.
    fn forward(&self, inner: &mut [T], out: &mut [T]) {
        let (d, n) = (self.width, self.tokens);
        if d <= n {
            T::multiply([d, d, n], inner, Matrix::rows(self.v, n), Matrix::turned(self.k, n));
            T::multiply([d, n, d], out, Matrix::rows(inner, d), Matrix::rows(self.q, n));
        } else {
            T::multiply([n, n, d], inner, Matrix::turned(self.k, n), Matrix::rows(self.q, n));
            T::multiply([d, n, n], out, Matrix::rows(self.v, n), Matrix::rows(inner, n));
        }
    }

    fn backward(&self, g: &[T], scale: T, inner: &mut [T], dq: &mut [T], dk: &mut [T], dv: &mut [T]) {
        let (d, n, g) = (self.width, self.tokens, Matrix::rows(g, self.tokens));
        let [q, k, v] = [self.q, self.k, self.v].map(|x| Matrix::rows(x, n));
        let scaled = |inner: &mut [T]| inner.iter_mut().for_each(|x| *x *= scale);
        if d <= n {
            T::multiply([d, d, n], inner, v, k.turn());
            scaled(inner);
            T::multiply([d, n, d], dq, Matrix::turned(inner, d), g);
            T::multiply([d, d, n], inner, g, q.turn());
            scaled(inner);
            T::multiply([d, n, d], dv, Matrix::rows(inner, d), k);
            T::multiply([d, n, d], dk, Matrix::turned(inner, d), v);
        } else {
            T::multiply([n, n, d], inner, k.turn(), q);
            scaled(inner);
            T::multiply([d, n, n], dv, g, Matrix::turned(inner, n));
            T::multiply([n, n, d], inner, v.turn(), g);
            scaled(inner);
            T::multiply([d, n, n], dq, k, Matrix::rows(inner, n));
            T::multiply([d, n, n], dk, q, Matrix::turned(inner, n));
        }
    }
}

/// A matrix that is read: rows of `row` values, or the same turned over.
#[derive(Clone, Copy)]
struct Matrix<'a, T> {
    values: &'a [T],
    row: usize,
    turned: bool,
}

impl<'a, T: Real> Matrix<'a, T> {
    fn rows(values: &'a [T], row: usize) -> Self {
        Matrix { values, row, turned: false }
    }

    fn turned(values: &'a [T], row: usize) -> Self {
        Matrix { values, row, turned: true }
    }

    fn turn(self) -> Self {
        Matrix { turned: !self.turned, ..self }
    }

    fn at(&self, i: usize, j: usize) -> T {
        let (i, j) = if self.turned { (j, i) } else { (i, j) };
        self.values[i * self.row + j]
    }
}

impl<'a> Matrix<'a, f32> {
    fn view(self) -> View<'a> {
        if self.turned { View::turned(self.values, self.row) } else { View::rows(self.values, self.row) }
    }
}

/// What the two number types do each in its own way.
trait Arm: Real {
    /// Writes `a * b` `[m, n]`, with `k` products a value, to `out`.
    fn multiply(sizes: [usize; 3], out: &mut [Self], a: Matrix<Self>, b: Matrix<Self>);

    /// Lends a buffer with whatever it holds.
    fn with_scratch(len: usize, f: impl FnOnce(&mut [Self]));
}

impl Arm for f32 {
    fn multiply([m, n, k]: [usize; 3], out: &mut [f32], a: Matrix<f32>, b: Matrix<f32>) {
        assert_eq!(out.len(), m * n);
        let target = Target { first: out.as_mut_ptr(), row: n, add: false };
        // SAFETY: `out` is `m` rows of `n` values and lent to us alone.
        unsafe { product::multiply(m, n, k, target, a.view(), b.view()) };
    }

    fn with_scratch(len: usize, f: impl FnOnce(&mut [f32])) {
        scratch::with(Slot::Values, len, f);
    }
}

impl Arm for f64 {
    fn multiply([m, n, k]: [usize; 3], out: &mut [f64], a: Matrix<f64>, b: Matrix<f64>) {
        assert_eq!(out.len(), m * n);
        for (i, row) in out.chunks_mut(n).enumerate() {
            row.fill(0.0);
            for p in 0..k {
                let a = a.at(i, p);
                row.iter_mut().enumerate().for_each(|(j, out)| *out += a * b.at(p, j));
            }
        }
    }

    fn with_scratch(len: usize, f: impl FnOnce(&mut [f64])) {
        f(&mut scratch::fresh(len));
    }
}
