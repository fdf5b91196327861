//! Carried states on a grid come back to the bit, at the cost that the code promises.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Device, Tensor};
use kernels::remainder::{CHUNK, Layout, Remainders, carry, encode, factors, recover, start};
use kernels::{Error, elementwise};
use proptest::prelude::*;
use values::*;

const BITS: i32 = 20;

fn of(values: Vec<f64>, dtype: DType) -> Tensor {
    let len = values.len();
    Tensor::from_vec(values, len, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// Roughly normal numbers: sums of six even ones.
fn normal(seed: u64, len: usize) -> Vec<f64> {
    (0..len).map(|i| (0..6).map(|part| value(seed * 6 + part, i)).sum::<f64>() / 2f64.sqrt()).collect()
}

/// `T - 1` steps of a carried state `[n, ch, plane]` with new inputs each: `(f, states)`.
fn states(layout: &Layout, alpha: &Tensor, steps: usize, dtype: DType) -> (Vec<Tensor>, Vec<Tensor>) {
    let len = layout.n * layout.ch * layout.plane;
    let f: Vec<Tensor> = (0..steps as u64).map(|t| of(normal(t + 1, len), dtype)).collect();
    let mut all: Vec<Tensor> = Vec::new();
    for f in &f {
        all.push(match all.last() {
            Some(last) => carry(layout, f, last, alpha).unwrap(),
            None => start(f, layout.bits).unwrap(),
        });
    }
    (f, all)
}

#[test]
fn every_factor_brings_every_state_back() {
    // Each row is one channel: all n, and states around zero, at the edges and in between.
    let units: Vec<i32> = (1..=130).chain([255, 1000, 32_767]).flat_map(|n| [n, -n]).collect();
    let edge = (1 << 24) - 1;
    let integers: Vec<i32> = (-200..=200)
        .chain((edge - 150)..=edge)
        .chain(-edge..=(150 - edge))
        .chain((0..600).map(|i| i * 27_449))
        .collect();
    let scale = 2f64.powi(-BITS);
    for dtype in [DType::F32, DType::F64] {
        for &n in &units {
            // Only states whose successor is in range.
            let states: Vec<f64> = integers
                .iter()
                .filter(|&&c| (i64::from(c) * i64::from(n)).div_euclid(64).abs() <= i64::from(edge))
                .map(|&c| f64::from(c) * scale)
                .collect();
            let layout = Layout { n: 1, ch: 1, plane: states.len(), bits: BITS };
            let (prev, alpha) = (of(states.clone(), dtype), of(vec![f64::from(n) / 64.0], dtype));
            let f = of(vec![0.0; states.len()], dtype);
            let c = carry(&layout, &f, &prev, &alpha).unwrap();
            let expected: Vec<f64> = states
                .iter()
                .map(|c| ((c / scale) as i64 * i64::from(n)).div_euclid(64) as f64 * scale)
                .collect();
            assert_eq!(list(&c), expected, "n = {n}");
            let lost = encode(&layout, &prev, &alpha).unwrap();
            assert_eq!(lost.bytes() == 0, n.abs() >= 64, "n = {n}");
            let back = recover(&layout, &c, &f, &alpha, &lost).unwrap();
            assert_eq!(bits(&back), bits(&prev), "n = {n} {dtype:?}");
        }
    }
}

#[test]
fn rows_chunks_and_threads_do_not_show() {
    // Planes that divide nothing, several chunks, and every kind of factor side by side.
    for (n, plane) in [(3, 1511), (900, 7), (1, 40_000)] {
        let alpha = [0.5, -0.5, 0.1, 0.0, -1e-6, 1.0, -1.25, 0.99, 0.25, 3.0];
        let layout = Layout { n, ch: alpha.len(), plane, bits: BITS };
        let alpha = of(alpha.to_vec(), DType::F32);
        same_for_any_threads("remainders", || {
            let (f, states) = states(&layout, &alpha, 2, DType::F32);
            let lost = encode(&layout, &states[0], &alpha).unwrap();
            let back = recover(&layout, &states[1], &f[1], &alpha, &lost).unwrap();
            assert_eq!(bits(&back), bits(&states[0]));
            let bytes = of(vec![lost.bytes() as f64], DType::F64);
            vec![back, states[1].clone(), bytes]
        });
    }
}

#[test]
fn a_half_costs_one_bit() {
    for plane in [8, 512, 1000] {
        let layout = Layout { n: 20, ch: 4, plane, bits: BITS };
        let len = 80 * plane;
        for alpha in [0.5, -0.5] {
            let (_, states) = states(&layout, &of(vec![alpha; 4], DType::F32), 2, DType::F32);
            let lost = encode(&layout, &states[1], &of(vec![alpha; 4], DType::F32)).unwrap();
            assert_eq!(lost.payload_bytes(), len.div_ceil(8));
            assert_eq!(lost.bytes(), len.div_ceil(8) + 16 * len.div_ceil(CHUNK));
            assert_eq!(Remainders::expected_bytes(&layout, &[alpha; 4]), lost.bytes());
        }
    }
}

#[test]
fn a_zero_has_one_sign() {
    let layout = Layout { n: 1, ch: 1, plane: 3, bits: BITS };
    let f = of(vec![-0.0, -1e-9, 0.0], DType::F32);
    for alpha in [-0.5, 0.5, -1.5, 1.5] {
        let alpha = of(vec![alpha], DType::F32);
        let first = start(&f, BITS).unwrap();
        let second = carry(&layout, &f, &first, &alpha).unwrap();
        assert_eq!((bits(&first), bits(&second)), (vec![0; 3], vec![0; 3]));
        let lost = encode(&layout, &first, &alpha).unwrap();
        assert_eq!(bits(&recover(&layout, &second, &f, &alpha, &lost).unwrap()), vec![0; 3]);
    }
}

#[test]
fn factors_are_never_zero() {
    let alpha = of(vec![0.0, -1e-9, 0.007, 0.5, -0.1, 1.25, 0.508], DType::F32);
    let expected = [1.0, -1.0, 1.0, 32.0, -6.0, 80.0, 33.0].map(|n| n / 64.0);
    assert_eq!(list(&factors(&alpha).unwrap()), expected);
    for bad in [f64::NAN, f64::INFINITY, 512.0] {
        assert!(matches!(factors(&of(vec![bad], DType::F32)), Err(Error::Rule { .. })), "{bad}");
    }
}

#[test]
fn streams_of_other_states_are_refused() {
    let layout = Layout { n: 1, ch: 1, plane: 20_000, bits: BITS };
    let alpha = of(vec![0.7], DType::F32);
    let (f, states) = states(&layout, &alpha, 3, DType::F32);
    let lost = encode(&layout, &states[1], &alpha).unwrap();
    let error = recover(&layout, &states[2], &f[1], &alpha, &lost).unwrap_err().to_string();
    assert!(error.contains("streams must end where the states do"), "{error}");
    let other = of(vec![1.0], DType::F32);
    assert!(recover(&layout, &states[2], &f[2], &other, &lost).is_err());
}

/// Bits an element and step for every factor, measured on states after several steps: `cargo test -p kernels --test
/// remainder bound -- --nocapture` prints the table.
#[test]
fn the_bound_holds_for_every_factor() {
    let layout = Layout { n: 8, ch: 1, plane: CHUNK, bits: BITS };
    println!("|n| |alpha|  measured  even spread  -log2|alpha|  bound  f32 states / remainders");
    for n in 1..=96 {
        let magnitude = f64::from(n) / 64.0;
        let mut worst = 0_f64;
        for sign in [1.0, -1.0] {
            let alpha = of(vec![sign * magnitude], DType::F32);
            let (_, states) = states(&layout, &alpha, 4, DType::F32);
            let lost = encode(&layout, &states[3], &alpha).unwrap();
            worst = worst.max(8.0 * lost.payload_bytes() as f64 / (8 * CHUNK) as f64);
        }
        let expected = Remainders::expected_bytes(&layout, &[magnitude]);
        let expected = 8.0 * expected.saturating_sub(8 * 16) as f64 / (8 * CHUNK) as f64;
        let entropy = (-magnitude.log2()).max(0.0);
        let bound = entropy + 0.5;
        let ratio = if worst > 0.0 { format!("{:.1}", 32.0 / worst) } else { "none written".into() };
        println!("{n:3} {magnitude:.4}  {worst:8.4}  {expected:11.4}  {entropy:12.4}  {bound:5.3}  {ratio}");
        assert!(worst <= bound, "n = {n}: {worst} bits");
        assert!((worst - expected).abs() < 0.02, "n = {n}: {worst} bits, {expected} expected");
        assert!(worst >= entropy - 0.02, "n = {n}: {worst} bits can't tell the states apart");
        assert_eq!(worst == 0.0, n >= 64);
    }
}

proptest! {
    #[test]
    fn carried_states_come_back(
        alpha in -2.0_f64..2.0,
        pairs in proptest::collection::vec((-7.9_f64..7.9, -3.0_f64..3.0), 1..600),
        double in any::<bool>(),
    ) {
        let dtype = if double { DType::F64 } else { DType::F32 };
        let (x, f): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let layout = Layout { n: 1, ch: 1, plane: x.len(), bits: 19 };
        let (prev, f) = (elementwise::round_to_grid(&of(x, dtype), 19).unwrap(), of(f, dtype));
        let alpha = of(vec![alpha], dtype);
        let c = carry(&layout, &f, &prev, &alpha).unwrap();
        let lost = encode(&layout, &prev, &alpha).unwrap();
        prop_assert_eq!(list(&recover(&layout, &c, &f, &alpha, &lost).unwrap()), list(&prev));
    }
}
