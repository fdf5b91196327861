//! The equation as loops, in any number type: slow, and right.

use super::Sizes;
use crate::real::Real;

/// See [`super::forward`].
pub(super) fn forward<T: Real>(s: Sizes, x: &[T], w: &[T], b: Option<&[T]>) -> Vec<T> {
    let mut y = Vec::with_capacity(s.rows * s.outputs);
    for x in x.chunks(s.inputs) {
        for (o, w) in w.chunks(s.inputs).enumerate() {
            let start = b.map_or(T::ZERO, |b| b[o]);
            y.push(x.iter().zip(w).fold(start, |sum, (x, w)| sum + *x * *w));
        }
    }
    y
}

/// See [`super::backward_input`].
pub(super) fn backward_input<T: Real>(s: Sizes, dy: &[T], w: &[T]) -> Vec<T> {
    let mut dx = vec![T::ZERO; s.rows * s.inputs];
    for (dx, dy) in dx.chunks_mut(s.inputs).zip(dy.chunks(s.outputs)) {
        for (g, w) in dy.iter().zip(w.chunks(s.inputs)) {
            dx.iter_mut().zip(w).for_each(|(dx, w)| *dx += *g * *w);
        }
    }
    dx
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight<T: Real>(s: Sizes, x: &[T], dy: &[T], dw: &mut [T], accumulate: bool) {
    if !accumulate {
        dw.fill(T::ZERO);
    }
    for (x, dy) in x.chunks(s.inputs).zip(dy.chunks(s.outputs)) {
        for (g, dw) in dy.iter().zip(dw.chunks_mut(s.inputs)) {
            dw.iter_mut().zip(x).for_each(|(dw, x)| *dw += *g * *x);
        }
    }
}
