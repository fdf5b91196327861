//! Losses with their gradients, and the decision.
//!
//! ```text
//! cross-entropy: mean over b of - sum over k of q[k] * log softmax(z[b])[k],  q = (1 - smoothing) * onehot + smoothing / k
//! mse:           mean over b and k of (z - target)^2
//! ```
//!
//! Both give the loss and its gradient in one pass; sums are `f64`, in order.

use candle_core::Tensor;

use crate::Result;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{self, read};

/// What a mean squared error compares with.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// 1 at the label, else 0.
    OneHot(&'a [u32]),
    /// 1 everywhere.
    Ones,
}

fn check_labels(op: &'static str, labels: &[u32], (b, k): (usize, usize)) -> Result<()> {
    ensure(labels.len() == b, op, "one label a row", || format!("{} labels for {b} rows", labels.len()))?;
    match labels.iter().enumerate().find(|(_, label)| **label as usize >= k) {
        Some((row, label)) => {
            ensure(false, op, "a label must be below the classes", || format!("{label} of {k} in row {row}"))
        }
        None => Ok(()),
    }
}

/// Computes the mean cross-entropy of `logits` `[b, k]` and its gradient `[b, k]`.
pub fn softmax_cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<(f64, Tensor)> {
    const OP: &str = "loss::softmax_cross_entropy";
    let (b, k) = logits.dims2()?;
    check_labels(OP, labels, (b, k))?;
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let (mut loss, mut grad) = (0.0, Vec::with_capacity(b * k));
        for (z, label) in z.chunks(k.max(1)).zip(labels) {
            let top = z.iter().fold(f64::NEG_INFINITY, |top, z| top.max(z.wide()));
            let total: f64 = z.iter().map(|z| (z.wide() - top).exp()).sum();
            for (j, z) in z.iter().enumerate() {
                let hot = if j == *label as usize { 1.0 - smoothing } else { 0.0 };
                let (q, log) = (hot + smoothing / k as f64, z.wide() - top - total.ln());
                if q != 0.0 {
                    loss -= q * log;
                }
                grad.push(<T as Real>::of((log.exp() - q) / b as f64));
            }
        }
        Ok((loss / b as f64, storage::tensor(grad, (b, k))?))
    })
}

/// Computes the mean squared error of `logits` `[b, k]` and its gradient `[b, k]`.
pub fn mse(logits: &Tensor, target: Target) -> Result<(f64, Tensor)> {
    const OP: &str = "loss::mse";
    let (b, k) = logits.dims2()?;
    if let Target::OneHot(labels) = target {
        check_labels(OP, labels, (b, k))?;
    }
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let (mut loss, mut grad) = (0.0, Vec::with_capacity(b * k));
        for (i, z) in z.iter().enumerate() {
            let hot = match target {
                Target::OneHot(labels) => labels[i / k] as usize == i % k,
                Target::Ones => true,
            };
            let far = z.wide() - if hot { 1.0 } else { 0.0 };
            loss += far * far;
            grad.push(<T as Real>::of(2.0 * far / (b * k) as f64));
        }
        Ok((loss / (b * k) as f64, storage::tensor(grad, (b, k))?))
    })
}

/// Finds the class of the largest logit of each row; the first wins a tie.
pub fn argmax(logits: &Tensor) -> Result<Vec<u32>> {
    const OP: &str = "loss::argmax";
    let (b, k) = logits.dims2()?;
    dispatch!(OP, logits, T => {
        let z = read::<T>(OP, "logits", logits, b * k)?;
        let best = |z: &[T]| (0..z.len()).fold(0, |best, i| if z[i] > z[best] { i } else { best }) as u32;
        Ok(z.chunks(k.max(1)).map(best).collect())
    })
}
