//! Convolutions on every instruction set of this machine, on sizes that fill no vector: against the plain loops, and the
//! same bits for any number of threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Tensor};
use kernels::Operand;
use kernels::conv::{ConvShape, Tiles, backward_input, backward_weight, forward};
use kernels::simd::{ALL, within};
use values::*;

fn shape(n: usize, c: (usize, usize), hw: (usize, usize)) -> ConvShape {
    ConvShape { n, c_in: c.0, h: hw.0, w: hw.1, c_out: c.1, kernel: (3, 3), stride: 1, pad: 1, groups: 1 }
}

/// Maps so small that batches of images follow each other, and channels that fill more than one task's: for numbers alone, as
/// spikes that are all there would make one sum of 873 equal steps.
const BATCHES: ConvShape =
    ConvShape { n: 97, c_in: 140, h: 3, w: 3, c_out: 70, kernel: (3, 3), stride: 1, pad: 1, groups: 1 };

/// Single images and many, maps of one tile and of ragged ones, channels that fill no vector and more than a block.
fn shapes() -> Vec<ConvShape> {
    vec![
        shape(1, (16, 16), (1, 1)),
        shape(1, (16, 16), (2, 2)),
        shape(1, (17, 33), (3, 5)),
        shape(53, (16, 40), (2, 3)),
        shape(9, (37, 18), (4, 4)),
        shape(31, (70, 65), (7, 7)),
        shape(2, (33, 100), (8, 8)),
        shape(3, (16, 31), (9, 16)),
        shape(1, (20, 48), (17, 33)),
        shape(1, (16, 16), (5, 215)),
        // Maps on which most taps see the frame.
        shape(1, (16, 16), (1, 5)),
        shape(25, (50, 33), (3, 3)),
        BATCHES,
        // Strides, on sides that they divide and on others, rows of maps that are too large for one batch.
        ConvShape { stride: 2, ..shape(1, (16, 16), (1, 1)) },
        ConvShape { stride: 2, ..shape(30, (33, 17), (5, 6)) },
        ConvShape { stride: 2, ..shape(3, (16, 64), (32, 64)) },
        ConvShape { stride: 3, ..shape(2, (20, 40), (8, 7)) },
    ]
}

/// What [`all`] gives, and how many times the rounding errors of a sum it may have.
const RESULTS: [(&str, f64); 4] = [("y", 1.0), ("dx", 1.0), ("dx by tiles of 4", 8.0), ("dw", 1.0)];

/// Output, input gradient by each kind of tiles, and weight gradient.
fn all(s: &ConvShape, x: Operand, w: &Tensor, b: &Tensor, dy: &Tensor, onto: &Tensor) -> Vec<Tensor> {
    let dw = onto.copy().unwrap();
    backward_weight(s, x, dy, &dw, true).unwrap();
    let [two, four] = [Tiles::Two, Tiles::Four].map(|tiles| backward_input(s, dy, w, tiles).unwrap());
    vec![forward(s, x, w, Some(b)).unwrap(), two, four, dw]
}

#[test]
fn every_instruction_set_agrees_with_the_plain_loops() {
    for s in shapes() {
        let x = tensor(1, &[s.n, s.c_in, s.h, s.w], DType::F32);
        let fires = [0.0, 0.2, 1.0].map(|rate| spikes(9, &[s.n, s.c_in, s.h, s.w], rate));
        let w = tensor(2, &[s.c_out, s.c_in, 3, 3], DType::F32);
        let (b, onto) = (tensor(3, &[s.c_out], DType::F32), tensor(5, w.dims(), DType::F32));
        let dy = tensor(4, &[s.n, s.c_out, s.out_h(), s.out_w()], DType::F32);
        let inputs = if s == BATCHES { 1 } else { 1 + fires.len() };
        for (i, x) in std::iter::once(&x).chain(&fires).enumerate().take(inputs) {
            let bits = packed(x, s.n * s.c_in);
            let seen = if i == 0 { Operand::Dense(x) } else { Operand::Spikes(&bits) };
            let plain = all(&s, Operand::Dense(&wide(x)), &wide(&w), &wide(&b), &wide(&dy), &wide(&onto));
            for level in ALL {
                let fast = within(level, || {
                    same_for_any_threads(&format!("{s:?} on {level:?}"), || all(&s, seen, &w, &b, &dy, &onto))
                });
                for ((what, slack), (fast, plain)) in RESULTS.iter().zip(fast.iter().zip(&plain)) {
                    // f32 sums of some hundred products, weighed by the spread of what they add up to.
                    let spread = (dot(plain, plain) / plain.elem_count() as f64).sqrt();
                    close(
                        fast,
                        plain,
                        slack * 4e-6 * (1.0 + spread),
                        &format!("{what} of {s:?}, input {i}, {level:?}"),
                    );
                }
            }
        }
    }
}

/// `|a - b| <= tolerance` everywhere.
fn close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    for (i, (a, b)) in list(a).iter().zip(list(b)).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}: element {i}: {a} against {b}, more than {tolerance:e}");
    }
}
