//! Linear maps, biases and norms: fast against plain, adjoints, finite differences, and threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Tensor};
use kernels::norm::{Moments, NormShape};
use kernels::{Operand, bias, linear, norm};
use values::*;

#[test]
fn linear_maps_agree_with_the_plain_loops() {
    for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 7), (300, 33, 130), (33, 700, 257), (520, 64, 10)] {
        let case = |dtype| {
            let t = |seed, shape: &[usize]| tensor(seed, shape, dtype);
            [t(1, &[rows, inputs]), t(2, &[outputs, inputs]), t(3, &[outputs]), t(4, &[rows, outputs])]
        };
        let run = |[x, w, b, dy]: &[Tensor; 4], accumulate| {
            let into = tensor(5, &[outputs, inputs], x.dtype());
            linear::backward_weight(rows, Operand::Dense(x), dy, &into, accumulate).unwrap();
            let y = linear::forward(rows, Operand::Dense(x), w, Some(b)).unwrap();
            [y, linear::backward_input(dy, w).unwrap(), into]
        };
        for accumulate in [false, true] {
            let (fast, plain) = (run(&case(DType::F32), accumulate), run(&case(DType::F64), accumulate));
            for (i, (a, b)) in fast.iter().zip(&plain).enumerate() {
                assert_near(a, b, 1e-4, &format!("result {i} of {rows} {inputs} {outputs}"));
            }
        }
        let [x, w, _, dy] = case(DType::F64);
        let y = linear::forward(rows, Operand::Dense(&x), &w, None).unwrap();
        let dx = linear::backward_input(&dy, &w).unwrap();
        assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-9 * (1.0 + dot(&y, &dy).abs()));
    }
}

#[test]
fn linear_maps_read_spikes_of_any_rows() {
    let (rows, inputs, outputs) = (65, 7 * 48, 50);
    let (w, dy) = (tensor(2, &[outputs, inputs], DType::F32), tensor(4, &[rows, outputs], DType::F32));
    for rate in [0.0, 0.2, 1.0] {
        let x = spikes(1, &[rows, inputs], rate);
        let run = |x: Operand| {
            let into = w.zeros_like().unwrap();
            linear::backward_weight(rows, x, &dy, &into, false).unwrap();
            (linear::forward(rows, x, &w, None).unwrap(), into)
        };
        let (y, dw) = run(Operand::Dense(&x));
        // One row a row, channels of 7 by 7 and less, and two rows a row.
        for packed_rows in [rows, rows * 48, rows * 7, rows * inputs, rows / 5, 1] {
            let packed = packed(&x, packed_rows);
            let (y_bits, dw_bits) = run(Operand::Spikes(&packed));
            assert_near(&y_bits, &y, 1e-5, &format!("y from {packed_rows} rows at {rate}"));
            assert_near(&dw_bits, &dw, 1e-5, &format!("dw from {packed_rows} rows at {rate}"));
        }
    }
}

#[test]
fn linear_maps_give_the_same_bits_for_any_threads() {
    let (rows, inputs, outputs) = (300, 257, 400);
    let t = |seed, shape: &[usize]| tensor(seed, shape, DType::F32);
    let (x, w, dy) = (t(1, &[rows, inputs]), t(2, &[outputs, inputs]), t(3, &[rows, outputs]));
    same_for_any_threads("linear", || {
        let into = w.zeros_like().unwrap();
        linear::backward_weight(rows, Operand::Dense(&x), &dy, &into, true).unwrap();
        let y = linear::forward(rows, Operand::Dense(&x), &w, None).unwrap();
        vec![y, linear::backward_input(&dy, &w).unwrap(), into]
    });
}

#[test]
fn a_biass_gradient_is_the_sum_over_images_and_places() {
    for (n, c, plane) in [(1, 1, 1), (5, 3, 1), (7, 70, 1), (3, 5, 49), (40, 9, 225)] {
        let dy = tensor(1, &[n, c, plane], DType::F32);
        let expected = wide(&dy).sum((0, 2)).unwrap();
        let into = Tensor::ones(c, DType::F32, dy.device()).unwrap();
        bias::gradient(&dy, n, c, plane, &into, false).unwrap();
        assert_near(&into, &expected, 1e-6, "overwritten");
        bias::gradient(&dy, n, c, plane, &into, true).unwrap();
        assert_near(&into, &(expected * 2.0).unwrap(), 1e-6, "on top");
        same_for_any_threads("bias", || {
            let into = Tensor::zeros(c, DType::F32, dy.device()).unwrap();
            bias::gradient(&dy, n, c, plane, &into, false).unwrap();
            vec![into]
        });
    }
}

const EPS: f64 = 1e-5;
const GAIN: f64 = 1.5;

fn norm_shapes() -> Vec<NormShape> {
    let shape = |groups, n, c, plane| NormShape { groups, n, c, plane };
    vec![
        shape(1, 2, 1, 1),
        shape(2, 3, 5, 1),
        shape(1, 4, 3, 7),
        shape(3, 2, 4, 50),
        shape(2, 40, 7, 196),
        shape(1, 512, 70, 1),
        // Blocks of channels, of which the last is narrower.
        shape(2, 5, 70, 16),
        shape(1, 3, 600, 4),
    ]
}

struct Case {
    x: Tensor,
    dy: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

fn norm_case(s: &NormShape, dtype: DType) -> Case {
    let t = |seed, shape: &[usize]| tensor(seed, shape, dtype);
    let all = [s.groups * s.n, s.c, s.plane];
    Case {
        x: (t(1, &all) + 3.0).unwrap(),
        dy: t(2, &all),
        gamma: (t(3, &[s.c]) + 1.1).unwrap(),
        beta: t(4, &[s.c]),
    }
}

fn normalise(s: &NormShape, x: &Tensor, c: &Case) -> (Tensor, Moments) {
    let m = norm::moments(s, x).unwrap();
    let (scale, shift) = norm::fold(&m, EPS, GAIN, Some(&c.gamma), Some(&c.beta)).unwrap();
    (norm::affine(s, x, &scale, &shift).unwrap(), m)
}

fn gradients(s: &NormShape, c: &Case, own: bool) -> [Tensor; 3] {
    let (_, m) = normalise(s, &c.x, c);
    let (dgamma, dbeta) = (c.gamma.zeros_like().unwrap(), c.beta.zeros_like().unwrap());
    let (dy, gamma) = (c.dy.copy().unwrap(), Some(&c.gamma));
    let into = (Some((&dgamma, true)), Some((&dbeta, false)));
    let dx = norm::backward(s, &c.x, dy, own, &m, EPS, GAIN, gamma, into.0, into.1).unwrap();
    [dx, dgamma, dbeta]
}

#[test]
fn norms_agree_with_the_plain_loops() {
    for s in norm_shapes() {
        let (fast, plain) = (norm_case(&s, DType::F32), norm_case(&s, DType::F64));
        let ((y, m), (y_plain, m_plain)) = (normalise(&s, &fast.x, &fast), normalise(&s, &plain.x, &plain));
        assert_near(&m.mean, &m_plain.mean, 1e-6, "mean");
        assert_near(&m.var, &m_plain.var, 1e-6, "var");
        // Two values a channel may lie close together, and then their rounding is magnified.
        let near = if s.n * s.plane < 8 { 1e-3 } else { 5e-5 };
        assert_near(&y, &y_plain, near, &format!("y of {s:?}"));
        for own in [false, true] {
            for (a, b) in gradients(&s, &fast, own).iter().zip(gradients(&s, &plain, own)) {
                let size = list(&b).iter().fold(1.0f64, |m, x| m.max(x.abs()));
                assert_near(&(a / size).unwrap(), &(b / size).unwrap(), near, &format!("gradients of {s:?}"));
            }
        }
    }
}

#[test]
fn a_norms_gradient_is_that_of_finite_differences() {
    const STEP: f64 = 1e-5;
    for s in [NormShape { groups: 2, n: 3, c: 2, plane: 4 }, NormShape { groups: 1, n: 5, c: 3, plane: 1 }] {
        let c = norm_case(&s, DType::F64);
        let [dx, dgamma, dbeta] = gradients(&s, &c, true);
        let energy = |x: &Tensor, gamma: &Tensor, beta: &Tensor| {
            let (dy, gamma, beta) = (c.dy.clone(), gamma.clone(), beta.clone());
            dot(&normalise(&s, x, &Case { x: x.clone(), dy, gamma, beta }).0, &c.dy)
        };
        for (which, (start, expected)) in
            [(&c.x, dx), (&c.gamma, dgamma), (&c.beta, dbeta)].into_iter().enumerate()
        {
            for (i, expected) in list(&expected).into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = list(start);
                    values[i] += by;
                    let moved = Tensor::from_vec(values, start.shape(), start.device()).unwrap();
                    let mut operands = [&c.x, &c.gamma, &c.beta];
                    operands[which] = &moved;
                    energy(operands[0], operands[1], operands[2])
                };
                let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                assert!(
                    (slope - expected).abs() < 1e-6 * (1.0 + slope.abs()),
                    "operand {which}, {i}: {slope} {expected}"
                );
            }
        }
    }
}

#[test]
fn norms_give_the_same_bits_for_any_threads() {
    for s in norm_shapes() {
        let c = norm_case(&s, DType::F32);
        same_for_any_threads(&format!("{s:?}"), || {
            let (y, m) = normalise(&s, &c.x, &c);
            let mut all = vec![y, m.mean, m.var];
            all.extend(gradients(&s, &c, true));
            all
        });
    }
}

#[test]
fn running_statistics_move_towards_the_unbiased_batch() {
    let s = NormShape { groups: 2, n: 3, c: 2, plane: 5 };
    let x = tensor(1, &[6, 2, 5], DType::F32);
    let m = norm::moments(&s, &x).unwrap();
    let (mean, var) = (tensor(2, &[2], DType::F32), tensor(3, &[2], DType::F32));
    let (mean0, var0) = (list(&mean), list(&var));
    norm::update_running(&mean, &var, &m, 1, 15, 0.1).unwrap();
    for ch in 0..2 {
        let at = 2 + ch;
        let expected = (
            0.9 * mean0[ch] + 0.1 * list(&m.mean)[at],
            0.9 * var0[ch] + 0.1 * list(&m.var)[at] * 15.0 / 14.0,
        );
        assert!((list(&mean)[ch] - expected.0).abs() < 1e-6 && (list(&var)[ch] - expected.1).abs() < 1e-6);
    }
}
