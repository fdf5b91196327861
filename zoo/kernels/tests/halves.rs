//! Halves: every op is the op of `f32` on the widened inputs, its outputs rounded once; what is summed up stays `f32`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Device, Tensor};
use kernels::attention::{self, AttentionShape};
use kernels::conv::{self, ConvShape, Tiles};
use kernels::lif::{self, Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};
use kernels::norm::{self, NormShape};
use kernels::pool::{self, AdaptiveShape, PoolShape};
use kernels::remainder::{self, Layout};
use kernels::{Bits, Operand, bias, elementwise, held, linear, loss};
use keys::Key;
use values::*;

const HALVES: [DType; 2] = [DType::BF16, DType::F16];

/// Inputs of a type, the same numbers in all: those of the half that is tested.
struct Numbers {
    half: DType,
    dtype: DType,
}

impl Numbers {
    /// What lies in memory as a half, in the lane that is tested, or widened.
    fn held(&self, seed: u64, shape: &[usize]) -> Tensor {
        tensor(seed, shape, self.half).to_dtype(self.dtype).unwrap()
    }

    /// What is `f32` in both lanes: accumulators, statistics, membranes, streams.
    fn real(&self, seed: u64, shape: &[usize]) -> Tensor {
        tensor(seed, shape, DType::F32)
    }
}

/// What an op gave: tensors in the lane's type, which are rounded, and those that stay `f32`.
struct Given {
    held: Vec<Tensor>,
    real: Vec<Tensor>,
}

type Op = fn(&Numbers) -> Given;

fn only_held(held: impl IntoIterator<Item = Tensor>) -> Given {
    Given { held: held.into_iter().collect(), real: Vec::new() }
}

fn only_real(real: impl IntoIterator<Item = Tensor>) -> Given {
    Given { held: Vec::new(), real: real.into_iter().collect() }
}

fn fired(plane: usize, rows: usize, rate: f64) -> Bits {
    packed(&spikes(9, &[rows, plane], rate), rows)
}

fn as_numbers(bits: &Bits) -> Tensor {
    bits.unpack(DType::F32).unwrap()
}

fn scalar(x: f64) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

fn convolutions(of: &Numbers) -> Given {
    let mut all = only_held([]);
    for (c_in, c_out, kernel, stride, groups) in
        [(4, 6, 3, 1, 1), (4, 6, 3, 2, 1), (6, 4, 1, 1, 1), (6, 6, 3, 1, 6)]
    {
        let s = ConvShape {
            n: 3,
            c_in,
            h: 9,
            w: 8,
            c_out,
            kernel: (kernel, kernel),
            stride,
            pad: kernel / 2,
            groups,
        };
        let x = of.held(1, &[s.n, c_in, 9, 8]);
        let w = of.held(2, &[c_out, c_in / groups, kernel, kernel]);
        let (b, dy) = (of.real(3, &[c_out]), of.held(4, &[s.n, c_out, s.out_h(), s.out_w()]));
        let bits = fired(72, s.n * c_in, 0.3);
        for x in [Operand::Dense(&x), Operand::Spikes(&bits)] {
            all.held.push(conv::forward(&s, x, &w, Some(&b)).unwrap());
            let into = of.real(5, w.dims());
            conv::backward_weight(&s, x, &dy, &into, true).unwrap();
            all.real.push(into);
        }
        for tiles in [Tiles::Two, Tiles::Four] {
            all.held.push(conv::backward_input(&s, &dy, &w, tiles).unwrap());
        }
        let into = of.real(6, &[c_out]);
        bias::gradient(&dy, s.n, c_out, s.out_h() * s.out_w(), &into, false).unwrap();
        all.real.push(into);
    }
    all
}

fn linear_maps(of: &Numbers) -> Given {
    let (x, w, dy) = (of.held(1, &[7, 24]), of.held(2, &[5, 24]), of.held(3, &[7, 5]));
    let (into, bits) = (of.real(4, &[5, 24]), fired(24, 7, 0.5));
    linear::backward_weight(7, Operand::Dense(&x), &dy, &into, true).unwrap();
    let b = of.real(5, &[5]);
    let y =
        [Operand::Dense(&x), Operand::Spikes(&bits)].map(|x| linear::forward(7, x, &w, Some(&b)).unwrap());
    let [dense, of_spikes] = y;
    Given { held: vec![dense, of_spikes, linear::backward_input(&dy, &w).unwrap()], real: vec![into] }
}

fn norms(of: &Numbers) -> Given {
    let s = NormShape { groups: 2, n: 3, c: 4, plane: 6 };
    let (x, dy, other) = (of.held(1, &[6, 4, 6]), of.held(2, &[6, 4, 6]), of.held(3, &[6, 4, 6]));
    let (gamma, beta) = (of.real(4, &[4]), of.real(5, &[4]));
    let m = norm::moments(&s, &x).unwrap();
    let (scale, shift) = norm::fold(&m, 1e-5, 1.5, Some(&gamma), Some(&beta)).unwrap();
    let (dgamma, dbeta) = (of.real(6, &[4]), of.real(7, &[4]));
    let into = (Some((&dgamma, true)), Some((&dbeta, true)));
    let dx = norm::backward(&s, &x, dy, true, &m, 1e-5, 1.5, Some(&gamma), into.0, into.1).unwrap();
    let y = norm::affine(&s, &x, &scale, &shift).unwrap();
    let sum = elementwise::add_affine(&s, &x, &scale, &shift, Operand::Dense(&other)).unwrap();
    Given { held: vec![dx, y, sum], real: vec![m.mean, m.var, scale, shift, dgamma, dbeta] }
}

fn cell(smooth: bool) -> Cell {
    Cell {
        decay: 0.5,
        input_gain: 1.0,
        threshold: 0.3,
        reset: Reset::Soft,
        reset_grad: ResetGrad::Through,
        surrogate: Surrogate::Sigmoid { alpha: 4.0 },
        strict: false,
        time_gradient: true,
        smooth,
    }
}

fn neurons(of: &Numbers) -> Given {
    let s = LifShape { steps: 3, rows: 4, plane: 10, channels: 2, current_steps: 3 };
    let (x, v0, ds) = (of.held(1, &[3, 4, 10]), of.real(2, &[4, 10]), of.held(3, &[3, 4, 10]));
    let (scale, shift, dlast) = (of.real(4, &[1, 2]), of.real(5, &[1, 2]), of.real(6, &[4, 10]));
    let mut all = only_held([]);
    for affine in [None, Some((&scale, &shift))] {
        let current = Current { x: &x, affine };
        for smooth in [false, true] {
            let (y, last) = lif::forward(&s, &cell(smooth), &current, Some(&v0), true).unwrap();
            match y {
                Fired::Spikes(bits) => all.real.push(as_numbers(&bits)),
                Fired::Smooth(y) => all.held.push(y),
            }
            let back = |ds, reuse| {
                lif::backward(&s, &cell(smooth), &current, Some(&v0), ds, Some(&dlast), true, reuse).unwrap()
            };
            let (own, (apart, dv)) = (back(&ds.copy().unwrap(), true).0, back(&ds, false));
            all.held.extend([own, apart]);
            all.real.extend([last.unwrap(), dv.unwrap()]);
        }
        all.real.push(as_numbers(&lif::window(&s, &current, 0.0, 1.0).unwrap()));
        let (y, sign) = lif::relu_forward(&s, &current).unwrap();
        all.held.extend([
            lif::gate(&ds, &sign, false).unwrap(),
            lif::gate(&ds.copy().unwrap(), &sign, true).unwrap(),
            y,
        ]);
        all.real.push(as_numbers(&sign));
    }
    let trace = of.held(7, &[4, 10]);
    lif::trace(&trace, &fired(10, 4, 0.5), 0.5).unwrap();
    all.held.push(trace);
    all
}

fn pools(of: &Numbers) -> Given {
    let s = PoolShape { n_c: 6, h: 8, w: 6, kernel: 2, stride: 2, pad: 0 };
    let wide = PoolShape { kernel: 3, pad: 1, ..s };
    let (x, bits) = (of.held(1, &[6, 48]), fired(48, 6, 0.4));
    let adaptive = AdaptiveShape { rows: 6, plane: [8, 6], out: [3, 7] };
    let mut all = vec![pool::adaptive_avg_backward(&adaptive, &of.held(2, &[6, 21])).unwrap()];
    for x in [Operand::Dense(&x), Operand::Spikes(&bits)] {
        for s in [&s, &wide] {
            let dy = of.held(3, &[6, s.out_h() * s.out_w()]);
            all.push(pool::avg_forward(s, x, of.dtype, true).unwrap());
            all.push(pool::max_forward(s, x, of.dtype).unwrap());
            all.push(pool::avg_backward(s, &dy, true).unwrap());
            all.push(pool::max_backward(s, x, &dy).unwrap());
        }
        all.push(pool::adaptive_avg_forward(&adaptive, x, of.dtype).unwrap());
        all.push(pool::global_avg_forward(6, 48, x, of.dtype).unwrap());
    }
    all.push(pool::global_avg_backward(6, 48, &of.held(4, &[6])).unwrap());
    only_held(all)
}

fn products_of_tokens(of: &Numbers) -> Given {
    let s = AttentionShape { images: 2, channels: 6, tokens: 5, heads: 3 };
    let [q, k, v, dy] = [1, 2, 3, 4].map(|seed| of.held(seed, &[2, 6, 5]));
    let [q, k, v] = [&q, &k, &v].map(Operand::Dense);
    let bits = fired(5, 12, 0.5);
    let mut all = vec![attention::forward(&s, q, k, v, 0.3, of.dtype).unwrap()];
    all.extend(attention::backward(&s, q, k, v, &dy, 0.3).unwrap());
    let fired = Operand::Spikes(&bits);
    all.push(attention::forward(&s, fired, fired, fired, 0.125, of.dtype).unwrap());
    all.push(elementwise::row_dot(12, 5, q, fired, of.dtype).unwrap());
    all.push(elementwise::row_overlap(&bits, &bits, of.dtype).unwrap());
    all.push(elementwise::row_scale(12, 5, fired, Operand::Dense(&of.held(5, &[12])), of.dtype).unwrap());
    only_held(all)
}

fn arithmetic(of: &Numbers) -> Given {
    let (a, b, alpha) = (of.held(1, &[4, 3, 10]), of.held(2, &[4, 3, 10]), of.real(3, &[3]));
    let (x, y) = (a.copy().unwrap(), a.copy().unwrap());
    elementwise::add_assign(&x, &b, 0.5).unwrap();
    elementwise::scale_assign(&y, 0.3).unwrap();
    let (z, key) = (a.copy().unwrap(), Key::new(5).fork("mask"));
    elementwise::dropout_assign(&z, 2, key, 0.4).unwrap();
    let (first, second) = elementwise::split_channels(&a, 4, 3, 10, 1).unwrap();
    let bits = fired(10, 12, 0.5);
    let (masked, copied) =
        (elementwise::dropout(Operand::Dense(&a), 2, 60, key, 0.4, of.dtype), a.zeros_like().unwrap());
    elementwise::copy(&copied, &a).unwrap();
    let held = vec![
        elementwise::add(&a, &b).unwrap(),
        elementwise::mul(&a, &b).unwrap(),
        elementwise::scale(&a, 0.7).unwrap(),
        elementwise::scale_spikes(&bits, 0.7, of.dtype).unwrap(),
        elementwise::dropout(Operand::Spikes(&bits), 2, 60, key, 0.4, of.dtype).unwrap(),
        elementwise::channel_scale(&a, 4, 3, 10, &alpha).unwrap(),
        elementwise::concat_channels(&first, 1, &second, 2, 4, 10).unwrap(),
        elementwise::sum_steps(&a, 4).unwrap(),
        elementwise::repeat_steps(&a, 2).unwrap(),
        elementwise::upsample_nearest(&a, 12, 2, 5, 2).unwrap(),
        elementwise::upsample_backward(&of.held(6, &[12, 40]), 12, 2, 5, 2).unwrap(),
        elementwise::copied(&a).unwrap(),
        bits.unpack(of.dtype).unwrap(),
        masked.unwrap(),
        (x),
        (y),
        (z),
        first,
        second,
        copied,
    ];
    let into = of.real(4, &[3]);
    elementwise::channel_dot(&a, &b, 4, 3, 10, &into, true).unwrap();
    let real = vec![
        into,
        scalar(elementwise::max_abs(&a).unwrap().read().unwrap()),
        scalar(f64::from(u8::from(elementwise::all_finite(&a).unwrap()))),
        as_numbers(&Bits::pack(&a, 12, 10).unwrap()),
    ];
    Given { held, real }
}

/// Streams never are halves; what is coupled into them is.
fn streams(of: &Numbers) -> Given {
    let (x, f, alpha) = (of.real(1, &[4, 3, 10]), of.held(2, &[4, 3, 10]), of.real(3, &[3]));
    let x = elementwise::round_to_grid(&x, 12).unwrap();
    let y = elementwise::add_rounded(&x, &f, 12, 1).unwrap();
    let back = elementwise::add_rounded(&y, &f, 12, -1).unwrap();
    assert_eq!(bits(&back), bits(&x), "a stream did not come back");
    let layout = Layout { n: 4, ch: 3, plane: 10, bits: 12 };
    let lost = remainder::encode(&layout, &x, &alpha).unwrap();
    let carried = remainder::carry(&layout, &f, &x, &alpha).unwrap();
    let before = remainder::recover(&layout, &carried, &f, &alpha, &lost).unwrap();
    assert_eq!(bits(&before), bits(&x), "a carried state did not come back");
    let mixed = elementwise::mix(&f, &x, &alpha, 4, 3, 10).unwrap();
    let unmixed = elementwise::unmix(&mixed, &f, &alpha, 4, 3, 10).unwrap();
    let sum = elementwise::add(&x, &f).unwrap();
    let rounded = elementwise::round_to_grid(&f, 4).unwrap();
    only_real([y, carried, mixed, unmixed, sum, rounded, remainder::start(&f, 12).unwrap()])
}

fn losses(of: &Numbers) -> Given {
    let scores = of.held(1, &[6, 5]);
    let labels = [0, 1, 2, 3, 4, 0];
    let (entropy, gradient) = loss::softmax_cross_entropy(&scores, &labels, 0.1).unwrap();
    let (error, pull) = loss::mse(&scores, loss::Target::Constant(0.5)).unwrap();
    only_real([scalar(entropy.read().unwrap()), gradient, scalar(error.read().unwrap()), pull])
}

const OPS: &[(&str, Op)] = &[
    ("convolutions", convolutions),
    ("linear maps", linear_maps),
    ("norms", norms),
    ("neurons", neurons),
    ("pools", pools),
    ("products of tokens", products_of_tokens),
    ("arithmetic", arithmetic),
    ("streams", streams),
    ("losses", losses),
];

#[test]
fn an_op_of_halves_is_that_of_f32_rounded_once() {
    for half in HALVES {
        for (name, op) in OPS {
            let found = op(&Numbers { half, dtype: half });
            let wide = op(&Numbers { half, dtype: DType::F32 });
            assert_eq!(found.held.len(), wide.held.len());
            for (i, (found, wide)) in found.held.iter().zip(&wide.held).enumerate() {
                assert_eq!((found.dtype(), wide.dtype()), (half, DType::F32), "{name}, {i} of {half:?}");
                let rounded = wide.to_dtype(half).unwrap();
                assert_eq!(bits(found), bits(&rounded), "{name}, {i} of {half:?}");
            }
            for (i, (found, wide)) in found.real.iter().zip(&wide.real).enumerate() {
                assert_ne!(found.dtype(), half, "{name}, sum {i} of {half:?}");
                assert_eq!(bits(found), bits(wide), "{name}, sum {i} of {half:?}");
            }
        }
    }
}

#[test]
fn halves_have_the_same_bits_for_any_threads() {
    for (name, op) in OPS {
        same_for_any_threads(name, || {
            let Given { held, real } = op(&Numbers { half: DType::BF16, dtype: DType::BF16 });
            held.into_iter().chain(real).collect()
        });
    }
}

#[test]
fn rounding_is_to_even_and_keeps_what_is_not_finite() {
    // 1 + 2^-8 lies between two bf16, and so does 1 + 3 * 2^-8: the even ones are below and above.
    let x = [1.0 + 0.003_906_25, 1.0 + 3.0 * 0.003_906_25, f32::INFINITY, f32::NAN, 3.4e38, -0.0];
    let x = Tensor::new(&x, &Device::Cpu).unwrap();
    let found = list(&held::cast(&x, DType::BF16).unwrap());
    assert_eq!(found[..3], [1.0, 1.015_625, f64::INFINITY]);
    assert!(found[3].is_nan() && found[4].is_infinite() && found[5].is_sign_negative());
    // Beyond 65504 there is no f16.
    let found = list(
        &held::cast(&Tensor::new(&[65504.0f32, 70000.0, 1e-8], &Device::Cpu).unwrap(), DType::F16).unwrap(),
    );
    assert_eq!(found, [65504.0, f64::INFINITY, 0.0]);
}

#[test]
fn a_long_tensor_comes_back_from_halves() {
    let x = tensor(1, &[70_001], DType::BF16);
    let wide = held::cast(&x, DType::F32).unwrap();
    assert_eq!(bits(&wide), bits(&x));
    assert_eq!(bits(&held::cast(&wide, DType::BF16).unwrap()), bits(&x));
}

#[test]
fn types_that_do_not_mix_are_refused() {
    let (half, double) = (tensor(1, &[4], DType::BF16), tensor(1, &[4], DType::F64));
    assert!(elementwise::add(&double, &half).is_err());
    assert!(elementwise::add(&half, &double).is_err());
    assert!(held::cast(&double, DType::BF16).is_err());
}
