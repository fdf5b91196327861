//! Scaled weight standardisation, the norm that needs no statistics of the data.
//!
//! ```text
//! what[o, i] = gain[o] * (w[o, i] - mean_o) / sqrt(var_o * N + eps)     N the fan-in
//! ```
//!
//! Brock et al. 2021. The codes differ in two places, which [`Standardisation`] names: OTTT and SLTT take the
//! unbiased variance and add 1e-4 to `var * N`; timm's `ScaledStdConv2d` takes the biased one and adds 1e-6 to
//! `var`, before the times N.

use std::mem::MaybeUninit;

use candle_core::Tensor;

use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, Disjoint, distinct, filled_chunks, read, read_opt, write};
use crate::tasks::each_task;

/// Which variance the weights of an output channel have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variance {
    /// The sum of squares over `N - 1`.
    Unbiased,
    /// The sum of squares over `N`.
    Biased,
}

/// What keeps the root away from zero, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epsilon {
    /// Added to `var * N`.
    ToProduct(f64),
    /// Added to `var`, so that `var * N` gets N times as much.
    ToVariance(f64),
}

/// What the weights are divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardisation {
    /// Which variance.
    pub variance: Variance,
    /// What is added, and where.
    pub eps: Epsilon,
}

impl Standardisation {
    /// What the sum of squares is divided by to give the variance.
    fn freedom(&self, n: usize) -> f64 {
        match self.variance {
            Variance::Unbiased => n as f64 - 1.0,
            Variance::Biased => n as f64,
        }
    }

    /// Mean, and one over the root of `var * N + eps`.
    #[inline(always)]
    fn statistics<T: Real>(&self, w: &[T]) -> (f64, f64) {
        let n = w.len() as f64;
        let mean = sum(w, w, |w, _| w) / n;
        let var = sum(w, w, |w, _| (w - mean) * (w - mean)) / self.freedom(w.len());
        (mean, 1.0 / (var * n + self.terms(w.len()).1).sqrt())
    }

    /// What the sum of squares is divided by, and what is added to `var * N`.
    #[inline(always)]
    fn terms(&self, n: usize) -> (f64, f64) {
        let eps = match self.eps {
            Epsilon::ToProduct(eps) => eps,
            Epsilon::ToVariance(eps) => eps * n as f64,
        };
        (self.freedom(n), eps)
    }
}

/// Accumulators of a sum: a fixed number, so that every instruction set adds in the same order.
const LANES: usize = 16;

/// Elements of one piece of work, in whole outputs.
const BLOCK: usize = 1 << 13;

/// Sums `f(a, b)` over the elements of two rows.
#[inline(always)]
fn sum<T: Real>(a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(a.wide(), b.wide());
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += f(a.wide(), b.wide());
    }
    lanes.iter().sum()
}

/// Sizes `[outputs, fan-in]` of a weight.
fn sizes(op: &'static str, w: &Tensor) -> Result<(usize, usize)> {
    let o = w.dim(0)?;
    let n = w.elem_count() / o.max(1);
    ensure(n > 1, op, "the fan-in must be at least 2", || format!("{:?}", w.shape()))?;
    Ok((o, n))
}

/// Computes the standardised weights, in the shape of `w` `[outputs, ...]`; a gain has one element an output.
pub fn forward(w: &Tensor, gain: Option<&Tensor>, how: Standardisation) -> Result<Tensor> {
    const OP: &str = "standardise::forward";
    let ((o, n), shape) = (sizes(OP, w)?, w.shape().clone());
    on_cuda!(w => crate::cuda::ops::standardise::forward(OP, w, gain, (o, n), how.terms(n)));
    dispatch!(OP, w, T => {
        let (w, gain) = (read::<T>(OP, "w", w, o * n)?, read_opt::<T>(OP, "gain", gain, o)?);
        let (w, gain, rows) = (&*w, gain.as_deref(), rows_per_task(o, n));
        // SAFETY: `standardise_rows` writes each element of its rows.
        let out = unsafe {
            filled_chunks(o * n, rows * n, |task, out| {
                let at = task * rows * n..task * rows * n + out.len();
                standardise_rows(&how, &w[at], gain.map(|gain| &gain[task * rows..]), n, out);
            })
        };
        storage::tensor(out, shape)
    })
}

/// Computes the gradient of the weights and, where asked for, of the gain (`true`: on top of what they held).
///
/// With `z = (w - mean) * r`, `r = 1 / sqrt(var * N + eps)` and `q = gain * dwhat`:
/// `dw = r * (q - mean(q) - z * (q . z) * N / D)` and `dgain = dwhat . z`,
/// where `D` is what the variance divides by: `N - 1` or `N`.
pub fn backward(
    w: &Tensor,
    gain: Option<&Tensor>,
    how: Standardisation,
    dwhat: &Tensor,
    into_w: &Tensor,
    acc_w: bool,
    into_gain: Option<(&Tensor, bool)>,
) -> Result<()> {
    const OP: &str = "standardise::backward";
    let (o, n) = sizes(OP, w)?;
    distinct(OP, ("into_w", into_w), &[("w", w), ("dwhat", dwhat)])?;
    if let (Some(gain), Some((into, _))) = (gain, into_gain) {
        distinct(OP, ("into_gain", into), &[("gain", gain), ("w", w), ("dwhat", dwhat)])?;
    }
    on_cuda!(w => crate::cuda::ops::standardise::backward(
        OP, w, gain, (o, n), how.terms(n), dwhat, (into_w, acc_w), into_gain,
    ));
    dispatch!(OP, w, T => {
        let (w, dwhat) = (read::<T>(OP, "w", w, o * n)?, read::<T>(OP, "dwhat", dwhat, o * n)?);
        let gains = read_opt::<T>(OP, "gain", gain, o)?;
        let (w, dwhat, gains) = (&*w, &*dwhat, gains.as_deref());
        let mut dots = vec![0.0; o];
        write::<T, _>(OP, "into_w", into_w, o * n, |dw| {
            let (dw, dots, rows) = (Disjoint::new(dw), Disjoint::new(&mut dots), rows_per_task(o, n));
            each_task(o.div_ceil(rows), o * n, |task| {
                let rows = task * rows..o.min((task + 1) * rows);
                let at = rows.start * n..rows.end * n;
                let gains = gains.map(|gains| &gains[rows.clone()]);
                // SAFETY: each task has its own outputs, and each output its own elements.
                let (dw, dots) = unsafe { (dw.part(at.clone()), dots.part(rows)) };
                bend_rows(&how, (&w[at.clone()], &dwhat[at], gains), n, dw, acc_w, dots);
            });
        })?;
        match into_gain {
            Some((into, accumulate)) => {
                write::<T, _>(OP, "into_gain", into, o, |into| crate::bias::store(into, &dots, accumulate))
            }
            None => Ok(()),
        }
    })
}

/// Outputs that one task handles.
fn rows_per_task(o: usize, n: usize) -> usize {
    (BLOCK / n).clamp(1, o.max(1))
}

multiversion! {
    fn standardise_rows<T: Real>(how: &Standardisation, w: &[T], gain: Option<&[T]>, n: usize, out: &mut [MaybeUninit<T>]) {
        for (o, (w, out)) in w.chunks_exact(n).zip(out.chunks_exact_mut(n)).enumerate() {
            let (mean, inverse) = how.statistics(w);
            let slope = gain.map_or(1.0, |g| g[o].wide()) * inverse;
            for (out, w) in out.iter_mut().zip(w) {
                out.write(T::of((w.wide() - mean) * slope));
            }
        }
    }
}

multiversion! {
    /// The gradients of some outputs; `read` is their weights, the gradients of the standardised ones, and the gains.
    fn bend_rows<T: Real>(
        how: &Standardisation, read: (&[T], &[T], Option<&[T]>), n: usize, dw: &mut [T], accumulate: bool, dots: &mut [f64],
    ) {
        let (w, g, gains) = read;
        for (o, ((w, g), dw)) in w.chunks_exact(n).zip(g.chunks_exact(n)).zip(dw.chunks_exact_mut(n)).enumerate() {
            let gain = gains.map_or(1.0, |g| g[o].wide());
            let (mean, r) = how.statistics(w);
            let mean_g = sum(g, g, |g, _| g) / n as f64;
            let dot = sum(g, w, |g, w| g * (w - mean) * r);
            let bend = dot * n as f64 / how.freedom(n);
            dots[o] = dot;
            for ((dw, g), w) in dw.iter_mut().zip(g).zip(w) {
                let grad = gain * r * (g.wide() - mean_g - (w.wide() - mean) * r * bend);
                *dw = T::of(if accumulate { dw.wide() + grad } else { grad });
            }
        }
    }
}
