//! The equation as loops, in any number type: slow, and right.

use super::ConvShape;
use crate::real::Real;

/// Calls `f(output index, weight index, input index)` for each product of the sum.
fn each_product(s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let (ho, wo, (kh, kw)) = (s.out_h(), s.out_w(), s.kernel);
    let (ci, co) = (s.c_in / s.groups, s.c_out / s.groups);
    for (n, o) in (0..s.n).flat_map(|n| (0..s.c_out).map(move |o| (n, o))) {
        for (i, j) in (0..ho).flat_map(|i| (0..wo).map(move |j| (i, j))) {
            for c in 0..ci {
                for (p, q) in (0..kh).flat_map(|p| (0..kw).map(move |q| (p, q))) {
                    let (row, column) = (i * s.stride + p, j * s.stride + q);
                    if row < s.pad || column < s.pad || row - s.pad >= s.h || column - s.pad >= s.w {
                        continue;
                    }
                    let channel = o / co * ci + c;
                    let x = ((n * s.c_in + channel) * s.h + row - s.pad) * s.w + column - s.pad;
                    f(((n * s.c_out + o) * ho + i) * wo + j, ((o * ci + c) * kh + p) * kw + q, x);
                }
            }
        }
    }
}

/// See [`super::forward`].
pub(crate) fn forward<T: Real>(s: &ConvShape, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let plane = s.out_h() * s.out_w();
    let mut y: Vec<T> = (0..s.output_len()).map(|i| b.map_or(T::ZERO, |b| b[i / plane % s.c_out])).collect();
    each_product(s, |yi, wi, xi| y[yi] += w[wi] * x[xi]);
    y
}

/// See [`super::backward_input`].
pub(crate) fn backward_input<T: Real>(s: &ConvShape, dy: &[T], w: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; s.input_len()];
    each_product(s, |yi, wi, xi| dx[xi] += w[wi] * dy[yi]);
    dx
}

/// See [`super::backward_weight`].
pub(crate) fn backward_weight<T: Real>(s: &ConvShape, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) {
    if !accumulate {
        dw.fill(T::ZERO);
    }
    each_product(s, |yi, wi, xi| dw[wi] += x[xi] * dy[yi]);
}
