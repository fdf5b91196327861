//! The gradient of the weights of numbers.
//!
//! A task has a square of outputs and inputs, whose sums stay in the second-level cache while the batches of pixels pass in
//! order. Where that makes few tasks, batches are cut into parts, which are added in order.

use super::{Batch, Batches, ConvShape, PIXELS, plane, turn};
use crate::conv::parts::in_parts;
use crate::conv::vectors::{BLOCK, Planes, Strides, multiply_onto, odd_lines};
use crate::lanes::LANES;
use crate::scratch::{ALIGNED, Slot, aligned};
use crate::storage::Disjoint;
use crate::tasks::each_task;

/// Outputs, and inputs, of a task at most.
const SIDE: usize = 128;

/// Tasks that the work is cut into, at least, where there are pixels enough.
const TASKS: usize = 8;

struct Cut {
    /// Outputs and inputs of a task.
    side: (usize, usize),
    /// Squares of outputs and inputs.
    squares: (usize, usize),
    batches: Batches,
    batches_per_part: usize,
    parts: usize,
    /// Values from one pixel to the next, of the output gradients and of the inputs.
    rows: (usize, usize),
}

impl Cut {
    fn of(s: &ConvShape) -> Self {
        // Equal squares, in whole blocks.
        let side = |channels: usize| channels.div_ceil(channels.div_ceil(SIDE)).next_multiple_of(BLOCK);
        let side = (side(s.c_out), side(s.c_in));
        let squares = (s.c_out.div_ceil(side.0), s.c_in.div_ceil(side.1));
        let batches = Batches::of(s, PIXELS);
        let wanted = TASKS.div_ceil(squares.0 * squares.1).min(batches.many).max(1);
        let batches_per_part = batches.many.div_ceil(wanted).max(1);
        let parts = batches.many.div_ceil(batches_per_part).max(1);
        Self { side, squares, batches, batches_per_part, parts, rows: (odd_lines(side.0), odd_lines(side.1)) }
    }

    /// Values of the turned output gradients, the turned inputs and the sums.
    fn lens(&self) -> [usize; 3] {
        let pixels = self.batches.rows();
        [pixels * self.rows.0, pixels * self.rows.1, self.side.0 * self.side.1]
    }
}

/// Values of scratch that each thread keeps.
pub(super) fn scratch_len(s: &ConvShape) -> usize {
    Cut::of(s).lens().iter().map(|len| len + ALIGNED).sum()
}

/// See [`crate::conv::backward_weight`].
pub(in crate::conv) fn backward_weight(
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    accumulate: bool,
) {
    let cut = Cut::of(s);
    let x = Planes { values: x, channels: s.c_in, h: 1, w: plane(s) };
    let dy = Planes { values: dy, channels: s.c_out, ..x };
    in_parts(cut.parts, dw, accumulate, |into, add| {
        each_part(s, &cut, &x, &dy, &Disjoint::new(into), add);
    });
}

/// Runs all tasks; `into` holds the weights once a part.
fn each_part(s: &ConvShape, cut: &Cut, x: &Planes, dy: &Planes, into: &Disjoint<f32>, accumulate: bool) {
    let squares = cut.squares.0 * cut.squares.1;
    let [gradients_len, inputs_len, sums_len] = cut.lens();
    each_task(cut.parts * squares, s.output_len() * s.c_in, |task| {
        let (part, square) = (task / squares, task % squares);
        let (of_outputs, of_inputs) = (square / cut.squares.1, square % cut.squares.1);
        let outputs = of_outputs * cut.side.0..s.c_out.min((of_outputs + 1) * cut.side.0);
        let inputs = of_inputs * cut.side.1..s.c_in.min((of_inputs + 1) * cut.side.1);
        aligned(Slot::Gathered, sums_len, |sums| {
            sums.fill(0.0);
            aligned(Slot::Filters, gradients_len, |gradients| {
                aligned(Slot::Columns, inputs_len, |turned| {
                    for Batch { images, pixels } in cut.batches.part(s, part, cut.batches_per_part) {
                        turn(dy, outputs.clone(), cut.rows.0, &images, &pixels, gradients);
                        turn(x, inputs.clone(), cut.rows.1, &images, &pixels, turned);
                        let many = images.len() * pixels.len();
                        add(cut, many, outputs.len(), inputs.len(), gradients, turned, sums);
                    }
                });
            });
            for (output, sums) in outputs.zip(sums.chunks(cut.side.1)) {
                let at = part * s.weight_len() + output * s.c_in;
                // SAFETY: each task has its own part, outputs and inputs of the weights.
                let weights = unsafe { into.part(at + inputs.start..at + inputs.end) };
                for (weight, sum) in weights.iter_mut().zip(sums) {
                    *weight = if accumulate { *weight + *sum } else { *sum };
                }
            }
        });
    });
}

/// Adds a batch's products to the sums `[output, input]`.
fn add(
    cut: &Cut,
    pixels: usize,
    outputs: usize,
    inputs: usize,
    gradients: &[f32],
    turned: &[f32],
    sums: &mut [f32],
) {
    let strides = Strides { row: 1, step: cut.rows.0, filter: cut.rows.1, out: cut.side.1 };
    for first in (0..inputs).step_by(BLOCK) {
        let vectors = (inputs - first).min(BLOCK).div_ceil(LANES);
        let (turned, sums) = (&turned[first..], &mut sums[first..]);
        assert!(gradients.len() >= (pixels - 1) * cut.rows.0 + outputs);
        assert!(turned.len() >= (pixels - 1) * cut.rows.1 + vectors * LANES);
        assert!(sums.len() >= (outputs - 1) * cut.side.1 + vectors * LANES);
        // SAFETY: all pixels' gradients and inputs and all outputs' sums lie in their slices, by the assertions.
        unsafe { multiply_onto(gradients, turned, sums, outputs, pixels, vectors, strides) };
    }
}
