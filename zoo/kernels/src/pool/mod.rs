//! Pooling over windows of a plane.
//!
//! ```text
//! average: y[r, i, j] = sum over the window of x[r, ..] / count      count = k*k, or the places inside the plane
//! maximum: y[r, i, j] = max over the places inside the plane; its gradient goes to the first maximum
//! x [n_c, h, w]   y [n_c, h_out, w_out]   window (i, j) starts at (i*stride - pad, j*stride - pad)
//! ```
//!
//! Spikes stay bits where they can: the maximum of bits is their OR.

mod adaptive;
mod threes;
mod words;

use candle_core::{DType, Tensor};

use crate::bits::{Bits, Lent, lend, pack_flags};
use crate::cuda::on_cuda;
use crate::dispatch::{dispatch, refusal};
use crate::error::ensure;
use crate::norm::sums::span;
use crate::real::Real;
use crate::scratch::{self, Slot};
use crate::simd::multiversion;
use crate::storage::{filled_chunks, read};
use crate::{Operand, Result, held};

pub use adaptive::{AdaptiveShape, adaptive_avg_backward, adaptive_avg_forward};

/// Elements of one piece of work.
const BLOCK: usize = 1 << 13;

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Planes: images times channels.
    pub n_c: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Stride, both ways.
    pub stride: usize,
    /// Places around the input; they are no maximum, and count in an average only when asked for.
    pub pad: usize,
}

impl PoolShape {
    /// Output rows (a window that does not fit is left out).
    pub fn out_h(&self) -> usize {
        (self.h + 2 * self.pad + 1).saturating_sub(self.kernel).div_ceil(self.stride.max(1))
    }

    /// Output columns.
    pub fn out_w(&self) -> usize {
        (self.w + 2 * self.pad + 1).saturating_sub(self.kernel).div_ceil(self.stride.max(1))
    }

    fn check(&self, op: &'static str) -> Result<()> {
        let holds = self.stride > 0 && self.kernel > 0 && 2 * self.pad <= self.kernel && self.out() > 0;
        ensure(holds && self.n_c > 0, op, "a window must fit and its half cover the padding", || {
            format!("{self:?}")
        })
    }

    fn plane(&self) -> usize {
        self.h * self.w
    }

    fn out(&self) -> usize {
        self.out_h() * self.out_w()
    }

    /// Places of the window with output index `i`, inside the input's `len`.
    #[inline(always)]
    fn window(&self, i: usize, len: usize) -> std::ops::Range<usize> {
        let start = i * self.stride;
        start.saturating_sub(self.pad).min(len)..(start + self.kernel).saturating_sub(self.pad).min(len)
    }

    /// Calls `f(output index, rows, columns)` for each window.
    #[inline(always)]
    fn each_window(&self, mut f: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>)) {
        let wo = self.out_w();
        for i in 0..self.out_h() {
            let rows = self.window(i, self.h);
            for j in 0..wo {
                f(i * wo + j, rows.clone(), self.window(j, self.w));
            }
        }
    }

    /// Calls `f(output index, place of the first value)` for each window of `K` by `K`, without padding.
    #[inline(always)]
    fn each_whole_window<const K: usize>(&self, mut f: impl FnMut(usize, usize)) {
        debug_assert!(self.pad == 0 && self.kernel == K);
        let wo = self.out_w();
        for i in 0..self.out_h() {
            for j in 0..wo {
                f(i * wo + j, i * self.stride * self.w + j * self.stride);
            }
        }
    }

    /// What a window's sum is divided by.
    #[inline(always)]
    fn count(&self, inside: usize, count_pad: bool) -> usize {
        if count_pad { self.kernel * self.kernel } else { inside.max(1) }
    }
}

/// Runs `f(row of x, row of y, spare)` on each plane, in parallel; gives the outputs `[n_c, out]`. A row of y comes as
/// zeros, put there a row at a time: the buffer is written while it is in cache, and not zeroed as a whole before. What
/// `f` needs besides, it makes in `spare`, which is empty at first and then as `f` left it.
fn map_planes<T: Real>(
    (rows, plane, out): (usize, usize, usize),
    x: &Lent<T>,
    f: impl Fn(&[T], &mut [T], &mut Vec<T>) + Sync,
) -> Vec<T> {
    let (source, per_task) = (x.source(), (BLOCK / plane.max(out).max(1)).max(1));
    // SAFETY: each row of each chunk is written.
    unsafe {
        filled_chunks(rows * out, per_task * out, |task, y| {
            // One plane of spikes at a time is expanded, and numbers are read where they lie.
            scratch::vector(Slot::Row, |expanded| {
                scratch::vector(Slot::Other, |spare| {
                    for (k, y) in y.chunks_mut(out).enumerate() {
                        f(source.row(task * per_task + k, plane, expanded), zeroed(y), spare);
                    }
                });
            });
        })
    }
}

/// The same elements, each zero.
fn zeroed<T: Real>(row: &mut [std::mem::MaybeUninit<T>]) -> &mut [T] {
    row.fill(std::mem::MaybeUninit::new(T::ZERO));
    // SAFETY: every element has just been written.
    unsafe { row.assume_init_mut() }
}

/// Type that an op without another operand computes in: its own, and for spikes the one asked for.
macro_rules! by_operand {
    ($op:expr, $x:expr, $spikes:expr, $T:ident => $body:expr) => {
        match ($x, $crate::held::real($x.dtype_or($spikes))) {
            (Operand::Dense(x), _) => dispatch!($op, x, $T => $body),
            (Operand::Spikes(_), DType::F32) => { type $T = f32; $body }
            (Operand::Spikes(_), DType::F64) => { type $T = f64; $body }
            (Operand::Spikes(bits), dtype) => Err(refusal($op, bits.tensor().device(), dtype)),
        }
    };
}

use by_operand;

/// Computes averages `[n_c, h_out * w_out]`; `dtype` is that of the result for spikes.
pub fn avg_forward(s: &PoolShape, x: Operand, dtype: DType, count_pad: bool) -> Result<Tensor> {
    const OP: &str = "pool::avg_forward";
    s.check(OP)?;
    on_cuda!(x.tensor() => crate::cuda::ops::pool::avg_forward(OP, s, x, dtype, count_pad));
    let dtype = x.dtype_or(dtype);
    by_operand!(OP, x, dtype, T => {
        let x = lend::<T>(OP, x, s.n_c * s.plane())?;
        let threes = threes::serves(s).then(|| threes::counts::<T>(s, count_pad));
        let y = map_planes((s.n_c, s.plane(), s.out()), &x, |x, y, places| match &threes {
            Some(counts) => threes::average(s, counts, x, y, places),
            None => average(s, x, y, count_pad),
        });
        held::made(y, (s.n_c, s.out()), dtype)
    })
}

fn average<T: Real>(s: &PoolShape, x: &[T], y: &mut [T], count_pad: bool) {
    match (s.kernel, s.stride, s.pad) {
        (2, 2, 0) => return average_pairs(x, s.w, s.out_w(), y),
        (2, _, 0) => return average_whole::<T, 2>(s, x, y),
        (3, _, 0) => return average_whole::<T, 3>(s, x, y),
        _ => {}
    }
    s.each_window(|o, rows, columns| {
        let count = s.count(rows.len() * columns.len(), count_pad);
        let mut sum = T::ZERO;
        for i in rows {
            for x in &x[i * s.w + columns.start..i * s.w + columns.end] {
                sum += *x;
            }
        }
        y[o] = sum / T::of(count as f64);
    });
}

/// The same without padding, for a window whose size the compiler knows.
fn average_whole<T: Real, const K: usize>(s: &PoolShape, x: &[T], y: &mut [T]) {
    let count = T::of((K * K) as f64);
    s.each_whole_window::<K>(|o, corner| {
        let mut sum = T::ZERO;
        for line in x[corner..].chunks(s.w).take(K) {
            line[..K].iter().for_each(|x| sum += *x);
        }
        y[o] = sum / count;
    });
}

multiversion! {
    /// Averages of windows of 2 by 2 side by side, in lines of `wo`.
    fn average_pairs<T: Real>(x: &[T], w: usize, wo: usize, y: &mut [T]) {
        let quarter = T::of(0.25);
        for (y, lines) in y.chunks_exact_mut(wo).zip(x.chunks_exact(2 * w)) {
            let (upper, lower) = lines.split_at(w);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (y, (upper, lower)) in y.iter_mut().zip(pairs) {
                // In the order of the general loop; from zero, as it does, which makes a negative zero positive.
                *y = (T::ZERO + upper[0] + upper[1] + lower[0] + lower[1]) * quarter;
            }
        }
    }
}

multiversion! {
    /// Spreads a quarter of each gradient over its window; places in no window keep their zero.
    fn spread_pairs<T: Real>(dy: &[T], w: usize, wo: usize, dx: &mut [T]) {
        let quarter = T::of(0.25);
        for (dy, lines) in dy.chunks_exact(wo).zip(dx.chunks_exact_mut(2 * w)) {
            let (upper, lower) = lines.split_at_mut(w);
            for line in [upper, lower] {
                for (dx, dy) in line.as_chunks_mut::<2>().0.iter_mut().zip(dy) {
                    // On top of zero, as the general loop adds.
                    *dx = [T::ZERO + *dy * quarter; 2];
                }
            }
        }
    }
}

/// Computes the gradient of the input `[n_c, h * w]` of [`avg_forward`].
pub fn avg_backward(s: &PoolShape, dy: &Tensor, count_pad: bool) -> Result<Tensor> {
    const OP: &str = "pool::avg_backward";
    s.check(OP)?;
    on_cuda!(dy => crate::cuda::ops::pool::avg_backward(OP, s, dy, count_pad));
    let dtype = dy.dtype();
    dispatch!(OP, dy, T => {
        let dy = Lent::Dense(read::<T>(OP, "dy", dy, s.n_c * s.out())?);
        let threes = threes::serves(s).then(|| threes::counts::<T>(s, count_pad));
        let dx = map_planes((s.n_c, s.out(), s.plane()), &dy, |dy, dx, shares| {
            if let Some(counts) = &threes {
                return threes::spread(s, counts, dy, dx, shares);
            }
            if (s.kernel, s.stride, s.pad) == (2, 2, 0) {
                return spread_pairs(dy, s.w, s.out_w(), dx);
            }
            s.each_window(|o, rows, columns| {
                let share = dy[o] / T::of(s.count(rows.len() * columns.len(), count_pad) as f64);
                for i in rows {
                    dx[i * s.w + columns.start..i * s.w + columns.end].iter_mut().for_each(|dx| *dx += share);
                }
            });
        });
        held::made(dx, (s.n_c, s.plane()), dtype)
    })
}

/// Calls `f(output index, place of the first maximum)` for each window.
#[inline(always)]
fn each_maximum<T: Real>(s: &PoolShape, x: &[T], mut f: impl FnMut(usize, usize)) {
    match (s.kernel, s.pad) {
        (2, 0) => s.each_whole_window::<2>(|o, corner| f(o, first_maximum_of::<T, 2>(s, x, corner))),
        (3, 0) => s.each_whole_window::<3>(|o, corner| f(o, first_maximum_of::<T, 3>(s, x, corner))),
        _ => s.each_window(|o, rows, columns| {
            let mut best = rows.start * s.w + columns.start;
            for i in rows {
                for at in i * s.w + columns.start..i * s.w + columns.end {
                    best = if beats(x[at], x[best]) { at } else { best };
                }
            }
            f(o, best);
        }),
    }
}

/// Whether a later value takes the place of the best so far; a NaN does and stays, so that it shows.
#[inline(always)]
fn beats<T: Real>(x: T, best: T) -> bool {
    (x > best) | (x.is_nan() & !best.is_nan())
}

/// Writes the maximum of each window.
fn maxima<T: Real>(s: &PoolShape, x: &[T], y: &mut [T], line: &mut Vec<T>) {
    match (s.kernel, s.pad) {
        (2, 0) => maxima_whole::<T, 2>(s, x, y, line),
        (3, 0) => maxima_whole::<T, 3>(s, x, y, line),
        _ => each_maximum(s, x, |o, at| y[o] = x[at]),
    }
}

/// The same without padding: whole lines first, so that the compiler can take many columns at once.
fn maxima_whole<T: Real, const K: usize>(s: &PoolShape, x: &[T], y: &mut [T], line: &mut Vec<T>) {
    let larger = |a: T, b: T| if beats(b, a) { b } else { a };
    line.resize(s.w, T::ZERO);
    for (i, y) in y.chunks_mut(s.out_w()).enumerate() {
        let lines = &x[i * s.stride * s.w..];
        line.copy_from_slice(&lines[..s.w]);
        for next in lines.chunks(s.w).take(K).skip(1) {
            line.iter_mut().zip(next).for_each(|(a, b)| *a = larger(*a, *b));
        }
        for (y, window) in y.iter_mut().zip(line.windows(K).step_by(s.stride)) {
            *y = window[1..].iter().fold(window[0], |a, b| larger(a, *b));
        }
    }
}

#[inline(always)]
fn first_maximum_of<T: Real, const K: usize>(s: &PoolShape, x: &[T], corner: usize) -> usize {
    let (mut best, mut place) = (x[corner], corner);
    for p in 0..K {
        let at = corner + p * s.w;
        for (q, x) in x[at..at + K].iter().enumerate() {
            let wins = beats(*x, best);
            (best, place) = if wins { (*x, at + q) } else { (best, place) };
        }
    }
    place
}

/// Computes maxima `[n_c, h_out * w_out]`; `dtype` is that of the result for spikes.
pub fn max_forward(s: &PoolShape, x: Operand, dtype: DType) -> Result<Tensor> {
    const OP: &str = "pool::max_forward";
    s.check(OP)?;
    on_cuda!(x.tensor() => crate::cuda::ops::pool::max_forward(OP, s, x, dtype));
    let dtype = x.dtype_or(dtype);
    by_operand!(OP, x, dtype, T => {
        let x = lend::<T>(OP, x, s.n_c * s.plane())?;
        let y = map_planes((s.n_c, s.plane(), s.out()), &x, |x, y, line| {
            maxima(s, x, y, line);
        });
        held::made(y, (s.n_c, s.out()), dtype)
    })
}

/// Computes the maximum of spikes, which are spikes: 1 where the window has one.
pub fn max_bits(s: &PoolShape, x: &Bits) -> Result<Bits> {
    const OP: &str = "pool::max_bits";
    s.check(OP)?;
    on_cuda!(x.tensor() => crate::cuda::ops::pool::max_bits(OP, s, x));
    let lent = lend::<f32>(OP, Operand::Spikes(x), s.n_c * s.plane())?;
    let (source, width, per_task) = (lent.source(), s.out().div_ceil(8), (BLOCK / s.plane()).max(1));
    // SAFETY: both ways write each byte of their row.
    let bytes = unsafe {
        filled_chunks(s.n_c * width, per_task * width, |task, out| {
            let (mut plane, mut flags) = (Vec::new(), vec![0u8; s.out()]);
            for (k, out) in out.chunks_mut(width).enumerate() {
                let row = task * per_task + k;
                if let (true, Some(x)) = (words::serves(s), source.packed(row, s.plane())) {
                    words::any(s, x, out);
                    continue;
                }
                let x = source.row(row, s.plane(), &mut plane);
                s.each_window(|o, mut rows, columns| {
                    let any =
                        |i: usize| x[i * s.w + columns.start..i * s.w + columns.end].iter().any(|x| *x > 0.0);
                    flags[o] = rows.any(any) as u8;
                });
                pack_flags(&flags, out);
            }
        })
    };
    Bits::of_bytes(bytes, s.n_c, s.out())
}

/// Computes the gradient of the input `[n_c, h * w]` of [`max_forward`] and [`max_bits`].
pub fn max_backward(s: &PoolShape, x: Operand, dy: &Tensor) -> Result<Tensor> {
    const OP: &str = "pool::max_backward";
    s.check(OP)?;
    on_cuda!(dy => crate::cuda::ops::pool::max_backward(OP, s, x, dy));
    let dtype = dy.dtype();
    dispatch!(OP, dy, T => {
        let (x, dy) = (lend::<T>(OP, x, s.n_c * s.plane())?, read::<T>(OP, "dy", dy, s.n_c * s.out())?);
        let (source, dy, per_task) = (x.source(), &*dy, (BLOCK / s.plane()).max(1));
        // SAFETY: each row is zeroed, and then added to.
        let dx = unsafe {
            filled_chunks(s.n_c * s.plane(), per_task * s.plane(), |task, dx| {
                scratch::vector(Slot::Row, |expanded| {
                    for (k, dx) in dx.chunks_mut(s.plane()).enumerate() {
                        let row = task * per_task + k;
                        let (dx, dy) = (zeroed(dx), &dy[row * s.out()..(row + 1) * s.out()]);
                        match source.packed(row, s.plane()) {
                            Some(x) if words::serves(s) => words::spread(s, x, dy, dx),
                            _ => each_maximum(s, source.row(row, s.plane(), expanded), |o, at| dx[at] += dy[o]),
                        }
                    }
                });
            })
        };
        held::made(dx, (s.n_c, s.plane()), dtype)
    })
}

/// Computes the mean of each of `rows` planes, `[rows]`.
pub fn global_avg_forward(rows: usize, plane: usize, x: Operand, dtype: DType) -> Result<Tensor> {
    const OP: &str = "pool::global_avg_forward";
    on_cuda!(x.tensor() => crate::cuda::ops::pool::global_avg_forward(OP, (rows, plane), x, dtype));
    let dtype = x.dtype_or(dtype);
    by_operand!(OP, x, dtype, T => {
        let x = lend::<T>(OP, x, rows * plane)?;
        let y = map_planes((rows, plane, 1), &x, |x, y, _| {
            y[0] = <T as Real>::of(span(x, x)[0] / plane as f64);
        });
        held::made(y, rows, dtype)
    })
}

/// Spreads the gradient of each mean over its plane, `[rows, plane]`.
pub fn global_avg_backward(rows: usize, plane: usize, dy: &Tensor) -> Result<Tensor> {
    const OP: &str = "pool::global_avg_backward";
    on_cuda!(dy => crate::cuda::ops::pool::global_avg_backward(OP, rows, plane, dy));
    let dtype = dy.dtype();
    dispatch!(OP, dy, T => {
        let dy = Lent::Dense(read::<T>(OP, "dy", dy, rows)?);
        let share = <T as Real>::ONE / <T as Real>::of(plane as f64);
        held::made(map_planes((rows, 1, plane), &dy, |dy, dx, _| dx.fill(dy[0] * share)), (rows, plane), dtype)
    })
}
