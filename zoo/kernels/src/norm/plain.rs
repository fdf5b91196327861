//! The equations as loops: two passes for the variance, nothing fused.

use super::NormShape;
use crate::real::Real;

/// Elements of group `g`, channel `ch`.
fn channel(s: &NormShape, g: usize, ch: usize) -> impl Iterator<Item = usize> {
    let s = *s;
    (g * s.n..(g + 1) * s.n).flat_map(move |i| (0..s.plane).map(move |p| (i * s.c + ch) * s.plane + p))
}

/// Mean and biased variance of each group and channel.
pub(crate) fn moments<T: Real>(s: &NormShape, x: &[T]) -> Vec<[f64; 2]> {
    let count = (s.n * s.plane) as f64;
    (0..s.groups * s.c)
        .map(|gc| {
            let at = || channel(s, gc / s.c, gc % s.c);
            let mean = at().map(|i| x[i].wide()).sum::<f64>() / count;
            let var = at().map(|i| (x[i].wide() - mean).powi(2)).sum::<f64>() / count;
            [mean, var]
        })
        .collect()
}

/// Turns `dy` into the gradient of the input; gives `[sum dy, sum dy * normalised x]` of each group and channel.
pub(crate) fn backward<T: Real>(
    s: &NormShape,
    x: &[T],
    dy: &mut [T],
    coefficients: &[super::Coefficients],
) -> Vec<[f64; 2]> {
    let count = (s.n * s.plane) as f64;
    coefficients
        .iter()
        .enumerate()
        .map(|(gc, k)| {
            let at = || channel(s, gc / s.c, gc % s.c);
            let normal = |i: usize| (x[i].wide() - k.mean) * k.inverse;
            let sum: f64 = at().map(|i| dy[i].wide()).sum();
            let dot: f64 = at().map(|i| dy[i].wide() * normal(i)).sum();
            for i in at() {
                dy[i] = T::of(k.slope * (dy[i].wide() - sum / count - normal(i) * dot / count));
            }
            [sum, dot]
        })
        .collect()
}
