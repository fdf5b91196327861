//! The equations as loops, one neuron after the other, in any number type.

use super::surrogate::{Slope, with_slope};
use super::{Cell, Input, LifShape, Reset, ResetGrad};
use crate::real::Real;

/// Membrane and spike of one neuron at one step.
#[derive(Clone, Copy)]
struct Step<T> {
    u: T,
    s: T,
    h: T,
}

fn fire<T: Real, H: Slope<T>>(cell: &Cell, h: H, u: T) -> Step<T> {
    let x = u - T::of(cell.threshold);
    let s = if cell.smooth {
        h.primitive(u, x)
    } else if x > T::ZERO || (!cell.strict && x == T::ZERO) {
        T::ONE
    } else {
        T::ZERO
    };
    Step { u, s, h: h.at(u, x) }
}

fn reset<T: Real>(cell: &Cell, at: Step<T>) -> T {
    match cell.reset {
        Reset::Soft => at.u - T::of(cell.threshold) * at.s,
        // A whole spike puts the membrane on the value itself, not near it.
        Reset::Hard(v) if !cell.smooth => {
            if at.s == T::ONE {
                T::of(v)
            } else {
                at.u
            }
        }
        Reset::Hard(v) => (T::ONE - at.s) * at.u + at.s * T::of(v),
        Reset::None => at.u,
    }
}

/// dv/du of one step.
fn through_reset<T: Real>(cell: &Cell, at: Step<T>) -> T {
    match (cell.reset, cell.reset_grad) {
        (Reset::None, _) | (Reset::Soft, ResetGrad::Detached) => T::ONE,
        (Reset::Soft, ResetGrad::Through) => T::ONE - T::of(cell.threshold) * at.h,
        (Reset::Hard(_), ResetGrad::Detached) => T::ONE - at.s,
        (Reset::Hard(v), ResetGrad::Through) => T::ONE - at.s + (T::of(v) - at.u) * at.h,
    }
}

/// All steps of neuron `j` of row `r`.
fn run<T: Real, H: Slope<T>>(
    s: &LifShape,
    cell: &Cell,
    h: H,
    input: &Input<T>,
    (r, j): (usize, usize),
) -> (Vec<Step<T>>, T) {
    let mut v = input.v0.map_or(T::ZERO, |v0| v0[r * s.plane + j]);
    let mut steps = Vec::with_capacity(s.steps);
    for t in 0..s.steps {
        let u = T::of(cell.decay) * v + T::of(cell.input_gain) * input.current(s, t, r, j);
        let at = fire(cell, h, u);
        v = reset(cell, at);
        steps.push(at);
    }
    (steps, v)
}

/// Spikes `[steps, rows, plane]` as numbers, and the last membrane `[rows, plane]`.
pub(crate) fn forward<T: Real>(s: &LifShape, cell: &Cell, input: &Input<T>) -> (Vec<T>, Vec<T>) {
    let frame = s.rows * s.plane;
    let (mut spikes, mut last) = (vec![T::ZERO; s.steps * frame], vec![T::ZERO; frame]);
    with_slope!(cell.surrogate, T, h => {
        for i in 0..frame {
            let (steps, v) = run(s, cell, h, input, (i / s.plane, i % s.plane));
            for (t, at) in steps.iter().enumerate() {
                spikes[t * frame + i] = at.s;
            }
            last[i] = v;
        }
    });
    (spikes, last)
}

/// Gradient of the current, one frame a step when `per_step`, else their sum; and that of the first membrane.
pub(crate) fn backward<T: Real>(
    s: &LifShape,
    cell: &Cell,
    input: &Input<T>,
    ds: &[T],
    dlast: Option<&[T]>,
    per_step: bool,
) -> (Vec<T>, Vec<T>) {
    let frame = s.rows * s.plane;
    let mut di = vec![T::ZERO; if per_step { s.steps } else { 1 } * frame];
    let mut dv0 = vec![T::ZERO; frame];
    with_slope!(cell.surrogate, T, h => {
        for i in 0..frame {
            let (steps, _) = run(s, cell, h, input, (i / s.plane, i % s.plane));
            let mut gv = dlast.map_or(T::ZERO, |d| d[i]);
            for (t, at) in steps.iter().enumerate().rev() {
                let gu = ds[t * frame + i] * at.h + gv * through_reset(cell, *at);
                gv = if cell.time_gradient { T::of(cell.decay) * gu } else { T::ZERO };
                di[if per_step { t * frame } else { 0 } + i] += T::of(cell.input_gain) * gu;
            }
            dv0[i] = gv;
        }
    });
    (di, dv0)
}
