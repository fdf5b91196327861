//! Losses with their gradients, and the decision.
//!
//! ```text
//! cross-entropy: mean over b of - sum over k of q[k] * log softmax(z[b])[k],  q = (1 - smoothing) * hot + smoothing / k
//! mse:           mean over b and k of (z - target)^2
//! ```
//!
//! `hot` is 1 at the label, or holds the shares of two labels where samples were mixed. Both give the loss and its gradient in one pass; sums are `f64`, in order.
//! A loss stays where it was computed until it is read.

use candle_core::Tensor;

use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{self, read};
use crate::{Result, Scalar};

/// What each row should be called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a> {
    /// One class a row.
    Classes(&'a [u32]),
    /// Two classes a row: the first with its share, the second with the rest.
    Mixed {
        /// The first class of each row.
        first: &'a [u32],
        /// The second class of each row.
        second: &'a [u32],
        /// The share of the first class, in `[0, 1]`.
        shares: &'a [f64],
    },
}

impl<'a, L: AsRef<[u32]> + ?Sized> From<&'a L> for Labels<'a> {
    fn from(classes: &'a L) -> Self {
        Self::Classes(classes.as_ref())
    }
}

impl Labels<'_> {
    /// The classes of a row with their shares, which add up to 1.
    fn shares(&self, row: usize) -> [(usize, f64); 2] {
        match self {
            Self::Classes(classes) => [(classes[row] as usize, 1.0), (classes[row] as usize, 0.0)],
            Self::Mixed { first, second, shares } => {
                [(first[row] as usize, shares[row]), (second[row] as usize, 1.0 - shares[row])]
            }
        }
    }

    fn check(&self, op: &'static str, (b, k): (usize, usize)) -> Result<()> {
        let one_a_row = |what: &str, len: usize| {
            ensure(len == b, op, "one label a row", || format!("{len} {what} for {b} rows"))
        };
        let known = |labels: &[u32]| {
            one_a_row("labels", labels.len())?;
            match labels.iter().enumerate().find(|(_, label)| **label as usize >= k) {
                Some((row, label)) => ensure(false, op, "a label must be below the classes", || {
                    format!("{label} of {k} in row {row}")
                }),
                None => Ok(()),
            }
        };
        match self {
            Self::Classes(classes) => known(classes),
            Self::Mixed { first, second, shares } => {
                known(first)?;
                known(second)?;
                one_a_row("shares", shares.len())?;
                match shares.iter().enumerate().find(|(_, share)| !(0.0..=1.0).contains(*share)) {
                    Some((row, share)) => {
                        ensure(false, op, "a share must be in [0, 1]", || format!("{share} in row {row}"))
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

/// What a mean squared error compares with.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The labels' shares: 1 at a label, else 0.
    Hot(Labels<'a>),
    /// The same number everywhere.
    Constant(f64),
}

/// Computes the mean cross-entropy of `logits` `[b, k]` and its gradient `[b, k]`.
pub fn softmax_cross_entropy<'a>(
    logits: &Tensor,
    labels: impl Into<Labels<'a>>,
    smoothing: f64,
) -> Result<(Scalar, Tensor)> {
    const OP: &str = "loss::softmax_cross_entropy";
    let (b, k) = logits.dims2()?;
    let labels = labels.into();
    labels.check(OP, (b, k))?;
    on_cuda!(logits => crate::cuda::ops::loss::softmax_cross_entropy(OP, logits, (b, k), labels, smoothing));
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let (mut loss, mut grad) = (0.0, Vec::with_capacity(b * k));
        for (row, z) in z.chunks(k.max(1)).enumerate() {
            let top = z.iter().fold(f64::NEG_INFINITY, |top, z| top.max(z.wide()));
            let total: f64 = z.iter().map(|z| (z.wide() - top).exp()).sum();
            let shares = labels.shares(row);
            for (j, z) in z.iter().enumerate() {
                let hot = (1.0 - smoothing) * share_of(shares, j);
                let (q, log) = (hot + smoothing / k as f64, z.wide() - top - total.ln());
                if q != 0.0 {
                    loss -= q * log;
                }
                grad.push(<T as Real>::of((log.exp() - q) / b as f64));
            }
        }
        Ok((Scalar::host(loss / b as f64), storage::tensor(grad, (b, k))?))
    })
}

fn share_of(shares: [(usize, f64); 2], class: usize) -> f64 {
    shares.iter().filter(|(label, _)| *label == class).map(|(_, share)| share).sum()
}

/// Computes the mean squared error of `logits` `[b, k]` and its gradient `[b, k]`.
pub fn mse(logits: &Tensor, target: Target) -> Result<(Scalar, Tensor)> {
    const OP: &str = "loss::mse";
    let (b, k) = logits.dims2()?;
    if let Target::Hot(labels) = target {
        labels.check(OP, (b, k))?;
    }
    on_cuda!(logits => {
        let (labels, goal) = match target {
            Target::Hot(labels) => (Some(labels), 0.0),
            Target::Constant(goal) => (None, goal),
        };
        crate::cuda::ops::loss::mse(OP, logits, (b, k), labels, goal)
    });
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let (mut loss, mut grad) = (0.0, Vec::with_capacity(b * k));
        for (i, z) in z.iter().enumerate() {
            let goal = match target {
                Target::Hot(labels) => share_of(labels.shares(i / k), i % k),
                Target::Constant(goal) => goal,
            };
            let far = z.wide() - goal;
            loss += far * far;
            grad.push(<T as Real>::of(2.0 * far / (b * k) as f64));
        }
        Ok((Scalar::host(loss / (b * k) as f64), storage::tensor(grad, (b, k))?))
    })
}

/// Counts the rows of `logits` `[b, k]` that are largest at their class; of equal logits the first counts.
pub fn hits(logits: &Tensor, classes: &[u32]) -> Result<Scalar> {
    const OP: &str = "loss::hits";
    let (b, k) = logits.dims2()?;
    Labels::Classes(classes).check(OP, (b, k))?;
    on_cuda!(logits => crate::cuda::ops::loss::hits(OP, logits, (b, k), classes));
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let best = |z: &[T]| (0..z.len()).fold(0, |best, i| if z[i] > z[best] { i } else { best });
        let right = |(z, class): &(&[T], &u32)| best(z) == **class as usize;
        Ok(Scalar::host(z.chunks(k.max(1)).zip(classes).filter(right).count() as f64))
    })
}
