//! Scaled weight standardisation, the norm that needs no statistics of the data.
//!
//! ```text
//! what[o, i] = gain[o] * (w[o, i] - mean_o) / sqrt(var_o * N + eps)     N the fan-in
//! ```
//!
//! Brock et al. 2021. The codes differ in two places, which [`Standardisation`] names: OTTT and SLTT take the
//! unbiased variance and add 1e-4 to `var * N`; timm's `ScaledStdConv2d` takes the biased one and adds 1e-6 to
//! `var`, before the times N.

use candle_core::Tensor;

use crate::Result;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{self, Disjoint, distinct, each_task, read, read_opt, write};

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
    fn statistics<T: Real>(&self, w: &[T]) -> (f64, f64) {
        let n = w.len() as f64;
        let mean = w.iter().map(|w| w.wide()).sum::<f64>() / n;
        let var = w.iter().map(|w| (w.wide() - mean).powi(2)).sum::<f64>() / self.freedom(w.len());
        let eps = match self.eps {
            Epsilon::ToProduct(eps) => eps,
            Epsilon::ToVariance(eps) => eps * n,
        };
        (mean, 1.0 / (var * n + eps).sqrt())
    }
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
    dispatch!(OP, w, T => {
        let (w, gain) = (read::<T>(OP, "w", w, o * n)?, read_opt::<T>(OP, "gain", gain, o)?);
        let mut out = w.to_vec();
        let gain = gain.as_deref();
        storage::each_chunk(&mut out, n, |o, w| {
            let (mean, inverse) = how.statistics(w);
            let slope = gain.map_or(1.0, |g| g[o].wide()) * inverse;
            w.iter_mut().for_each(|w| *w = <T as Real>::of((w.wide() - mean) * slope));
        });
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
    dispatch!(OP, w, T => {
        let (w, dwhat) = (read::<T>(OP, "w", w, o * n)?, read::<T>(OP, "dwhat", dwhat, o * n)?);
        let gains = read_opt::<T>(OP, "gain", gain, o)?;
        let (w, dwhat, gains) = (&*w, &*dwhat, gains.as_deref());
        let mut dots = vec![0.0; o];
        write::<T, _>(OP, "into_w", into_w, o * n, |dw| {
            let (dw, dots) = (Disjoint::new(dw), Disjoint::new(&mut dots));
            each_task(o, o * n, |o| {
                let (w, g, gain) = (&w[o * n..][..n], &dwhat[o * n..][..n], gains.map_or(1.0, |g| g[o].wide()));
                let (mean, r) = how.statistics(w);
                let mean_g = g.iter().map(|g| g.wide()).sum::<f64>() / n as f64;
                let dot: f64 = g.iter().zip(w).map(|(g, w)| g.wide() * (w.wide() - mean) * r).sum();
                let bend = dot * n as f64 / how.freedom(n);
                // SAFETY: one output channel a task, and each has its own elements.
                let (dw, kept) = unsafe { (dw.part(o * n..(o + 1) * n), dots.part(o..o + 1)) };
                kept[0] = dot;
                for ((dw, g), w) in dw.iter_mut().zip(g).zip(w) {
                    let grad = gain * r * (g.wide() - mean_g - (w.wide() - mean) * r * bend);
                    *dw = <T as Real>::of(if acc_w { dw.wide() + grad } else { grad });
                }
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
