//! Halves: what the sources read and write is what the processor widens and rounds, bit for bit.

use candle_core::{DType, Tensor};
use half::{bf16, f16};
use kernels::cuda::source::{self, Number};
use kernels::cuda::{launch, launch::Grid};
use kernels::lif::{self, Current, LifShape};
use kernels::norm::{self, NormShape};
use kernels::pool::{self, PoolShape};
use kernels::{Operand, elementwise, held};

use crate::host::{Argument, Host, from, missing, numbers, same, tensor, to, value, values};
use crate::neurons::{Input, constants, soft_cell};

pub(super) const HALVES: [(DType, Number); 2] = [(DType::BF16, Number::Bf16), (DType::F16, Number::F16)];

pub(super) fn grid(len: usize) -> Grid {
    launch::elements("halves", len).unwrap()
}

/// A tensor of halves, rounded from numbers that repeat from run to run.
pub(super) fn halves(dtype: DType, seed: u64, shape: &[usize]) -> Tensor {
    let len = shape.iter().product();
    held::cast(&tensor(&numbers(len, seed), shape), dtype).unwrap()
}

/// The 16 bits of each half.
pub(super) fn bits(x: &Tensor) -> Vec<u16> {
    let x = x.flatten_all().unwrap();
    match x.dtype() {
        DType::BF16 => x.to_vec1::<bf16>().unwrap().into_iter().map(bf16::to_bits).collect(),
        _ => x.to_vec1::<f16>().unwrap().into_iter().map(f16::to_bits).collect(),
    }
}

#[test]
fn every_half_is_widened_as_on_the_cpu() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::ELEMENTWISE, number, 0, &["convert"]) else { return };
        let all: Vec<u16> = (0..=u16::MAX).collect();
        let expected: Vec<f32> = match dtype {
            DType::BF16 => all.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect(),
            _ => all.iter().map(|&bits| f16::from_bits(bits).to_f32()).collect(),
        };
        let mut found = vec![0.0f32; all.len()];
        let convert = |x: Argument, (x_wide, out_wide): (i32, i32), out: Argument, len: usize| {
            host.run("convert", grid(len), vec![x, value(x_wide), out, value(out_wide), value(len as u64)]);
        };
        convert(from(&all), (0, 1), to(&mut found), all.len());
        for ((bits, found), expected) in all.iter().zip(&found).zip(&expected) {
            // A NaN is one, whatever its other bits.
            assert!(
                found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                "{bits:x}"
            );
        }
        // And back, with what lies between two halves: ties, and a bit on both sides of them.
        let between = expected.iter().filter(|x| x.is_finite()).flat_map(|x| {
            let step = if dtype == DType::BF16 { 1u32 << 15 } else { 1 << 12 };
            let tie = x.to_bits().wrapping_add(step);
            [tie.wrapping_sub(1), tie, tie.wrapping_add(1)].map(f32::from_bits)
        });
        let x: Vec<f32> = expected.iter().copied().chain(between).chain(numbers(50_000, 1)).collect();
        let small = numbers(50_000, 2).into_iter().map(|x| x * 1e-6);
        let x: Vec<f32> = x.into_iter().chain(small).collect();
        let mut found = vec![0u16; x.len()];
        convert(from(&x), (1, 0), to(&mut found), x.len());
        let expected = bits(&held::cast(&tensor(&x, x.len()), dtype).unwrap());
        for ((x, found), expected) in x.iter().zip(&found).zip(&expected) {
            assert!(found == expected || x.is_nan(), "{x:e}: {found:x} and on the CPU {expected:x}");
        }
    }
}

#[test]
fn sums_and_scalings_of_halves_are_the_cpus() {
    for (dtype, number) in HALVES {
        let kernels = ["add", "mul", "add_assign", "scale", "sum_steps"];
        let Some(host) = Host::of(source::ELEMENTWISE, number, 0, &kernels) else { return };
        let (a, b, len) = (halves(dtype, 1, &[4, 150]), halves(dtype, 2, &[4, 150]), 600);
        let (x, y) = (bits(&a), bits(&b));
        let mut out = vec![0u16; len];
        let half = || value(0i32);
        let both = vec![from(&x), half(), from(&y), half(), to(&mut out), half(), value(len as u64)];
        host.run("add", grid(len), both);
        assert_eq!(out, bits(&elementwise::add(&a, &b).unwrap()), "add of {dtype:?}");
        host.run("mul", grid(len), vec![from(&x), from(&y), to(&mut out), value(len as u64)]);
        assert_eq!(out, bits(&elementwise::mul(&a, &b).unwrap()), "mul of {dtype:?}");
        let mut sum = x.clone();
        let both = vec![to(&mut sum), half(), from(&y), half(), value(0.3f32), value(len as u64)];
        host.run("add_assign", grid(len), both);
        let expected = a.copy().unwrap();
        elementwise::add_assign(&expected, &b, 0.3).unwrap();
        assert_eq!(sum, bits(&expected), "add_assign of {dtype:?}");
        let rest = vec![value(0.7f32), to(&mut out), value(len as u64)];
        host.run("scale", grid(len), [vec![from(&x), value(0i32), value(1u64)], rest].concat());
        assert_eq!(out, bits(&elementwise::scale(&a, 0.7).unwrap()), "scale of {dtype:?}");
        host.run("sum_steps", grid(150), vec![from(&x), value(4u64), to(&mut out), value(150u64)]);
        assert_eq!(out[..150], bits(&elementwise::sum_steps(&a, 4).unwrap()), "sum_steps of {dtype:?}");
    }
}

#[test]
fn norms_of_halves_are_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(channels) = Host::of(source::CHANNELS, number, 0, &["affine", "add_bias"]) else { return };
        let Some(sums) = Host::of(source::NORM, number, 0, &["sum_channels", "moments"]) else { return };
        let s = NormShape { groups: 2, n: 3, c: 4, plane: 10 };
        let (x, other, len) = (halves(dtype, 1, &[6, 4, 10]), halves(dtype, 2, &[6, 4, 10]), 240);
        let (scale, shift) = (numbers(8, 3), numbers(8, 4));
        let (held, beside, mut out) = (bits(&x), bits(&other), vec![0u16; len]);
        let head = vec![from(&held), value(0i32), from(&scale), from(&shift), value(0i32)];
        let sizes = [3u64, 4, 10].map(value).to_vec();
        let (scale_, shift_) = (tensor(&scale, (2, 4)), tensor(&shift, (2, 4)));
        for other_at in [missing(), from(&beside)] {
            let second = other_at != missing();
            let rest = vec![to(&mut out), value(0i32), value(len as u64)];
            let beside = vec![other_at, value(0i32), value(1u64)];
            channels.run("affine", grid(len), [head.clone(), beside, sizes.clone(), rest].concat());
            let expected = match second {
                true => elementwise::add_affine(&s, &x, &scale_, &shift_, Operand::Dense(&other)),
                false => norm::affine(&s, &x, &scale_, &shift_),
            };
            assert_eq!(out, bits(&expected.unwrap()), "affine of {dtype:?}");
        }
        let mut parts = vec![0.0f64; 8 * 2];
        let arguments =
            vec![from(&held), from(&held), value(3u64), value(4u64), value(10u64), to(&mut parts)];
        sums.run_together("sum_channels", launch::channels("norm", 8, 30).unwrap(), arguments);
        let (mut mean, mut var) = (vec![0.0f32; 8], vec![0.0f32; 8]);
        let rest = vec![value(1u64), value(30f64), to(&mut mean), to(&mut var), value(8u64)];
        sums.run("moments", grid(8), [vec![from(&parts)], rest].concat());
        let expected = norm::moments(&s, &x).unwrap();
        crate::host::close("mean", &mean, &values(&expected.mean));
        crate::host::close("variance", &var, &values(&expected.var));
    }
}

#[test]
fn pools_of_halves_are_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::POOL, number, 0, &["avg_forward", "max_forward"]) else { return };
        let s = PoolShape { n_c: 3, h: 7, w: 9, kernel: 3, stride: 2, pad: 1 };
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct Pool([u64; 7]);
        let sizes = Pool([s.h, s.w, 3, 2, 1, s.out_h(), s.out_w()].map(|size| size as u64));
        let (x, len) = (halves(dtype, 1, &[3, 63]), 3 * s.out_h() * s.out_w());
        let (held, mut y) = (bits(&x), vec![0u16; len]);
        let dense = || vec![value(sizes), from(&held), value(0i32), value(1u64)];
        host.run(
            "avg_forward",
            grid(len),
            [dense(), vec![value(1i32), to(&mut y), value(len as u64)]].concat(),
        );
        assert_eq!(y, bits(&pool::avg_forward(&s, Operand::Dense(&x), dtype, true).unwrap()), "{dtype:?}");
        host.run("max_forward", grid(len), [dense(), vec![to(&mut y), value(len as u64)]].concat());
        assert_eq!(y, bits(&pool::max_forward(&s, Operand::Dense(&x), dtype).unwrap()), "{dtype:?}");
    }
}

#[test]
fn neurons_and_streams_of_halves_are_the_cpus() {
    for (dtype, number) in HALVES {
        let Some(host) = Host::of(source::LIF, number, 3, &["forward", "backward"]) else { return };
        let Some(streams) = Host::of(source::GRID, number, 0, &["add_rounded", "mix"]) else { return };
        let cell = soft_cell();
        let constants = constants(&cell);
        let s = LifShape { steps: 3, rows: 4, plane: 13, channels: 2, current_steps: 3 };
        let (x, ds, frame) = (halves(dtype, 1, &[3, 4, 13]), halves(dtype, 2, &[3, 4, 13]), 52);
        let (scale, shift, v0, dlast) = (numbers(2, 3), numbers(2, 4), numbers(frame, 5), numbers(frame, 6));
        let (scale_, shift_) = (tensor(&scale, (1, 2)), tensor(&shift, (1, 2)));
        let (v0_, dlast_) = (tensor(&v0, (4, 13)), tensor(&dlast, (4, 13)));
        let current = Current { x: &x, affine: Some((&scale_, &shift_)) };
        let (held, pulls) = (bits(&x), bits(&ds));
        let at = [held.as_ptr().addr(), scale.as_ptr().addr(), shift.as_ptr().addr(), v0.as_ptr().addr()];
        let [x_at, scale_at, shift_at, v0_at] = at.map(|at| at as u64);
        let input = Input([x_at, scale_at, shift_at, v0_at, 4, 13, 2], [0, 0, 0]);

        let (fired, last) = lif::forward(&s, &cell, &current, Some(&v0_), true).unwrap();
        let lif::Fired::Spikes(spikes) = fired else { panic!("spikes are bits") };
        let (mut bytes, mut membrane) = (vec![0xffu8; spikes.bytes()], vec![0.0f32; frame]);
        let rest = vec![to(&mut bytes), to(&mut membrane)];
        host.run("forward", grid(4 * 2), [vec![value(constants), value(input)], rest].concat());
        assert_eq!(bytes, spikes.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap(), "{dtype:?}");
        same("last", &membrane, &values(&last.unwrap()));

        let (di, dv0) =
            lif::backward(&s, &cell, &current, Some(&v0_), &ds, Some(&dlast_), true, false).unwrap();
        let (mut gradient, mut first) = (vec![0u16; 3 * frame], vec![0.0f32; frame]);
        let rest = vec![from(&pulls), from(&dlast), value(1i32), to(&mut gradient), to(&mut first)];
        host.run("backward", grid(frame), [vec![value(constants), value(input)], rest].concat());
        assert_eq!(gradient, bits(&di), "{dtype:?}");
        same("dv0", &first, &values(&dv0.unwrap()));

        // What is coupled into a stream is a half, the stream is none.
        let (stream, f, len) = (tensor(&numbers(60, 7), (2, 3, 10)), halves(dtype, 8, &[2, 3, 10]), 60u64);
        let stream = elementwise::round_to_grid(&stream, 12).unwrap();
        let (numbers_of, branch, mut out) = (values(&stream), bits(&f), vec![0.0f32; 60]);
        let rest = vec![value(4096f32), value(1.0f32 / 4096.0), to(&mut out), value(len)];
        streams.run("add_rounded", grid(60), [vec![from(&numbers_of), from(&branch)], rest].concat());
        same("coupled", &out, &values(&elementwise::add_rounded(&stream, &f, 12, 1).unwrap()));
        let alpha = numbers(3, 9);
        let rest = vec![from(&alpha), value(3u64), value(10u64), to(&mut out), value(len)];
        streams.run("mix", grid(60), [vec![from(&branch), from(&numbers_of)], rest].concat());
        let expected = elementwise::mix(&f, &stream, &tensor(&alpha, 3), 2, 3, 10).unwrap();
        same("mixed", &out, &values(&expected));
    }
}
