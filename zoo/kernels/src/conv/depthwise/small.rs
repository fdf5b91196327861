//! Planes of up to 16 places, at stride 1: a matrix a channel.
//!
//! ```text
//! y[n, c, o] = b[c] + sum over places p of x[n, c, p] * w[c, tap(p, o)]     0 where the filter at o does not reach p
//! dx[n, c, p] = sum over o of dy[n, c, o] * w[c, tap(p, o)]
//! dw[c, t] = sum over p, o with tap(p, o) = t of G[c, p, o],   G[c, p, o] = sum over n of x[n, c, p] * dy[n, c, o]
//! ```
//!
//! Such a plane is a fraction of a line of [`super`]'s grid, most of which would be padding. Here neighbouring channels fill
//! a vector, and a filter is spread out once for all images. Products of an output are added in the order of the filter's
//! taps, as there.

use std::mem::MaybeUninit;

use super::super::ConvShape;
use crate::bits::Source;
use crate::simd::multiversion;
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;

/// Values of a vector.
const LANES: usize = 16;

/// Vectors of channels that one task takes.
const VECTORS: usize = 8;

/// What each place has to do with each output: the tap between them, if there is one.
type Taps = [[Option<usize>; LANES]; LANES];

/// A filter spread out: what value `p` of a channel is multiplied with for each lane.
type Spread = [[f32; LANES]; LANES];

/// Whether outputs are as many as places and whole planes fill a vector.
pub(super) fn serves(s: &ConvShape) -> bool {
    let plane = s.h * s.w;
    s.stride == 1
        && (s.out_h(), s.out_w()) == (s.h, s.w)
        && matches!(plane, 1 | 2 | 4 | 8 | 16)
        && s.c_in.is_multiple_of(LANES / plane)
}

/// The taps from place (first index) to output (second).
fn taps(s: &ConvShape) -> Taps {
    let mut taps = [[None; LANES]; LANES];
    for (p, taps) in taps.iter_mut().enumerate().take(s.h * s.w) {
        for (o, tap) in taps.iter_mut().enumerate().take(s.h * s.w) {
            // Nothing where the place is before the filter's first line or column.
            let row = (p / s.w + s.pad).checked_sub(o / s.w).filter(|row| *row < s.kernel.0);
            let column = (p % s.w + s.pad).checked_sub(o % s.w).filter(|column| *column < s.kernel.1);
            *tap = row.zip(column).map(|(row, column)| row * s.kernel.1 + column);
        }
    }
    taps
}

/// Runs `f(first channel)` for each vector of channels.
fn each_vector(s: &ConvShape, work: usize, f: impl Fn(usize) + Sync + Send) {
    let (plane, channels) = (s.h * s.w, LANES / (s.h * s.w));
    let vectors = s.c_in * plane / LANES;
    each_task(vectors.div_ceil(VECTORS), work, |task| {
        for vector in task * VECTORS..vectors.min((task + 1) * VECTORS) {
            f(vector * channels);
        }
    });
}

/// See [`super::forward`].
pub(super) fn forward(s: &ConvShape, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let taps = taps(s);
    map(s, x, w, b, |p, o| taps[p][o])
}

/// See [`super::backward_input`].
pub(super) fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let taps = taps(s);
    map(s, Source::Dense(dy), w, None, |o, p| taps[p][o])
}

/// Multiplies each plane with its channel's matrix, whose element from value `from` to value `to` is the filter at
/// `tap(from, to)`.
fn map(
    s: &ConvShape,
    x: Source<f32>,
    w: &[f32],
    b: Option<&[f32]>,
    tap: impl Fn(usize, usize) -> Option<usize> + Sync + Send,
) -> Vec<f32> {
    let (plane, area) = (s.h * s.w, s.kernel.0 * s.kernel.1);
    // SAFETY: the vectors of all images cover the output; each is written by the task of its channels.
    unsafe {
        filled(s.output_len(), |y| {
            let y = Disjoint::new(y);
            each_vector(s, s.output_len() * plane, |c| {
                let channel = |lane: usize| c + lane / plane;
                let mut spread: Spread = [[0.0; LANES]; LANES];
                for (from, spread) in spread.iter_mut().enumerate().take(plane) {
                    for (lane, weight) in spread.iter_mut().enumerate() {
                        *weight = tap(from, lane % plane).map_or(0.0, |tap| w[channel(lane) * area + tap]);
                    }
                }
                let bias = std::array::from_fn(|lane| b.map_or(0.0, |b| b[channel(lane)]));
                multiply(s, c, x, &spread, &bias, &y);
            });
        })
    }
}

/// See [`super::backward_weight`].
pub(super) fn backward_weight(s: &ConvShape, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
    let (plane, area, taps) = (s.h * s.w, s.kernel.0 * s.kernel.1, taps(s));
    let dw = Disjoint::new(dw);
    each_vector(s, s.output_len() * plane, |c| {
        let mut products: Spread = [[0.0; LANES]; LANES];
        add_products(s, c, x, dy, &mut products);
        for channel in 0..LANES / plane {
            let (first, lane) = ((c + channel) * area, channel * plane);
            // SAFETY: these are filters of this task's channels.
            let dw = unsafe { dw.part(first..first + area) };
            if !accumulate {
                dw.fill(0.0);
            }
            for (products, taps) in products.iter().zip(&taps).take(plane) {
                for (product, tap) in products[lane..lane + plane].iter().zip(taps) {
                    if let Some(tap) = tap {
                        dw[*tap] += product;
                    }
                }
            }
        }
    });
}

/// Value `from` of each lane's channel, for channels of `P` values.
#[inline(always)]
fn of_each<const P: usize>(values: &[f32; LANES], from: usize) -> [f32; LANES] {
    std::array::from_fn(|lane| values[lane / P * P + from])
}

#[inline(always)]
fn multiply_planes<const P: usize>(
    s: &ConvShape,
    c: usize,
    x: Source<f32>,
    spread: &Spread,
    bias: &[f32; LANES],
    y: &Disjoint<MaybeUninit<f32>>,
) {
    let mut values = [0.0; LANES];
    for n in 0..s.n {
        let at = (n * s.c_in + c) * P;
        x.expand(at, &mut values);
        let mut sums = [0.0f32; LANES];
        for (from, weights) in spread.iter().enumerate().take(P) {
            let x = of_each::<P>(&values, from);
            for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weights) {
                *sum += weight * x;
            }
        }
        let sums: [f32; LANES] = std::array::from_fn(|lane| sums[lane] + bias[lane]);
        // SAFETY: these channels are this task's alone, in every image.
        unsafe { y.part(at..at + LANES) }.write_copy_of_slice(&sums);
    }
}

multiversion! {
    /// Writes the outputs of the channels from `c` on of all images.
    fn multiply(
        s: &ConvShape, c: usize, x: Source<f32>, spread: &Spread, bias: &[f32; LANES], y: &Disjoint<MaybeUninit<f32>>,
    ) {
        match s.h * s.w {
            1 => multiply_planes::<1>(s, c, x, spread, bias, y),
            2 => multiply_planes::<2>(s, c, x, spread, bias, y),
            4 => multiply_planes::<4>(s, c, x, spread, bias, y),
            8 => multiply_planes::<8>(s, c, x, spread, bias, y),
            _ => multiply_planes::<16>(s, c, x, spread, bias, y),
        }
    }
}

#[inline(always)]
fn add_planes<const P: usize>(s: &ConvShape, c: usize, x: Source<f32>, dy: &[f32], products: &mut Spread) {
    let mut values = [0.0; LANES];
    // A copy, so that the sums stay in registers.
    let mut kept: [[f32; LANES]; P] = [[0.0; LANES]; P];
    for n in 0..s.n {
        let at = (n * s.c_in + c) * P;
        x.expand(at, &mut values);
        let Some(dy) = dy[at..].first_chunk::<LANES>() else { continue };
        for (from, products) in kept.iter_mut().enumerate() {
            let x = of_each::<P>(&values, from);
            for ((product, x), dy) in products.iter_mut().zip(x).zip(dy) {
                *product += dy * x;
            }
        }
    }
    products[..P].copy_from_slice(&kept);
}

multiversion! {
    /// Sums the products of all pairs of a channel's values and gradients over the images.
    fn add_products(s: &ConvShape, c: usize, x: Source<f32>, dy: &[f32], products: &mut Spread) {
        match s.h * s.w {
            1 => add_planes::<1>(s, c, x, dy, products),
            2 => add_planes::<2>(s, c, x, dy, products),
            4 => add_planes::<4>(s, c, x, dy, products),
            8 => add_planes::<8>(s, c, x, dy, products),
            _ => add_planes::<16>(s, c, x, dy, products),
        }
    }
}
