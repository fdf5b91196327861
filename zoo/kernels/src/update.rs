//! Parameter updates, in place.
//!
//! ```text
//! sgd   g' = g + wd * p;  v = momentum * v + g';  p -= lr * v          (nesterov: p -= lr * (g' + momentum * v))
//! adam  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * (m / c1) / (sqrt(v / c2) + eps),  ci = 1 - bi^step
//!       decoupled (AdamW): p *= 1 - lr * wd first; else g' = g + wd * p
//! lamb  u = (m / c1) / (sqrt(v / c2) + eps) + wd * p;  p -= lr * r * u,  r = |p| / |u| (1 where either is 0)
//! clip  g_i *= min(1, c * max(|p_i|, eps) / max(|g_i|, 1e-6)) for each unit i, a row of the leading axis
//! mean  a = decay * a + (1 - decay) * p
//! ```
//!
//! Semantics are those of PyTorch's SGD, Adam and AdamW and of timm's LAMB, adaptive clipping and model average.

use candle_core::Tensor;

use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::elementwise::BLOCK;
use crate::error::ensure;
use crate::norm::sums::span;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{Disjoint, distinct, read, write};
use crate::tasks::{each_chunk, each_task, map_tasks};
use crate::{Result, Scalar};

/// Updates `p` by stochastic gradient descent; without `velocity` there is no momentum.
///
/// The velocity starts at zero, which makes the first step the plain gradient, as in PyTorch.
pub fn sgd(
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
) -> Result<()> {
    const OP: &str = "update::sgd";
    distinct(OP, ("p", p), &[("g", g)])?;
    on_cuda!(p => {
        if let Some(velocity) = velocity {
            distinct(OP, ("velocity", velocity), &[("p", p)])?;
        }
        crate::cuda::ops::update::sgd(OP, p, g, velocity, lr, momentum, weight_decay, nesterov)
    });
    dispatch!(OP, p, T => {
        let len = p.elem_count();
        let g = read::<T>(OP, "g", g, len)?;
        let k = [lr, momentum, weight_decay].map(<T as Real>::of);
        match velocity {
            Some(velocity) => {
                distinct(OP, ("velocity", velocity), &[("p", p)])?;
                write::<T, _>(OP, "velocity", velocity, len, |v| {
                    write::<T, _>(OP, "p", p, len, |p| {
                        zip_blocks([p, v], &g, |[p, v], g| sgd_span(p, v, g, k, nesterov));
                    })
                })?
            }
            None => write::<T, _>(OP, "p", p, len, |p| {
                zip_blocks([p], &g, |[p], g| descend_span(p, g, k[0], k[2]));
            }),
        }
    })
}

/// The constants of Adam's moving averages at one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averages {
    /// Which update it is, from 1.
    pub step: u64,
    /// Decay of the mean and of the mean square.
    pub betas: [f64; 2],
    /// Added to the root.
    pub eps: f64,
}

/// What LAMB's trust ratio `|p| / |u|` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the step is taken as it is.
    Off,
    /// It scales the step.
    Free,
    /// It scales the step, and is at most 1.
    Clipped,
}

/// Updates `p` by Adam, or AdamW when the decay is `decoupled`.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub fn adam(
    p: &Tensor,
    g: &Tensor,
    m: &Tensor,
    v: &Tensor,
    at: Averages,
    lr: f64,
    wd: f64,
    decoupled: bool,
) -> Result<()> {
    const OP: &str = "update::adam";
    all_distinct(OP, p, g, m, v)?;
    on_cuda!(p => crate::cuda::ops::update::adam(OP, [p, g, m, v], at, lr, wd, decoupled));
    dispatch!(OP, p, T => {
        let len = p.elem_count();
        let g = read::<T>(OP, "g", g, len)?;
        let k = Moving::<T>::new(at);
        let (lr_t, pull) = (<T as Real>::of(lr), <T as Real>::of(if decoupled { 0.0 } else { wd }));
        let keep = <T as Real>::of(if decoupled { 1.0 - lr * wd } else { 1.0 });
        write::<T, _>(OP, "v", v, len, |v| {
            write::<T, _>(OP, "m", m, len, |m| {
                write::<T, _>(OP, "p", p, len, |p| {
                    zip_blocks([p, m, v], &g, |[p, m, v], g| adam_span(p, m, v, g, &k, lr_t, pull, keep));
                })
            })
        })??
    })
}

/// Updates `p` by LAMB.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub fn lamb(
    p: &Tensor,
    g: &Tensor,
    m: &Tensor,
    v: &Tensor,
    at: Averages,
    lr: f64,
    wd: f64,
    trust: Trust,
) -> Result<()> {
    const OP: &str = "update::lamb";
    all_distinct(OP, p, g, m, v)?;
    on_cuda!(p => crate::cuda::ops::update::lamb(OP, [p, g, m, v], at, lr, wd, trust));
    dispatch!(OP, p, T => {
        let len = p.elem_count();
        let g = read::<T>(OP, "g", g, len)?;
        let (k, decay) = (Moving::<T>::new(at), <T as Real>::of(wd));
        let mut direction = vec![<T as Real>::ZERO; len];
        write::<T, _>(OP, "v", v, len, |v| {
            write::<T, _>(OP, "m", m, len, |m| {
                write::<T, _>(OP, "p", p, len, |p| {
                    zip_blocks([&mut *p, &mut direction, m, v], &g, |[p, u, m, v], g| {
                        lamb_span(p, u, m, v, g, &k, decay);
                    });
                    let rate = <T as Real>::of(lr * trust_ratio(trust, p, &direction));
                    zip_blocks([p], &direction, |[p], u| descend_span(p, u, rate, T::ZERO));
                })
            })
        })??
    })
}

fn trust_ratio<T: Real>(trust: Trust, p: &[T], direction: &[T]) -> f64 {
    if trust == Trust::Off {
        return 1.0;
    }
    let (weight, change) = (norm(p), norm(direction));
    let ratio = if weight > 0.0 && change > 0.0 { weight / change } else { 1.0 };
    if trust == Trust::Clipped { ratio.min(1.0) } else { ratio }
}

/// Scales each of `units` equal parts of `g` down to `factor` times the norm of the same part of `p`, which counts as
/// at least `eps`; parts below it stay.
pub fn clip_units(p: &Tensor, g: &Tensor, units: usize, factor: f64, eps: f64) -> Result<()> {
    const OP: &str = "update::clip_units";
    distinct(OP, ("g", g), &[("p", p)])?;
    let len = g.elem_count();
    ensure(units > 0 && len.is_multiple_of(units), OP, "units must divide the elements", || {
        format!("{units} units of {len} elements")
    })?;
    on_cuda!(g => crate::cuda::ops::update::clip_units(OP, p, g, units, factor, eps));
    dispatch!(OP, g, T => {
        let p = read::<T>(OP, "p", p, len)?;
        let p = &*p;
        write::<T, _>(OP, "g", g, len, |g| {
            if units == 1 {
                // One long part is summed and scaled in blocks.
                if let Some(scale) = unit_scale(norm(p), norm(g), factor, eps) {
                    let scale = <T as Real>::of(scale);
                    each_chunk(g, BLOCK, |_, g| g.iter_mut().for_each(|g| *g *= scale));
                }
                return;
            }
            let each = len / units;
            // As many whole units a task as fill a block: a depthwise filter alone is a few elements.
            let rows = (BLOCK / each.max(1)).max(1);
            each_chunk(g, rows * each, |task, g| {
                let p = &p[task * rows * each..];
                for (g, p) in g.chunks_mut(each).zip(p.chunks(each)) {
                    let [weight, pull] = [span(p, p)[1].sqrt(), span(g, g)[1].sqrt()];
                    if let Some(scale) = unit_scale(weight, pull, factor, eps) {
                        let scale = <T as Real>::of(scale);
                        g.iter_mut().for_each(|g| *g *= scale);
                    }
                }
            });
        })
    })
}

/// What a gradient of norm `pull` is multiplied by, if it is too long for a weight of norm `weight`. Below 1e-6 the
/// norm counts as 1e-6, as timm has it: it never matters where `factor * eps` is above.
fn unit_scale(weight: f64, pull: f64, factor: f64, eps: f64) -> Option<f64> {
    let most = weight.max(eps) * factor;
    // Written so that a NaN stays for the trainer to see.
    if pull < most { None } else { Some(most / pull.max(1e-6)) }
}

/// Moves an average: `average = decay * average + (1 - decay) * x`.
pub fn average(average: &Tensor, x: &Tensor, decay: f64) -> Result<()> {
    const OP: &str = "update::average";
    distinct(OP, ("average", average), &[("x", x)])?;
    on_cuda!(average => crate::cuda::ops::update::average(OP, average, x, decay));
    dispatch!(OP, average, T => {
        let x = read::<T>(OP, "x", x, average.elem_count())?;
        let (x, keep, take) = (&*x, <T as Real>::of(decay), <T as Real>::of(1.0 - decay));
        write::<T, _>(OP, "average", average, x.len(), |average| {
            each_chunk(average, BLOCK, |i, average| average_span(average, &x[i * BLOCK..], keep, take));
        })
    })
}

/// Exchanges the elements of two tensors where they lie.
pub fn swap(a: &Tensor, b: &Tensor) -> Result<()> {
    const OP: &str = "update::swap";
    distinct(OP, ("a", a), &[("b", b)])?;
    on_cuda!(a => crate::cuda::ops::update::swap(OP, a, b));
    dispatch!(OP, a, T => {
        let len = a.elem_count();
        write::<T, _>(OP, "a", a, len, |a| write::<T, _>(OP, "b", b, len, |b| a.swap_with_slice(b)))?
    })
}

/// The Euclidean norm of all tensors together, summed in `f64` in an order fixed by their lengths. It is a finite number where
/// all elements are.
pub fn norm_of(all: &[&Tensor]) -> Result<Scalar> {
    const OP: &str = "update::norm_of";
    let Some(first) = all.first() else { return Ok(Scalar::host(0.0)) };
    on_cuda!(first => crate::cuda::ops::update::norm_of(OP, all));
    let mut squares = 0.0;
    for x in all {
        let own: f64 =
            dispatch!(OP, first, T => Ok(norm::<T>(&read(OP, "x", x, x.elem_count())?)) as Result<f64>)?;
        squares += own.powi(2);
    }
    Ok(Scalar::host(squares.sqrt()))
}

/// Shortens a gradient by the norm of all of them: `x *= min(1, most / (norm + eps))`. The norm need not have been read.
pub fn shorten(x: &Tensor, norm: &Scalar, most: f64, eps: f64) -> Result<()> {
    on_cuda!(x => crate::cuda::ops::update::shorten("update::shorten", x, norm, most, eps));
    let norm = match norm.at_hand() {
        Some(norm) => norm,
        None => norm.read()?,
    };
    let factor = most / (norm + eps);
    if factor < 1.0 { crate::elementwise::scale_assign(x, factor) } else { Ok(()) }
}

fn norm<T: Real>(x: &[T]) -> f64 {
    let parts = map_tasks(x.len().div_ceil(BLOCK), x.len(), |i| {
        let x = &x[i * BLOCK..x.len().min((i + 1) * BLOCK)];
        span(x, x)[1]
    });
    parts.iter().sum::<f64>().sqrt()
}

fn all_distinct(op: &'static str, p: &Tensor, g: &Tensor, m: &Tensor, v: &Tensor) -> Result<()> {
    distinct(op, ("p", p), &[("g", g), ("m", m), ("v", v)])?;
    distinct(op, ("m", m), &[("g", g), ("v", v)])?;
    distinct(op, ("v", v), &[("g", g)])
}

/// Runs `f` on blocks of `N` tensors that change and one that is read, in parallel.
fn zip_blocks<T: Real, const N: usize>(
    written: [&mut [T]; N],
    read: &[T],
    f: impl Fn([&mut [T]; N], &[T]) + Sync + Send,
) {
    let (len, written) = (read.len(), written.map(Disjoint::new));
    each_task(len.div_ceil(BLOCK), len, |task| {
        let at = task * BLOCK..len.min((task + 1) * BLOCK);
        // SAFETY: each task has its own block of each tensor.
        let parts = std::array::from_fn(|i| unsafe { written[i].part(at.clone()) });
        f(parts, &read[at.clone()]);
    });
}

/// The constants of the moving averages at one step.
pub(crate) struct Moving<T> {
    pub(crate) b1: T,
    pub(crate) b2: T,
    pub(crate) rest1: T,
    pub(crate) rest2: T,
    /// One over the bias corrections.
    pub(crate) unbias1: T,
    pub(crate) unbias2: T,
    pub(crate) eps: T,
}

impl<T: Real> Moving<T> {
    pub(crate) fn new(at: Averages) -> Self {
        let Averages { step, betas: [b1, b2], eps } = at;
        let unbias = |b: f64| T::of(1.0 / (1.0 - b.powi(step.clamp(1, i32::MAX as u64) as i32)));
        Moving {
            b1: T::of(b1),
            b2: T::of(b2),
            rest1: T::of(1.0 - b1),
            rest2: T::of(1.0 - b2),
            unbias1: unbias(b1),
            unbias2: unbias(b2),
            eps: T::of(eps),
        }
    }

    /// Moves both averages and gives the direction.
    #[inline(always)]
    fn step(&self, m: &mut T, v: &mut T, g: T) -> T {
        *m = self.b1 * *m + self.rest1 * g;
        *v = self.b2 * *v + self.rest2 * g * g;
        (*m * self.unbias1) / ((*v * self.unbias2).sqrt() + self.eps)
    }
}

multiversion! {
    fn descend_span<T: Real>(p: &mut [T], g: &[T], lr: T, decay: T) {
        for (p, g) in p.iter_mut().zip(g) {
            *p -= lr * (*g + decay * *p);
        }
    }
}

multiversion! {
    fn average_span<T: Real>(average: &mut [T], x: &[T], keep: T, take: T) {
        for (average, x) in average.iter_mut().zip(x) {
            *average = keep * *average + take * *x;
        }
    }
}

multiversion! {
    fn sgd_span<T: Real>(p: &mut [T], v: &mut [T], g: &[T], k: [T; 3], nesterov: bool) {
        let [lr, momentum, decay] = k;
        for ((p, v), g) in p.iter_mut().zip(v).zip(g) {
            let g = *g + decay * *p;
            *v = momentum * *v + g;
            *p -= lr * if nesterov { g + momentum * *v } else { *v };
        }
    }
}

multiversion! {
    fn adam_span<T: Real>(p: &mut [T], m: &mut [T], v: &mut [T], g: &[T], k: &Moving<T>, lr: T, pull: T, keep: T) {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let u = k.step(m, v, *g + pull * *p);
            *p = *p * keep - lr * u;
        }
    }
}

multiversion! {
    fn lamb_span<T: Real>(p: &[T], u: &mut [T], m: &mut [T], v: &mut [T], g: &[T], k: &Moving<T>, decay: T) {
        for ((((p, u), m), v), g) in p.iter().zip(u).zip(m).zip(v).zip(g) {
            *u = k.step(m, v, *g) + decay * *p;
        }
    }
}
