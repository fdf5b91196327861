//! Numbers beside halves: streams, membranes and sums are no halves, and an op that reads both reads each as it lies. What it
//! gives has the processor's bits.

use candle_core::{DType, Tensor};
use half::{bf16, f16};
use kernels::attention::{self, AttentionShape};
use kernels::cuda::{launch, source};
use kernels::lif::{self, Current, LifShape};
use kernels::norm::NormShape;
use kernels::{Bits, Operand, elementwise};

use crate::halves::{HALVES, bits, grid, halves};
use crate::host::{Argument, Host, from, missing, numbers, same, tensor, to, value, values};
use crate::neurons::{Input, constants, soft_cell};
use crate::sums::Matrix;

/// Whether numbers are in the type that is computed in.
fn wide(x: &Tensor) -> Argument {
    value(i32::from(x.dtype() == DType::F32))
}

/// What a tensor holds, and its address.
enum Values {
    Half(Vec<u16>),
    Number(Vec<f32>),
}

impl Values {
    fn of(x: &Tensor) -> Self {
        if x.dtype() == DType::F32 { Self::Number(values(x)) } else { Self::Half(bits(x)) }
    }

    fn nothing_like(x: &Tensor) -> Self {
        match Self::of(x) {
            Self::Half(all) => Self::Half(vec![0xffff; all.len()]),
            Self::Number(all) => Self::Number(vec![f32::NAN; all.len()]),
        }
    }

    fn at(&mut self) -> Argument {
        match self {
            Self::Half(all) => to(all),
            Self::Number(all) => to(all),
        }
    }

    fn check(&self, what: &str, expected: &Tensor) {
        match self {
            Self::Half(all) => assert_eq!(*all, bits(expected), "{what}"),
            Self::Number(all) => same(what, all, &values(expected)),
        }
    }
}

#[test]
fn sums_of_a_stream_and_a_half_are_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::ELEMENTWISE, number, 0, &["add", "add_assign"]) else { return };
        let (half, stream, len) = (halves(dtype, 1, &[4, 75]), tensor(&numbers(300, 2), (4, 75)), 300);
        for (a, b) in [(&half, &stream), (&stream, &half), (&stream, &stream)] {
            let expected = elementwise::add(a, b).unwrap();
            assert_eq!(expected.dtype(), DType::F32);
            let (mut x, mut y, mut out) = (Values::of(a), Values::of(b), Values::nothing_like(&expected));
            let sides = vec![x.at(), wide(a), y.at(), wide(b), out.at(), wide(&expected)];
            host.run("add", grid(len), [sides, vec![value(len as u64)]].concat());
            out.check("sum", &expected);

            let expected = a.copy().unwrap();
            elementwise::add_assign(&expected, b, -0.3).unwrap();
            let sides = vec![x.at(), wide(a), y.at(), wide(b), value(-0.3f32), value(len as u64)];
            host.run("add_assign", grid(len), sides);
            x.check("sum in place", &expected);
        }
    }
}

#[test]
fn a_residual_sum_of_a_stream_and_a_norm_of_halves_is_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::CHANNELS, number, 0, &["affine", "biased"]) else { return };
        let s = NormShape { groups: 2, n: 3, c: 4, plane: 10 };
        let (half, stream, len) =
            (halves(dtype, 1, &[6, 4, 10]), tensor(&numbers(240, 2), (6, 4, 10)), 240usize);
        let (scale, shift) = (numbers(8, 3), numbers(8, 4));
        let (scale_, shift_) = (tensor(&scale, (2, 4)), tensor(&shift, (2, 4)));
        for (x, other) in [(&half, &stream), (&stream, &half)] {
            let expected = elementwise::add_affine(&s, x, &scale_, &shift_, Operand::Dense(other)).unwrap();
            let (mut x_, mut other_) = (Values::of(x), Values::of(other));
            let mut out = Values::nothing_like(x);
            if x.dtype() != expected.dtype() {
                out = Values::nothing_like(&expected);
            }
            let kind = value(2 * i32::from(other.dtype() == DType::F32));
            let head = vec![x_.at(), wide(x), from(&scale), from(&shift), value(0i32)];
            let beside = vec![other_.at(), kind, value(1u64), value(3u64), value(4u64), value(10u64)];
            let rest = vec![out.at(), wide(&expected), value(len as u64)];
            host.run("affine", grid(len), [head, beside, rest].concat());
            out.check("residual sum", &expected);
        }
        // A bias goes on top of what is not rounded yet.
        let (y, b, mut out) = (numbers(len, 5), numbers(4, 6), vec![0u16; len]);
        let rest = vec![value(4u64), value(10u64), to(&mut out), value(len as u64)];
        host.run("biased", grid(len), [vec![from(&y), from(&b)], rest].concat());
        let sum: Vec<f32> = y.iter().enumerate().map(|(i, y)| y + b[i / 10 % 4]).collect();
        assert_eq!(out, bits(&kernels::held::cast(&tensor(&sum, len), dtype).unwrap()));
    }
}

#[test]
fn parts_are_widened_from_any_place_on() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::ELEMENTWISE, number, 0, &["widen_part"]) else { return };
        let x = halves(dtype, 1, &[6, 13]);
        let all = values(&x.to_dtype(DType::F32).unwrap());
        let spikes = Bits::pack(&x.relu().unwrap(), 6, 13).unwrap();
        let (held, bytes) = (bits(&x), spikes.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap());
        let ones: Vec<f32> = all.iter().map(|x| f32::from(*x > 0.0)).collect();
        for (first, len) in [(0, 78), (26, 52), (39, 13)] {
            let mut out = vec![f32::NAN; len];
            for (at, kind, plane, expected) in
                [(from(&held), 0i32, 1u64, &all), (from(&bytes), 1, 13, &ones), (from(&all), 2, 1, &all)]
            {
                let head = vec![at, value(kind), value(plane), value(first as u64)];
                host.run("widen_part", grid(len), [head, vec![to(&mut out), value(len as u64)]].concat());
                same("a part", &out, &expected[first..first + len]);
            }
        }
    }
}

/// A neuron that reads a stream gives spikes, whose gradient is a half, and takes no half back.
#[test]
fn the_gradient_of_a_stream_from_spikes_of_halves_is_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::LIF, number, 3, &["backward"]) else { return };
        let cell = soft_cell();
        let constants = constants(&cell);
        for steps in [1usize, 3] {
            let s = LifShape { steps: 3, rows: 4, plane: 13, channels: 2, current_steps: steps };
            let (frame, x) = (52, numbers(steps * 52, 1));
            let (x_, ds) = (tensor(&x, (steps, 4, 13)), halves(dtype, 2, &[3, 4, 13]));
            let current = Current { x: &x_, affine: None };
            let (di, dv0) = lif::backward(&s, &cell, &current, None, &ds, None, true, true).unwrap();
            assert_eq!(di.dtype(), DType::F32);
            let input = Input([x.as_ptr().addr() as u64, 0, 0, 0, 4, 13, 2], [i32::from(steps == 1), 0, 1]);
            let (pulls, mut gradient, mut first) =
                (bits(&ds), vec![f32::NAN; steps * frame], vec![f32::NAN; frame]);
            let rest = vec![missing(), value(i32::from(steps == 3)), to(&mut gradient), to(&mut first)];
            let head = vec![value(constants), value(input), from(&pulls)];
            host.run("backward", grid(frame), [head, rest].concat());
            same("di", &gradient, &values(&di));
            same("dv0", &first, &values(&dv0.unwrap()));
        }
    }
}

/// The product between the two is not rounded, so a result is at most one rounding and the order of its sums away.
#[test]
fn attention_of_halves_rounds_its_results_alone() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::ATTENTION, number, 0, &["product"]) else { return };
        let s = AttentionShape { images: 2, channels: 6, tokens: 5, heads: 3 };
        let (heads, d, n) = (6usize, 2usize, 5usize);
        let [q, k, v] = [1, 2, 3].map(|seed| halves(dtype, seed, &[2, 6, 5]));
        let [dq, dk, dv] = [&q, &k, &v].map(Operand::Dense);
        let expected = attention::forward(&s, dq, dk, dv, 0.3, dtype).unwrap();
        let held = [&q, &k, &v].map(bits);
        let [q, k, v] = held.each_ref().map(|x| Matrix::rows(x, (0, 1), d * n, n));
        let (mut inner, mut out) = (vec![f32::NAN; heads * d * d], vec![0u16; heads * d * n]);
        let product = |[m, n, k]: [usize; 3], (a, b): (Matrix, Matrix), factor: f32, out: [Argument; 2]| {
            let tiles = launch::tiles(m, n);
            let sizes = [m, n, k, tiles].map(|size| value(size as u64)).to_vec();
            let arguments = [vec![value(a), value(b), value(factor)], out.to_vec(), sizes].concat();
            host.run_together("product", launch::blocks("attention", heads * tiles).unwrap(), arguments);
        };
        product([d, d, n], (v, k.turn()), 1.0, [to(&mut inner), value(1i32)]);
        let between = Matrix::rows(&inner, (2, 1), d * d, d);
        product([d, n, d], (between, q), 0.3, [to(&mut out), value(0i32)]);
        let expected = values(&expected.to_dtype(DType::F32).unwrap());
        let (widened, rounding): (Vec<f32>, f32) = match dtype {
            DType::BF16 => (out.iter().map(|x| bf16::from_bits(*x).to_f32()).collect(), 1.0 / 128.0),
            _ => (out.iter().map(|x| f16::from_bits(*x).to_f32()).collect(), 1.0 / 1024.0),
        };
        for (got, expected) in widened.iter().zip(&expected) {
            assert!((got - expected).abs() <= rounding * expected.abs() + 1e-6, "{got:e} and {expected:e}");
        }
    }
}
