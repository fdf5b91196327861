//! Convolutions: the fast kernels against the plain loops, adjoints, and threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Tensor};
use kernels::Operand;
use kernels::conv::{ConvShape, Tiles, backward_input, backward_weight, forward, workspace_bytes};
use values::*;

fn shape(
    n: usize,
    c: (usize, usize),
    hw: (usize, usize),
    kernel: (usize, usize),
    sp: (usize, usize),
    groups: usize,
) -> ConvShape {
    ConvShape { n, c_in: c.0, h: hw.0, w: hw.1, c_out: c.1, kernel, stride: sp.0, pad: sp.1, groups }
}

/// Odd sizes on purpose: ragged tiles, single images, grouped images, every kind of path.
fn shapes() -> Vec<ConvShape> {
    vec![
        shape(1, (1, 1), (1, 1), (1, 1), (1, 0), 1),
        shape(1, (3, 5), (7, 9), (3, 3), (1, 1), 1),
        shape(2, (5, 7), (11, 6), (3, 3), (2, 1), 1),
        shape(3, (17, 13), (5, 5), (3, 3), (1, 1), 1),
        shape(37, (19, 33), (4, 4), (3, 3), (1, 1), 1),
        shape(5, (6, 10), (9, 9), (1, 1), (1, 0), 1),
        shape(5, (6, 10), (9, 9), (1, 1), (2, 0), 1),
        shape(2, (200, 24), (40, 41), (1, 1), (1, 0), 1),
        // Pointwise: squares and blocks that are not full, batches in parts, maps of one pixel, few of many pixels.
        shape(9, (150, 40), (13, 16), (1, 1), (1, 0), 1),
        shape(11, (16, 131), (2, 2), (1, 1), (1, 0), 1),
        shape(401, (33, 17), (1, 1), (1, 1), (1, 0), 1),
        shape(3, (260, 300), (3, 1), (1, 1), (1, 0), 1),
        // Few tiles, whose outputs are cut into blocks that are not equal; several images' places in one word.
        shape(7, (300, 211), (1, 1), (1, 1), (1, 0), 1),
        shape(6, (47, 401), (2, 2), (1, 1), (1, 0), 1),
        shape(3, (21, 200), (4, 4), (1, 1), (1, 0), 1),
        shape(2, (3, 8), (33, 35), (7, 7), (2, 3), 1),
        shape(2, (40, 9), (34, 36), (3, 3), (1, 1), 1),
        shape(3, (8, 12), (6, 7), (3, 2), (1, 1), 4),
        shape(3, (6, 6), (9, 10), (3, 3), (1, 1), 6),
        shape(2, (5, 5), (17, 19), (7, 7), (1, 3), 5),
        shape(2, (4, 4), (8, 8), (5, 5), (2, 2), 4),
        // Lines whose length the compiler knows.
        shape(2, (3, 3), (7, 8), (5, 5), (1, 2), 3),
        shape(1, (2, 2), (5, 16), (3, 3), (1, 1), 2),
        shape(1, (2, 2), (9, 32), (7, 7), (1, 3), 2),
        shape(2, (4, 4), (9, 7), (2, 4), (2, 1), 4),
        shape(2, (4, 8), (9, 7), (3, 3), (1, 1), 4),
        shape(2, (3, 3), (2, 2), (2, 2), (1, 2), 3),
        // Depthwise on planes that fill a vector, alone or with their neighbours.
        shape(3, (32, 32), (1, 1), (3, 3), (1, 1), 32),
        shape(3, (8, 8), (1, 2), (3, 3), (1, 1), 8),
        shape(5, (12, 12), (2, 2), (5, 5), (1, 2), 12),
        shape(17, (20, 20), (4, 2), (3, 3), (1, 1), 20),
        shape(4, (11, 11), (4, 4), (5, 5), (1, 2), 11),
        shape(2, (3, 3), (8, 2), (7, 7), (1, 3), 3),
    ]
}

struct Case {
    x: Tensor,
    w: Tensor,
    b: Tensor,
    dy: Tensor,
}

fn case(s: &ConvShape, dtype: DType) -> Case {
    let w = [s.c_out, s.c_in / s.groups, s.kernel.0, s.kernel.1];
    Case {
        x: tensor(1, &[s.n, s.c_in, s.h, s.w], dtype),
        w: tensor(2, &w, dtype),
        b: tensor(3, &[s.c_out], dtype),
        dy: tensor(4, &[s.n, s.c_out, s.out_h(), s.out_w()], dtype),
    }
}

/// f32 sums of a few hundred products keep five digits; larger sums are weighed by their length.
fn tolerance(products: usize) -> f64 {
    2e-6 * (products as f64).sqrt().max(1.0)
}

#[test]
fn fast_kernels_agree_with_the_plain_loops() {
    for s in shapes() {
        let (fast, plain) = (case(&s, DType::F32), case(&s, DType::F64));
        let (near, far) =
            (tolerance(s.c_in * s.kernel.0 * s.kernel.1), tolerance(s.n * s.out_h() * s.out_w()));
        let y = |c: &Case| forward(&s, Operand::Dense(&c.x), &c.w, Some(&c.b)).unwrap();
        assert_near(&y(&fast), &y(&plain), near, &format!("y of {s:?}"));
        for (tiles, slack) in [(Tiles::Two, 1.0), (Tiles::Four, 4.0)] {
            let dx = |c: &Case| backward_input(&s, &c.dy, &c.w, tiles).unwrap();
            let most = slack * tolerance(s.weight_count());
            assert_near(&dx(&fast), &dx(&plain), most, &format!("dx of {s:?} by {tiles:?}"));
        }
        for accumulate in [false, true] {
            let dw = |c: &Case| {
                let into = tensor(5, c.w.dims(), c.w.dtype());
                backward_weight(&s, Operand::Dense(&c.x), &c.dy, &into, accumulate).unwrap();
                into
            };
            assert_near(&dw(&fast), &dw(&plain), far, &format!("dw of {s:?}"));
        }
    }
}

#[test]
fn spikes_as_bits_give_the_bits_of_spikes_as_numbers() {
    for (s, rate) in shapes().into_iter().flat_map(|s| [0.0, 0.3, 1.0].map(|rate| (s, rate))) {
        let c = case(&s, DType::F32);
        let x = spikes(9, &[s.n, s.c_in, s.h, s.w], rate);
        let packed = packed(&x, s.n * s.c_in);
        let y = |x: Operand| forward(&s, x, &c.w, None).unwrap();
        let (from_bits, from_numbers) = (y(Operand::Spikes(&packed)), y(Operand::Dense(&x)));
        if is_of_spikes(&s) && s.out_h() * s.out_w() >= 4 {
            close(&from_bits, &from_numbers, 1e-5, &format!("y of {s:?} at {rate}"));
        } else {
            assert_eq!(bits(&from_bits), bits(&from_numbers), "y of {s:?} at {rate}");
        }
        let dw = |x: Operand| {
            let into = c.w.zeros_like().unwrap();
            backward_weight(&s, x, &c.dy, &into, false).unwrap();
            into
        };
        let (from_bits, from_numbers) = (dw(Operand::Spikes(&packed)), dw(Operand::Dense(&x)));
        if is_of_spikes(&s) {
            // Another order of the same sums.
            close(&from_bits, &from_numbers, 1e-5, &format!("dw of {s:?} at {rate}"));
        } else {
            assert_eq!(bits(&from_bits), bits(&from_numbers), "dw of {s:?} at {rate}");
        }
    }
}

/// Whether the convolution of spikes has kernels of its own.
fn is_of_spikes(s: &ConvShape) -> bool {
    let filter = (s.kernel == (3, 3) && s.pad == 1) || (s.kernel == (1, 1) && s.pad == 0);
    filter && s.stride <= 2 && s.groups == 1 && s.c_out >= 16
}

/// `max |a - b|` is at most so much of the largest `|b|`.
fn close(a: &Tensor, b: &Tensor, share: f64, place: &str) {
    let (a, b) = (list(a), list(b));
    let most = b.iter().fold(0.0_f64, |most, b| most.max(b.abs()));
    let off = a.iter().zip(&b).fold(0.0_f64, |off, (a, b)| off.max((a - b).abs()));
    assert!(off <= share * most, "{place}: {off} of {most}");
}

#[test]
fn kernels_of_spikes_agree_with_the_plain_loops() {
    // Odd sizes: rows that end inside a byte and a quad of pixels, strides that end inside, channels that fill no table
    // and no lane, more blocks than a task has, images in parts of rows.
    let shapes = [
        (shape(1, (1, 16), (2, 2), (3, 3), (1, 1), 1), "few"),
        (shape(3, (5, 17), (7, 3), (3, 3), (1, 1), 1), "odd"),
        (shape(2, (46, 33), (9, 13), (3, 3), (1, 1), 1), "odd"),
        (shape(1, (7, 200), (70, 61), (3, 3), (1, 1), 1), "rows"),
        (shape(70, (64, 32), (4, 4), (3, 3), (1, 1), 1), "images"),
        (shape(3, (11, 40), (7, 5), (3, 3), (2, 1), 1), "odd"),
        (shape(2, (6, 31), (8, 12), (3, 3), (2, 1), 1), "even"),
        (shape(1, (3, 130), (93, 90), (3, 3), (2, 1), 1), "rows"),
        (shape(2, (64, 150), (8, 8), (1, 1), (1, 0), 1), "point"),
        (shape(3, (91, 16), (3, 7), (1, 1), (1, 0), 1), "odd"),
        (shape(1, (2, 260), (67, 61), (1, 1), (1, 0), 1), "rows"),
        (shape(2, (50, 17), (9, 7), (1, 1), (2, 0), 1), "odd"),
        (shape(6, (47, 130), (2, 2), (1, 1), (1, 0), 1), "small"),
        (shape(47, (13, 33), (2, 3), (1, 1), (1, 0), 1), "small"),
    ];
    for (s, what) in shapes {
        assert!(is_of_spikes(&s), "{s:?}");
        let c = case(&s, DType::F32);
        for rate in [0.0, 0.2, 1.0] {
            let x = spikes(9, &[s.n, s.c_in, s.h, s.w], rate);
            let exact = forward(&s, Operand::Dense(&wide(&x)), &wide(&c.w), Some(&wide(&c.b))).unwrap();
            let bits = packed(&x, s.n * s.c_in);
            let found = same_for_any_threads(what, || {
                vec![forward(&s, Operand::Spikes(&bits), &c.w, Some(&c.b)).unwrap()]
            });
            close(&found[0], &exact, 2e-6, &format!("{what}: y of {s:?} at {rate}"));
            for accumulate in [false, true] {
                let into = wide(&tensor(5, c.w.dims(), DType::F32));
                backward_weight(&s, Operand::Dense(&wide(&x)), &wide(&c.dy), &into, accumulate).unwrap();
                let found = same_for_any_threads(what, || {
                    let into = tensor(5, c.w.dims(), DType::F32);
                    backward_weight(&s, Operand::Spikes(&bits), &c.dy, &into, accumulate).unwrap();
                    vec![into]
                });
                close(&found[0], &into, 4e-6, &format!("{what}: dw of {s:?} at {rate}"));
            }
        }
    }
}

#[test]
fn events_give_the_bits_of_the_plain_loop_over_pixels() {
    // Odd sizes: maps of one pixel, rows that end inside a byte, channels that fill no lane, windows of several images
    // and of a few rows, and parts of the images.
    let shapes = [
        ((1, 1), (1, 16), 1, 1),
        ((3, 5), (5, 17), 7, 3),
        ((2, 9), (65, 33), 9, 13),
        ((5, 64), (64, 31), 4, 4),
        ((3, 2), (3, 40), 37, 29),
        ((1, 1), (2, 16), 3, 400),
    ];
    for ((n, c_in), (_, c_out), h, w) in shapes {
        let s = ConvShape { n, c_in, h, w, c_out, kernel: (3, 3), stride: 1, pad: 1, groups: 1 };
        assert!(is_of_spikes(&s));
        let dy = tensor(2, &[n, c_out, h, w], DType::F32);
        for rate in [0.0, 0.2, 1.0] {
            let x = spikes(9, &[n, c_in, h, w], rate);
            let into = Tensor::zeros((c_out, c_in, 3, 3), DType::F32, dy.device()).unwrap();
            backward_weight(&s, Operand::Spikes(&packed(&x, n * c_in)), &dy, &into, false).unwrap();
            let expected = over_pixels(&s, &list(&x), &list(&dy));
            let found: Vec<f32> = list(&into).into_iter().map(|value| value as f32).collect();
            if n == 1 {
                assert_eq!(found, expected, "{s:?} at {rate}");
            } else {
                // The images are summed in parts.
                let expected = Tensor::from_vec(expected, into.dims(), dy.device()).unwrap();
                close(&into, &expected, 1e-5, &format!("{s:?} at {rate}"));
            }
        }
    }
}

/// The weight gradient in f32, each weight's sum over images, rows and columns of the input in order.
fn over_pixels(s: &ConvShape, x: &[f64], dy: &[f64]) -> Vec<f32> {
    let mut sums = vec![0.0_f32; s.c_out * s.c_in * 9];
    let pixels = (0..s.n).flat_map(|n| (0..s.h).flat_map(move |i| (0..s.w).map(move |j| (n, i, j))));
    for (n, i, j) in pixels {
        for (c, o, tap) in (0..s.c_in * s.c_out * 9).map(|k| (k / 9 / s.c_out, k / 9 % s.c_out, k % 9)) {
            let (row, column) = ((i + 1).wrapping_sub(tap / 3), (j + 1).wrapping_sub(tap % 3));
            if row < s.h && column < s.w {
                let spike = x[((n * s.c_in + c) * s.h + i) * s.w + j] as f32;
                sums[(o * s.c_in + c) * 9 + tap] +=
                    spike * dy[((n * s.c_out + o) * s.h + row) * s.w + column] as f32;
            }
        }
    }
    sums
}

#[test]
fn gradients_are_the_adjoints_of_the_forward() {
    for s in shapes() {
        let c = case(&s, DType::F64);
        let y = forward(&s, Operand::Dense(&c.x), &c.w, None).unwrap();
        let (dx, dw) = (backward_input(&s, &c.dy, &c.w, Tiles::Two).unwrap(), c.w.zeros_like().unwrap());
        backward_weight(&s, Operand::Dense(&c.x), &c.dy, &dw, false).unwrap();
        let energy = dot(&y, &c.dy);
        for (what, other) in [("x", dot(&c.x, &dx)), ("w", dot(&c.w, &dw))] {
            assert!(
                (energy - other).abs() <= 1e-10 * (1.0 + energy.abs()),
                "{what} of {s:?}: {energy} {other}"
            );
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for s in shapes().into_iter().chain([shape(9, (24, 40), (16, 15), (3, 3), (1, 1), 1)]) {
        let c = case(&s, DType::F32);
        same_for_any_threads(&format!("{s:?}"), || {
            let dw = c.w.zeros_like().unwrap();
            backward_weight(&s, Operand::Dense(&c.x), &c.dy, &dw, true).unwrap();
            let y = forward(&s, Operand::Dense(&c.x), &c.w, Some(&c.b)).unwrap();
            let [two, four] =
                [Tiles::Two, Tiles::Four].map(|tiles| backward_input(&s, &c.dy, &c.w, tiles).unwrap());
            vec![y, two, four, dw]
        });
    }
}

#[test]
fn scratch_stays_in_its_budget() {
    // 16 threads of the largest layers of the zoo stay below 64 MiB.
    for s in [
        shape(64, (512, 512), (7, 7), (3, 3), (1, 1), 1),
        shape(64, (512, 512), (4, 4), (3, 3), (1, 1), 1),
        shape(8, (64, 64), (224, 224), (3, 3), (1, 1), 1),
        shape(8, (3, 64), (224, 224), (7, 7), (2, 3), 1),
        shape(8, (2048, 512), (7, 7), (1, 1), (1, 0), 1),
    ] {
        let bytes = [Tiles::Two, Tiles::Four].map(|tiles| workspace_bytes(&s, DType::F32, tiles));
        assert!(16 * bytes[0] <= 64 << 20, "{s:?}: {bytes:?}");
        // Tiles of 4 take four times the scratch.
        assert!(16 * bytes[1] <= 256 << 20, "{s:?}: {bytes:?}");
    }
}

#[test]
fn shapes_that_make_no_convolution_are_refused() {
    let good = shape(1, (4, 4), (5, 5), (3, 3), (1, 1), 2);
    assert!(good.check().is_ok());
    for bad in [
        ConvShape { stride: 0, ..good },
        ConvShape { groups: 3, ..good },
        ConvShape { kernel: (8, 3), ..good },
        ConvShape { kernel: (0, 3), ..good },
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
    let c = case(&good, DType::F32);
    assert!(
        backward_weight(&good, Operand::Dense(&c.x), &c.dy, &c.x, false).is_err(),
        "an alias must be refused"
    );
}

trait WeightCount {
    fn weight_count(&self) -> usize;
}

impl WeightCount for ConvShape {
    fn weight_count(&self) -> usize {
        self.c_out * self.kernel.0 * self.kernel.1
    }
}
