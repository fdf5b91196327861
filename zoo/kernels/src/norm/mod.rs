//! Normalisation over images and places.
//!
//! ```text
//! x, y [groups * n, c, plane];   statistics for each group and channel over n * plane values
//! m = mean(x),  v = mean((x - m)^2)                       moments
//! scale = gain * gamma / sqrt(v + eps),  shift = beta - m * scale          fold
//! y = x * scale + shift                                   affine
//! xh = (x - m) / sqrt(v + eps);  dbeta = sum dy;  dgamma = gain * sum dy * xh
//! dx = scale * (dy - mean(dy) - xh * mean(dy * xh))       backward
//! ```
//!
//! The affine is apart from the statistics, so that the neuron behind can read the current before it (see
//! [`crate::lif`]) and the normalised tensor never exists. `gain` is tdBN's `alpha * threshold` (Zheng et al.
//! 2021, eq. 6). Sums are `f64` in an order fixed by the shape.

mod plain;
pub(crate) mod sums;

use std::ops::Range;

use candle_core::Tensor;

use crate::bias::store;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::simd::multiversion;
use crate::storage::{self, Disjoint, distinct, filled, filled_chunks, read, read_opt, shares, write};
use crate::tasks::each_task;
use crate::{Result, held};

/// Sizes of a normalisation: `x` is `[groups * n, c, plane]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormShape {
    /// Sets of images with statistics of their own (time steps, or 1).
    pub groups: usize,
    /// Images of a group.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Places of a channel.
    pub plane: usize,
}

impl NormShape {
    pub(crate) fn len(&self) -> usize {
        self.groups * self.n * self.c * self.plane
    }

    fn check(&self, op: &'static str) -> Result<()> {
        ensure(self.len() > 0, op, "all sizes must be positive", || format!("{self:?}"))
    }
}

/// Mean and biased variance, each `[groups, c]`.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Mean over images and places.
    pub mean: Tensor,
    /// Mean squared distance from the mean.
    pub var: Tensor,
}

/// What the backward pass needs of one group and channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coefficients {
    /// Mean of x.
    pub(crate) mean: f64,
    /// 1 / standard deviation.
    pub(crate) inverse: f64,
    /// dy/dx with the statistics held fixed.
    pub(crate) slope: f64,
}

/// Measures mean and variance of each group and channel.
pub fn moments(s: &NormShape, x: &Tensor) -> Result<Moments> {
    const OP: &str = "norm::moments";
    s.check(OP)?;
    on_cuda!(x => crate::cuda::ops::norm::moments(OP, s, x));
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, s.len())?;
        let both = <T as Arm>::moments(s, &x);
        let part = |k: usize| both.iter().map(|m| <T as Real>::of(m[k])).collect::<Vec<T>>();
        Ok(Moments {
            mean: storage::tensor(part(0), (s.groups, s.c))?,
            var: storage::tensor(part(1), (s.groups, s.c))?,
        })
    })
}

/// Folds statistics and parameters into `(scale, shift)`, each `[groups, c]`.
pub fn fold(
    m: &Moments,
    eps: f64,
    gain: f64,
    gamma: Option<&Tensor>,
    beta: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    const OP: &str = "norm::fold";
    on_cuda!(m.mean => crate::cuda::ops::norm::fold(OP, m, eps, gain, gamma, beta));
    let (groups, c) = m.mean.dims2()?;
    dispatch!(OP, m.mean, T => {
        let k = coefficients::<T>(OP, (groups, c), m, eps, gain, gamma)?;
        let beta = read_opt::<T>(OP, "beta", beta, c)?;
        let shift = |(i, k): (usize, &Coefficients)| {
            <T as Real>::of(beta.as_deref().map_or(0.0, |b| b[i % c].wide()) - k.mean * k.slope)
        };
        Ok((
            storage::tensor(k.iter().map(|k| <T as Real>::of(k.slope)).collect::<Vec<T>>(), (groups, c))?,
            storage::tensor(k.iter().enumerate().map(shift).collect::<Vec<T>>(), (groups, c))?,
        ))
    })
}

/// Computes `y = x * scale + shift` with `scale` and `shift` `[groups, c]` or `[1, c]`.
pub fn affine(s: &NormShape, x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    const OP: &str = "norm::affine";
    s.check(OP)?;
    on_cuda!(x => crate::cuda::ops::channels::affine(OP, s, x, scale, shift, None));
    let (shape, dtype) = (x.shape().clone(), x.dtype());
    let own = if scale.elem_count() == s.c { 1 } else { s.groups };
    dispatch!(OP, x, T => {
        let (scale, shift) = (read::<T>(OP, "scale", scale, own * s.c)?, read::<T>(OP, "shift", shift, own * s.c)?);
        let (x, scale, shift) = (read::<T>(OP, "x", x, s.len())?, &*scale, &*shift);
        let x = &*x;
        let rows = rows_per_task(s);
        // SAFETY: `affine_rows` writes each element of its chunk.
        let y = unsafe {
            filled_chunks(s.len(), rows * s.plane, |task, out| {
                let at = task * rows * s.plane;
                affine_rows(s, task * rows, own, &x[at..at + out.len()], scale, shift, out)
            })
        };
        held::made(y, shape, dtype)
    })
}

/// Computes the gradient of the input and, where asked for, of gamma and beta (`true`: on top of what they held).
///
/// `dy` is overwritten with the result when it is the caller's `own`.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub fn backward(
    s: &NormShape,
    x: &Tensor,
    dy: Tensor,
    own: bool,
    m: &Moments,
    eps: f64,
    gain: f64,
    gamma: Option<&Tensor>,
    dgamma: Option<(&Tensor, bool)>,
    dbeta: Option<(&Tensor, bool)>,
) -> Result<Tensor> {
    const OP: &str = "norm::backward";
    s.check(OP)?;
    let own = own && !shares(x, &dy);
    for (what, into) in [("dgamma", dgamma), ("dbeta", dbeta)] {
        if let Some((into, _)) = into {
            distinct(OP, (what, into), &[("x", x), ("dy", &dy)])?;
        }
    }
    on_cuda!(x => {
        let dx = if own { dy } else { crate::elementwise::copied(&dy)? };
        crate::cuda::ops::norm::backward(OP, s, x, dx, m, eps, gain, gamma, dgamma, dbeta)
    });
    dispatch!(OP, x, T => {
        let k = coefficients::<T>(OP, (s.groups, s.c), m, eps, gain, gamma)?;
        let x = read::<T>(OP, "x", x, s.len())?;
        let (dx, sums) = if own {
            let sums = write::<T, _>(OP, "dy", &dy, s.len(), |dy| <T as Arm>::backward_in_place(s, &x, dy, &k))?;
            (dy, sums)
        } else {
            let (dx, sums) = <T as Arm>::backward(s, &x, &read::<T>(OP, "dy", &dy, s.len())?, &k);
            (held::made(dx, dy.shape(), dy.dtype())?, sums)
        };
        for (what, into, which, gain) in [("dgamma", dgamma, 1, gain), ("dbeta", dbeta, 0, 1.0)] {
            if let Some((into, accumulate)) = into {
                let over_groups = |ch: usize| gain * (0..s.groups).map(|g| sums[g * s.c + ch][which]).sum::<f64>();
                let total: Vec<f64> = (0..s.c).map(over_groups).collect();
                write::<T, _>(OP, what, into, s.c, |into| store(into, &total, accumulate))?;
            }
        }
        Ok(dx)
    })
}

/// Moves running statistics `[c]` towards those of one group: `r += momentum * (batch - r)`.
///
/// `count` is `n * plane`; the variance is made unbiased, as every framework does.
pub fn update_running(
    mean: &Tensor,
    var: &Tensor,
    m: &Moments,
    group: usize,
    count: usize,
    momentum: f64,
) -> Result<()> {
    const OP: &str = "norm::update_running";
    let (groups, c) = m.mean.dims2()?;
    ensure(group < groups, OP, "the group must exist", || format!("{group} of {groups}"))?;
    let unbias = if count > 1 { count as f64 / (count as f64 - 1.0) } else { 1.0 };
    on_cuda!(mean => {
        for (running, batch, factor) in [(mean, &m.mean, 1.0), (var, &m.var, unbias)] {
            crate::cuda::ops::norm::update_running(OP, running, batch, (group, c), factor, momentum)?;
        }
        Ok(())
    });
    dispatch!(OP, mean, T => {
        for (what, running, batch, factor) in [("mean", mean, &m.mean, 1.0), ("var", var, &m.var, unbias)] {
            distinct(OP, (what, running), &[("moments", batch)])?;
            let batch = read::<T>(OP, "moments", batch, groups * c)?;
            write::<T, _>(OP, what, running, c, |running| {
                for (r, b) in running.iter_mut().zip(&batch[group * c..]) {
                    *r = <T as Real>::of(r.wide() + momentum * (b.wide() * factor - r.wide()));
                }
            })?;
        }
        Ok(())
    })
}

fn coefficients<T: Real>(
    op: &'static str,
    (groups, c): (usize, usize),
    m: &Moments,
    eps: f64,
    gain: f64,
    gamma: Option<&Tensor>,
) -> Result<Vec<Coefficients>> {
    let (mean, var) =
        (read::<T>(op, "mean", &m.mean, groups * c)?, read::<T>(op, "var", &m.var, groups * c)?);
    let gamma = read_opt::<T>(op, "gamma", gamma, c)?;
    Ok((0..groups * c)
        .map(|i| {
            let inverse = 1.0 / (var[i].wide() + eps).sqrt();
            let slope = gain * gamma.as_deref().map_or(1.0, |g| g[i % c].wide()) * inverse;
            Coefficients { mean: mean[i].wide(), inverse, slope }
        })
        .collect())
}

/// The kernels of one number type.
trait Arm: Real {
    fn moments(s: &NormShape, x: &[Self]) -> Vec<[f64; 2]>;
    fn backward(s: &NormShape, x: &[Self], dy: &[Self], k: &[Coefficients]) -> (Vec<Self>, Vec<[f64; 2]>);
    fn backward_in_place(s: &NormShape, x: &[Self], dy: &mut [Self], k: &[Coefficients]) -> Vec<[f64; 2]>;
}

impl Arm for f64 {
    fn moments(s: &NormShape, x: &[f64]) -> Vec<[f64; 2]> {
        plain::moments(s, x)
    }

    fn backward(s: &NormShape, x: &[f64], dy: &[f64], k: &[Coefficients]) -> (Vec<f64>, Vec<[f64; 2]>) {
        let mut dx = dy.to_vec();
        let sums = plain::backward(s, x, &mut dx, k);
        (dx, sums)
    }

    fn backward_in_place(s: &NormShape, x: &[f64], dy: &mut [f64], k: &[Coefficients]) -> Vec<[f64; 2]> {
        plain::backward(s, x, dy, k)
    }
}

impl Arm for f32 {
    /// One pass: with `f64` sums the difference of squares still has the accuracy of `f32` input.
    fn moments(s: &NormShape, x: &[f32]) -> Vec<[f64; 2]> {
        let count = (s.n * s.plane) as f64;
        sums::sums(s.groups, s.n, s.c, s.plane, x, x)
            .iter()
            .map(|[sum, square]| [sum / count, (square / count - (sum / count).powi(2)).max(0.0)])
            .collect()
    }

    fn backward(s: &NormShape, x: &[f32], dy: &[f32], k: &[Coefficients]) -> (Vec<f32>, Vec<[f64; 2]>) {
        let mut sums = Vec::new();
        // SAFETY: the runs of all tasks cover the buffer, and `slopes_of` writes each element of its run.
        let dx = unsafe {
            filled(dy.len(), |dx| {
                let dx = Disjoint::new(dx);
                let at = |run: Range<usize>| (&dy[run.clone()], Some(&x[run]));
                sums = each_block(s, dy.len(), k, at, |run, slopes| {
                    slopes_of(&dy[run.clone()], &x[run.clone()], s.plane, slopes, dx.part(run));
                });
            })
        };
        (dx, sums)
    }

    fn backward_in_place(s: &NormShape, x: &[f32], dy: &mut [f32], k: &[Coefficients]) -> Vec<[f64; 2]> {
        let (len, dy) = (dy.len(), Disjoint::new(dy));
        // SAFETY: tasks are blocks of channels, whose elements are disjoint; the parts live for one call each.
        let at = |run: Range<usize>| (&*unsafe { dy.part(run.clone()) }, Some(&x[run]));
        each_block(s, len, k, at, |run, slopes| {
            // SAFETY: as above.
            slope_planes(unsafe { dy.part(run.clone()) }, &x[run], s.plane, slopes);
        })
    }
}

/// Sums blocks of channels, `dy` and `x` lent by `at`, and calls `f(run, slopes)` for the runs of each while they are in cache;
/// gives `[sum dy, sum dy * normalised x]` of each group and channel.
fn each_block<'a>(
    s: &NormShape,
    len: usize,
    k: &[Coefficients],
    at: impl Fn(Range<usize>) -> (&'a [f32], Option<&'a [f32]>) + Sync,
    f: impl Fn(Range<usize>, &[Slope]) + Sync,
) -> Vec<[f64; 2]> {
    let count = (s.n * s.plane) as f64;
    let width = sums::channels_per_task(s.c, s.plane);
    let blocks = s.c.div_ceil(width);
    let mut all = vec![[0.0; 2]; k.len()];
    let out = Disjoint::new(&mut all);
    each_task(s.groups * blocks, len, |task| {
        let (g, channels) = (task / blocks, sums::block_of(task % blocks, width, s.c));
        let (images, places) = (g * s.n..(g + 1) * s.n, g * s.c + channels.start..g * s.c + channels.end);
        let k = &k[places.clone()];
        // SAFETY: one block a task.
        let sums = unsafe { out.part(places) };
        let raw = sums::block(images.clone(), channels.clone(), s.c, s.plane, &at);
        for ((sums, [sum, dot]), k) in sums.iter_mut().zip(raw).zip(k) {
            *sums = [sum, (dot - k.mean * sum) * k.inverse];
        }
        let slopes: Vec<Slope> = k.iter().zip(&*sums).map(|(k, sums)| Slope::new(k, *sums, count)).collect();
        for i in images {
            f((i * s.c + channels.start) * s.plane..(i * s.c + channels.end) * s.plane, &slopes);
        }
    });
    all
}

/// Rows of `plane` that one task handles: about 16 thousand elements.
pub(crate) fn rows_per_task(s: &NormShape) -> usize {
    ((1 << 14) / s.plane.max(1)).clamp(1, s.groups * s.n * s.c).next_multiple_of(if s.plane == 1 {
        s.c
    } else {
        1
    })
}

/// The numbers of a channel that turn the output's gradient into the input's.
struct Slope {
    slope: f32,
    level: f32,
    mean: f32,
    tilt: f32,
}

impl Slope {
    fn new(k: &Coefficients, sums: [f64; 2], count: f64) -> Slope {
        let (level, tilt) = ((sums[0] / count) as f32, (sums[1] / count * k.inverse) as f32);
        Slope { slope: k.slope as f32, level, mean: k.mean as f32, tilt }
    }

    #[inline(always)]
    fn apply(&self, dy: f32, x: f32) -> f32 {
        self.slope * (dy - self.level - (x - self.mean) * self.tilt)
    }
}

multiversion! {
    fn slope_planes(dy: &mut [f32], x: &[f32], plane: usize, slopes: &[Slope]) {
        if plane == 1 {
            for ((dy, x), k) in dy.iter_mut().zip(x).zip(slopes) {
                *dy = k.apply(*dy, *x);
            }
            return;
        }
        for ((dy, x), k) in dy.chunks_exact_mut(plane).zip(x.chunks_exact(plane)).zip(slopes) {
            for (dy, x) in dy.iter_mut().zip(x) {
                *dy = k.apply(*dy, *x);
            }
        }
    }
}

multiversion! {
    /// As `slope_planes`, into a buffer of its own.
    fn slopes_of(dy: &[f32], x: &[f32], plane: usize, slopes: &[Slope], dx: &mut [std::mem::MaybeUninit<f32>]) {
        if plane == 1 {
            for (((dx, dy), x), k) in dx.iter_mut().zip(dy).zip(x).zip(slopes) {
                dx.write(k.apply(*dy, *x));
            }
            return;
        }
        let planes = dx.chunks_exact_mut(plane).zip(dy.chunks_exact(plane)).zip(x.chunks_exact(plane));
        for (((dx, dy), x), k) in planes.zip(slopes) {
            for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
                dx.write(k.apply(*dy, *x));
            }
        }
    }
}

multiversion! {
    fn affine_rows<T: Real>(
        s: &NormShape, first: usize, own: usize, x: &[T], scale: &[T], shift: &[T], out: &mut [std::mem::MaybeUninit<T>],
    ) {
        let group = |row: usize| if own == 1 { 0 } else { row / (s.n * s.c) * s.c };
        if s.plane == 1 {
            // Whole rows of channels: the chunk is a multiple of c.
            for (i, (x, out)) in x.chunks(s.c).zip(out.chunks_mut(s.c)).enumerate() {
                let g = group(first + i * s.c);
                let (scale, shift) = (&scale[g..g + s.c], &shift[g..g + s.c]);
                for (((out, x), a), b) in out.iter_mut().zip(x).zip(scale).zip(shift) {
                    out.write(*x * *a + *b);
                }
            }
            return;
        }
        for (i, (x, out)) in x.chunks(s.plane).zip(out.chunks_mut(s.plane)).enumerate() {
            let row = first + i;
            let (a, b) = (scale[group(row) + row % s.c], shift[group(row) + row % s.c]);
            for (out, x) in out.iter_mut().zip(x) {
                out.write(*x * a + b);
            }
        }
    }
}
