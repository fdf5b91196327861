//! The weight gradient of numbers on small maps.
//!
//! ```text
//! dw[o, c, tap] = sum over images n, sum over pairs (p, q) of the tap, of dy[n, o, p] * x[n, c, q]
//! ```
//!
//! Batches of images are turned to `[pixel, image, channel]`; a task has some inputs and some outputs, and sums all batches
//! in order.

use std::ops::Range;

use super::super::ConvShape;
use super::super::vectors::{BLOCK, Planes, ROWS, Strides, multiply_onto, odd_lines};
use super::pairs::Pairs;
use crate::lanes::LANES;
use crate::scratch::{Slot, aligned};
use crate::storage::Disjoint;
use crate::tasks::each_task;

/// Inputs and outputs of a task.
const GROUP: [usize; 2] = [8 * LANES, 2 * BLOCK];

/// Images of a batch.
const IMAGES: usize = 8 * ROWS;

/// Values from one image to the next of turned inputs and of turned output gradients.
const IMAGE: [usize; 2] = [GROUP[0] + LANES, GROUP[1] + LANES];

/// Values from one pixel to the next.
fn pixel(s: &ConvShape) -> [usize; 2] {
    IMAGE.map(|image| odd_lines(s.n.min(IMAGES) * image))
}

/// Values of the turned inputs, the turned output gradients and the sums.
pub(super) fn lens(s: &ConvShape) -> [usize; 3] {
    let ([x, dy], taps) = (pixel(s), s.kernel.0 * s.kernel.1);
    [s.h * s.w * x, s.out_h() * s.out_w() * dy, taps * GROUP[0] * GROUP[1]]
}

/// See [`super::super::backward_weight`].
pub(in crate::conv) fn backward_weight(
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let pairs = Pairs::forward(s);
    let x = Planes { values: x, channels: s.c_in, h: s.h, w: s.w };
    let dy = Planes { values: dy, channels: s.c_out, h: s.out_h(), w: s.out_w() };
    let groups = [s.c_in.div_ceil(GROUP[0]), s.c_out.div_ceil(GROUP[1])];
    let [x_len, dy_len, sums_len] = lens(s);
    let into = Disjoint::new(dw);
    each_task(groups[0] * groups[1], s.output_len() * s.patch(), |task| {
        let group = |which: usize, of: usize, all: usize| which * GROUP[of]..all.min((which + 1) * GROUP[of]);
        let (inputs, outputs) = (group(task % groups[0], 0, s.c_in), group(task / groups[0], 1, s.c_out));
        aligned(Slot::Columns, x_len, |turned_x| {
            aligned(Slot::Values, dy_len, |turned_dy| {
                aligned(Slot::Gathered, sums_len, |sums| {
                    sums.fill(0.0);
                    for first in (0..s.n).step_by(IMAGES) {
                        let images = first..s.n.min(first + IMAGES);
                        turn(&x, &images, &inputs, (IMAGE[0], pixel(s)[0]), turned_x);
                        turn(&dy, &images, &outputs, (IMAGE[1], pixel(s)[1]), turned_dy);
                        add(
                            s,
                            &pairs,
                            images.len(),
                            [inputs.len(), outputs.len()],
                            turned_x,
                            turned_dy,
                            sums,
                        );
                    }
                    leave(s, &inputs, &outputs, sums, accumulate, &into);
                });
            });
        });
    });
}

/// Turns some channels of a batch's images to `[pixel, image, channel]`; lanes behind the last channel become 0.
fn turn(
    planes: &Planes,
    images: &Range<usize>,
    channels: &Range<usize>,
    (apart, pixel): (usize, usize),
    turned: &mut [f32],
) {
    let all = 0..planes.h * planes.w;
    for (i, image) in images.clone().enumerate() {
        for first in channels.clone().step_by(LANES) {
            let to = &mut turned[i * apart + first - channels.start..];
            planes.turn_run(image, &(first..channels.end), &all, pixel, to);
        }
    }
}

/// Adds a batch to the sums, `[block, tap, input, BLOCK]`.
fn add(
    s: &ConvShape,
    pairs: &Pairs,
    images: usize,
    [inputs, outputs]: [usize; 2],
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
) {
    let (taps, [x_pixel, dy_pixel]) = (s.kernel.0 * s.kernel.1, pixel(s));
    let strides = Strides { row: 1, step: IMAGE[0], filter: IMAGE[1], out: BLOCK };
    for (block, sums) in sums.chunks_exact_mut(taps * GROUP[0] * BLOCK).enumerate() {
        let many = outputs.saturating_sub(block * BLOCK).min(BLOCK);
        for p in 0..pairs.pixels() {
            for pair in pairs.of(p) {
                let (x, dy) = (&x[pair.from * x_pixel..], &dy[p * dy_pixel + block * BLOCK..]);
                let sums = &mut sums[pair.tap * GROUP[0] * BLOCK..];
                assert!(x.len() >= (images - 1) * IMAGE[0] + inputs && sums.len() >= inputs * BLOCK);
                assert!(many == 0 || dy.len() >= (images - 1) * IMAGE[1] + many.next_multiple_of(LANES));
                // SAFETY: all inputs of all images, whole vectors of their output gradients and all sums lie in their
                // slices, by the assertions.
                unsafe { multiply_onto(x, dy, sums, inputs, images, many.div_ceil(LANES), strides) };
            }
        }
    }
}

/// Writes the sums into the gradient, or adds them.
fn leave(
    s: &ConvShape,
    inputs: &Range<usize>,
    outputs: &Range<usize>,
    sums: &[f32],
    accumulate: bool,
    into: &Disjoint<f32>,
) {
    let taps = s.kernel.0 * s.kernel.1;
    for (i, o) in outputs.clone().enumerate() {
        let sums = &sums[i / BLOCK * taps * GROUP[0] * BLOCK + i % BLOCK..];
        let first = (o * s.c_in + inputs.start) * taps;
        // SAFETY: these inputs of this output belong to the calling task alone.
        let dw = unsafe { into.part(first..first + inputs.len() * taps) };
        for (c, dw) in dw.chunks_exact_mut(taps).enumerate() {
            for (tap, dw) in dw.iter_mut().enumerate() {
                let sum = sums[(tap * GROUP[0] + c) * BLOCK];
                *dw = if accumulate { *dw + sum } else { sum };
            }
        }
    }
}
