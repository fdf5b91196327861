//! Attention, sums over rows and rows times a number: against their equations, their adjoints, and threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Tensor};
use kernels::attention::{AttentionShape, backward, forward};
use kernels::{Bits, Operand, elementwise};
use values::*;

/// Both orders of the products, one token, one channel a head, and sizes that no tile divides.
fn shapes() -> Vec<AttentionShape> {
    let shape = |images, channels, tokens, heads| AttentionShape { images, channels, tokens, heads };
    vec![
        shape(1, 1, 1, 1),
        shape(3, 6, 1, 2),
        shape(2, 12, 25, 3),
        shape(2, 30, 7, 2),
        shape(4, 64, 64, 8),
        shape(1, 40, 49, 1),
        shape(5, 8, 9, 8),
    ]
}

fn dims(s: &AttentionShape) -> [usize; 3] {
    [s.images, s.channels, s.tokens]
}

/// The definition, one number at a time.
fn defined(s: &AttentionShape, [q, k, v]: [&Tensor; 3], scale: f64) -> Vec<f64> {
    let ([q, k, v], n, d) = ([list(q), list(k), list(v)], s.tokens, s.channels / s.heads);
    let mut out = vec![0.0; q.len()];
    for head in 0..s.images * s.heads {
        let at = |c: usize, i: usize| (head * d + c) * n + i;
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let a: f64 = (0..d).map(|c| q[at(c, i)] * k[at(c, j)]).sum();
            (0..d).for_each(|c| out[at(c, i)] += scale * a * v[at(c, j)]);
        }
    }
    out
}

#[test]
fn attention_is_its_definition_for_numbers_and_spikes() {
    for s in shapes() {
        for dtype in [DType::F32, DType::F64] {
            let tolerance = if dtype == DType::F64 { 1e-13 } else { 2e-6 } * s.tokens as f64;
            let [q, k, v] = [1, 2, 3].map(|seed| tensor(seed, &dims(&s), dtype));
            let [dq, dk, dv] = [&q, &k, &v].map(Operand::Dense);
            let found = forward(&s, dq, dk, dv, 0.3, dtype).unwrap();
            let expected =
                Tensor::from_vec(defined(&s, [&q, &k, &v], 0.3), found.dims(), found.device()).unwrap();
            assert_near(&found, &expected, tolerance, &format!("{s:?} in {dtype:?}"));

            for rate in [0.0, 0.3, 1.0] {
                let [q, k, v] = [4, 5, 6].map(|seed| spikes(seed, &dims(&s), rate));
                let [bq, bk, bv] = [&q, &k, &v].map(|x| packed(x, s.images * s.channels));
                let [sq, sk, sv] = [&bq, &bk, &bv].map(Operand::Spikes);
                let found = forward(&s, sq, sk, sv, 0.125, dtype).unwrap();
                assert_eq!(found.dtype(), dtype);
                // Whole numbers and a power of two: no rounding in either order.
                assert_eq!(list(&found), defined(&s, [&q, &k, &v], 0.125), "spikes of {s:?} at {rate}");
                let g = tensor(7, &dims(&s), dtype);
                let wide = [&q, &k, &v].map(|x| x.to_dtype(dtype).unwrap());
                let [nq, nk, nv] = wide.each_ref().map(Operand::Dense);
                let numbers = backward(&s, nq, nk, nv, &g, 0.125).unwrap();
                let mixed = backward(&s, sq, nk, sv, &g, 0.125).unwrap();
                for (a, b) in backward(&s, sq, sk, sv, &g, 0.125)
                    .unwrap()
                    .iter()
                    .zip(&numbers)
                    .chain(mixed.iter().zip(&numbers))
                {
                    assert_eq!(bits(a), bits(b), "gradients of {s:?}");
                }
            }
        }
    }
}

/// Attention is linear in each of its three inputs, so each gradient is an adjoint.
#[test]
fn gradients_are_the_adjoints_of_the_forward() {
    for s in shapes() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let [q, k, v] = [1, 2, 3].map(|seed| tensor(seed, &dims(&s), dtype));
            let g = tensor(4, &dims(&s), dtype);
            let [oq, ok, ov] = [&q, &k, &v].map(Operand::Dense);
            let gradients = backward(&s, oq, ok, ov, &g, 0.7).unwrap();
            for (which, gradient) in gradients.iter().enumerate() {
                let direction = tensor(5, &dims(&s), dtype);
                let mut inputs = [oq, ok, ov];
                inputs[which] = Operand::Dense(&direction);
                let moved = forward(&s, inputs[0], inputs[1], inputs[2], 0.7, dtype).unwrap();
                let (a, b) = (dot(&moved, &g), dot(&direction, gradient));
                assert!(
                    (a - b).abs() < tolerance * (1.0 + a.abs()),
                    "{s:?} {dtype:?} input {which}: {a} {b}"
                );
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (channels, tokens) in [(96, 64), (128, 16)] {
        let s = AttentionShape { images: 8, channels, tokens, heads: 4 };
        let [q, k, v] = [1, 2, 3].map(|seed| packed(&spikes(seed, &dims(&s), 0.3), s.images * s.channels));
        let g = tensor(4, &dims(&s), DType::F32);
        same_for_any_threads("attention", || {
            let [q, k, v] = [&q, &k, &v].map(Operand::Spikes);
            let mut all = backward(&s, q, k, v, &g, 0.125).unwrap().to_vec();
            all.push(forward(&s, q, k, v, 0.125, DType::F32).unwrap());
            all
        });
    }
}

#[test]
fn shapes_that_make_no_attention_are_refused() {
    let s = AttentionShape { images: 1, channels: 6, tokens: 2, heads: 4 };
    let x = tensor(1, &dims(&s), DType::F32);
    let x = Operand::Dense(&x);
    assert!(forward(&s, x, x, x, 1.0, DType::F32).is_err(), "heads that do not divide the channels");
    assert!(forward(&AttentionShape { heads: 0, ..s }, x, x, x, 1.0, DType::F32).is_err());
    let other = AttentionShape { tokens: 3, heads: 2, ..s };
    assert!(forward(&other, x, x, x, 1.0, DType::F32).is_err(), "another length");
}

#[test]
fn row_ops_are_their_equations_for_numbers_and_spikes() {
    for (rows, plane) in [(1, 1), (3, 7), (70, 64), (5, 196), (40, 1025)] {
        for dtype in [DType::F32, DType::F64] {
            let (a, b) = (tensor(1, &[rows, plane], dtype), tensor(2, &[rows, plane], dtype));
            let factor = tensor(3, &[rows], dtype);
            let found =
                elementwise::row_dot(rows, plane, Operand::Dense(&a), Operand::Dense(&b), dtype).unwrap();
            let expected = (wide(&a) * wide(&b)).unwrap().sum(1).unwrap();
            assert_near(&found, &expected, if dtype == DType::F64 { 1e-12 } else { 1e-6 }, "dot");
            let found =
                elementwise::row_scale(rows, plane, Operand::Dense(&a), Operand::Dense(&factor), dtype)
                    .unwrap();
            assert_eq!(bits(&found), bits(&a.broadcast_mul(&factor.reshape((rows, 1)).unwrap()).unwrap()));

            for rate in [0.0, 0.4, 1.0] {
                let (x, y) = (spikes(4, &[rows, plane], rate), spikes(5, &[rows, plane], 0.5));
                let mask = spikes(6, &[rows, 1], rate);
                let [xb, yb, mb]: [Bits; 3] = [&x, &y, &mask].map(|x| packed(x, rows));
                let overlap = elementwise::row_overlap(&xb, &yb, dtype).unwrap();
                assert_eq!(overlap.dtype(), dtype);
                assert_eq!(list(&overlap), list(&(&x * &y).unwrap().sum(1).unwrap()));
                let (x_bits, y_bits) = (Operand::Spikes(&xb), Operand::Spikes(&yb));
                let dots = elementwise::row_dot(rows, plane, x_bits, y_bits, dtype).unwrap();
                assert_eq!(bits(&dots), bits(&overlap));
                let masked = elementwise::row_mask(&xb, &mb).unwrap();
                let expected = x.broadcast_mul(&mask).unwrap();
                assert_eq!(list(&masked.unpack(dtype).unwrap()), list(&expected));
                assert_eq!(masked.count_ones().unwrap() as f64, list(&expected).iter().sum::<f64>());
                let scaled =
                    elementwise::row_scale(rows, plane, x_bits, Operand::Spikes(&mb), dtype).unwrap();
                assert_eq!(list(&scaled), list(&expected));
            }
        }
        assert!(
            elementwise::row_mask(
                &packed(&spikes(1, &[rows, plane], 0.5), rows),
                &packed(&spikes(1, &[rows + 1, 1], 0.5), rows + 1)
            )
            .is_err()
        );
    }
}
