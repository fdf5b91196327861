//! The gradient of a bias: `db[c] = sum over (n, p) of dy[n, c, p]`.

use candle_core::Tensor;

use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::norm::sums::sums;
use crate::real::Real;
use crate::storage::{distinct, read, write};

/// Sums `dy` `[n, c, plane]` over images and places into `into` `[c]`, over what it held or on top.
///
/// Sums are taken in `f64`, in an order fixed by the shape.
pub fn gradient(
    dy: &Tensor,
    n: usize,
    c: usize,
    plane: usize,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "bias::gradient";
    distinct(OP, ("into", into), &[("dy", dy)])?;
    on_cuda!(dy => crate::cuda::ops::norm::channel_sum(OP, dy, None, (n, c, plane), into, accumulate));
    dispatch!(OP, dy, T => {
        let dy = read::<T>(OP, "dy", dy, n * c * plane)?;
        let sums: Vec<f64> = sums(1, n, c, plane, &dy, &dy).iter().map(|sum| sum[0]).collect();
        write::<T, _>(OP, "into", into, c, |into| store(into, &sums, accumulate))
    })
}

/// Writes or adds `sums` to `into`.
pub(crate) fn store<T: Real>(into: &mut [T], sums: &[f64], accumulate: bool) {
    for (into, sum) in into.iter_mut().zip(sums) {
        *into = T::of(if accumulate { into.wide() + sum } else { *sum });
    }
}
