//! Bits, pooling, elementwise ops, losses, updates and weight standardisation against their equations.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Device, Tensor};
use kernels::loss::{Labels, Target, hits, mse, softmax_cross_entropy};
use kernels::norm::NormShape;
use kernels::pool::*;
use kernels::standardise::{Epsilon, Standardisation, Variance};
use kernels::update::{Averages, Trust};
use kernels::{Bits, Error, Operand, Scalar, elementwise, standardise, update};
use values::*;

fn of(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

#[test]
fn bits_survive_packing() {
    for (rows, plane) in [(1, 1), (3, 8), (5, 13), (130, 64), (2, 1500)] {
        for rate in [0.0, 0.3, 1.0] {
            let x = spikes(1, &[rows, plane], rate);
            let bits = packed(&x, rows);
            assert_eq!(bits.bytes(), rows * plane.div_ceil(8));
            assert_eq!(list(&bits.unpack(DType::F32).unwrap()), list(&x));
            assert_eq!(list(&bits.unpack(DType::F64).unwrap()), list(&x));
            assert_eq!(bits.count_ones().unwrap() as f64, list(&x).iter().sum::<f64>(), "padding bits are 0");
            assert_eq!(list(&packed(&wide(&x), rows).unpack(DType::F32).unwrap()), list(&x));
            let parts: Vec<Bits> = (0..rows).map(|r| bits.narrow(r, 1).unwrap()).collect();
            assert_eq!(list(&Bits::concat(&parts).unwrap().unpack(DType::F32).unwrap()), list(&x));
            assert!(bits.narrow(rows, 1).is_err());
        }
    }
}

/// The pooled values of one plane by the definition, and which input each maximum is.
fn pooled(s: &PoolShape, x: &[f64], count_pad: bool) -> (Vec<f64>, Vec<f64>, Vec<usize>) {
    let (mut mean, mut most, mut place) = (Vec::new(), Vec::new(), Vec::new());
    for (i, j) in (0..s.out_h()).flat_map(|i| (0..s.out_w()).map(move |j| (i, j))) {
        let (mut sum, mut count, mut best) = (0.0, 0, None::<usize>);
        for (p, q) in (0..s.kernel).flat_map(|p| (0..s.kernel).map(move |q| (p, q))) {
            let (row, column) = (i * s.stride + p, j * s.stride + q);
            if row < s.pad || column < s.pad || row - s.pad >= s.h || column - s.pad >= s.w {
                continue;
            }
            let at = (row - s.pad) * s.w + column - s.pad;
            (sum, count) = (sum + x[at], count + 1);
            best = if best.is_none_or(|b| x[at] > x[b]) { Some(at) } else { best };
        }
        mean.push(sum / if count_pad { s.kernel * s.kernel } else { count } as f64);
        most.push(x[best.unwrap()]);
        place.push(best.unwrap());
    }
    (mean, most, place)
}

#[test]
fn pooling_is_its_definition_for_numbers_and_spikes() {
    for (n_c, h, w, kernel, stride, pad) in [
        (1, 1, 1, 1, 1, 0),
        (3, 8, 8, 2, 2, 0),
        (5, 7, 9, 3, 2, 1),
        (70, 11, 10, 2, 2, 0),
        (2, 5, 6, 3, 1, 1),
        (4, 6, 6, 2, 3, 1),
        (3, 5, 5, 2, 2, 0),
        (3, 8, 8, 3, 2, 1),
        // A line that fills a word, and one that is longer.
        (2, 4, 64, 2, 2, 0),
        (2, 5, 62, 3, 2, 1),
        (3, 4, 4, 3, 2, 1),
        (2, 8, 9, 3, 2, 1),
        (3, 1, 1, 3, 2, 1),
        (2, 2, 1, 3, 2, 1),
        (2, 5, 63, 3, 1, 1),
    ] {
        let s = PoolShape { n_c, h, w, kernel, stride, pad };
        let out = s.out_h() * s.out_w();
        for x in [tensor(1, &[n_c, h * w], DType::F32), spikes(1, &[n_c, h * w], 0.4)] {
            let dy = tensor(2, &[n_c, out], DType::F32);
            let (values, g) = (list(&x), list(&dy));
            let (mut means, mut mosts, mut max_dx) = (vec![], vec![], vec![0.0; values.len()]);
            for (r, plane) in values.chunks(h * w).enumerate() {
                let (mean, most, place) = pooled(&s, plane, r % 2 == 0);
                place.iter().enumerate().for_each(|(o, at)| max_dx[r * h * w + at] += g[r * out + o]);
                means.push(mean);
                mosts.extend(most);
            }
            for (count_pad, parity) in [(true, 0), (false, 1)] {
                let y = avg_forward(&s, Operand::Dense(&x), DType::F32, count_pad).unwrap();
                for r in (parity..n_c).step_by(2) {
                    assert_near(
                        &y.get(r).unwrap(),
                        &Tensor::new(means[r].as_slice(), &Device::Cpu).unwrap(),
                        1e-6,
                        "mean",
                    );
                }
                let dx = avg_backward(&s, &dy, count_pad).unwrap();
                let y = avg_forward(&s, Operand::Dense(&wide(&x)), DType::F64, count_pad).unwrap();
                assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-4 * (1.0 + dot(&y, &dy).abs()), "adjoint");
            }
            assert_eq!(list(&max_forward(&s, Operand::Dense(&x), DType::F32).unwrap()), mosts);
            let dx = max_backward(&s, Operand::Dense(&x), &dy).unwrap();
            assert_near(&dx, &Tensor::new(max_dx.as_slice(), &Device::Cpu).unwrap(), 1e-6, "max gradient");
        }
        let x = spikes(1, &[n_c, h * w], 0.4);
        let (bits, dense, dy) = (packed(&x, n_c), Operand::Dense(&x), tensor(2, &[n_c, out], DType::F32));
        let both =
            |f: &dyn Fn(Operand) -> Tensor| assert_eq!(list(&f(Operand::Spikes(&bits))), list(&f(dense)));
        both(&|x| avg_forward(&s, x, DType::F32, false).unwrap());
        both(&|x| max_forward(&s, x, DType::F32).unwrap());
        both(&|x| max_backward(&s, x, &dy).unwrap());
        both(&|x| global_avg_forward(n_c, h * w, x, DType::F32).unwrap());
        let most = max_forward(&s, dense, DType::F32).unwrap();
        assert_eq!(list(&max_bits(&s, &bits).unwrap().unpack(DType::F32).unwrap()), list(&most));
    }
}

/// PyTorch's bins, its windows that do not fit, and its padding.
#[test]
fn pools_cut_as_pytorch_does() {
    // 5 x 5 through a window of 4 with stride 4 is one window; the last row and column are left out.
    let x = Tensor::arange(0f64, 25.0, &Device::Cpu).unwrap();
    let s = PoolShape { n_c: 1, h: 5, w: 5, kernel: 4, stride: 4, pad: 0 };
    assert_eq!((s.out_h(), s.out_w()), (1, 1));
    assert_eq!(list(&avg_forward(&s, Operand::Dense(&x), DType::F64, true).unwrap()), [9.0]);
    let dx = list(&avg_backward(&s, &x.narrow(0, 16, 1).unwrap().copy().unwrap(), true).unwrap());
    let expected: Vec<f64> = (0..25).map(|i| if i % 5 < 4 && i < 20 { 1.0 } else { 0.0 }).collect();
    assert_eq!(dx, expected);

    // Padding is no maximum, not even of negative numbers; in an average it counts.
    let s = PoolShape { n_c: 1, h: 3, w: 4, kernel: 3, stride: 2, pad: 1 };
    let x = Tensor::arange(-12f64, 0.0, &Device::Cpu).unwrap();
    assert_eq!((s.out_h(), s.out_w()), (2, 2));
    assert_eq!(list(&max_forward(&s, Operand::Dense(&x), DType::F64).unwrap()), [-7.0, -5.0, -3.0, -1.0]);
    let means: Vec<f64> =
        [[-12.0, -11.0, -8.0, -7.0].iter().sum::<f64>(), [-11.0, -10.0, -9.0, -7.0, -6.0, -5.0].iter().sum()]
            .map(|sum| sum / 9.0)
            .to_vec();
    assert_eq!(list(&avg_forward(&s, Operand::Dense(&x), DType::F64, true).unwrap())[..2], means);
}

#[test]
fn adaptive_averages_take_pytorchs_bins() {
    for (rows, plane, out) in [
        (1, [1, 1], [7, 7]),
        (3, [4, 4], [7, 7]),
        (2, [10, 7], [3, 2]),
        (5, [7, 9], [7, 9]),
        (4, [6, 5], [1, 1]),
        (70, [13, 11], [4, 6]),
    ] {
        let s = AdaptiveShape { rows, plane, out };
        let x = tensor(1, &[rows, plane[0] * plane[1]], DType::F64);
        let bin = |axis: usize, i: usize| {
            let (n, o) = (plane[axis] as f64, out[axis] as f64);
            (i as f64 * n / o).floor() as usize..((i + 1) as f64 * n / o).ceil() as usize
        };
        let mut expected = Vec::new();
        for x in list(&x).chunks(plane[0] * plane[1]) {
            for (i, j) in (0..out[0]).flat_map(|i| (0..out[1]).map(move |j| (i, j))) {
                let places: Vec<f64> = bin(0, i)
                    .flat_map(|p| bin(1, j).map(move |q| (p, q)))
                    .map(|(p, q)| x[p * plane[1] + q])
                    .collect();
                expected.push(places.iter().sum::<f64>() / places.len() as f64);
            }
        }
        let y = adaptive_avg_forward(&s, Operand::Dense(&x), DType::F64).unwrap();
        assert_near(&y, &Tensor::from_vec(expected, y.shape(), &Device::Cpu).unwrap(), 1e-15, "mean");
        let dy = tensor(2, &[rows, out[0] * out[1]], DType::F64);
        let dx = adaptive_avg_backward(&s, &dy).unwrap();
        assert!((dot(&x, &dx) - dot(&y, &dy)).abs() < 1e-12 * (1.0 + dot(&y, &dy).abs()), "adjoint {s:?}");
        let fired = spikes(3, &[rows, plane[0] * plane[1]], 0.4);
        let packed = packed(&fired, rows);
        assert_eq!(
            bits(&adaptive_avg_forward(&s, Operand::Spikes(&packed), DType::F32).unwrap()),
            bits(&adaptive_avg_forward(&s, Operand::Dense(&fired), DType::F32).unwrap())
        );
    }
}

#[test]
fn a_global_average_and_its_gradient_are_adjoint() {
    for (rows, plane) in [(1, 1), (7, 5), (300, 196)] {
        let (x, dy) = (tensor(1, &[rows, plane], DType::F64), tensor(2, &[rows], DType::F64));
        let y = global_avg_forward(rows, plane, Operand::Dense(&x), DType::F64).unwrap();
        assert_near(&y, &x.mean(1).unwrap(), 1e-12, "mean");
        let dx = global_avg_backward(rows, plane, &dy).unwrap();
        assert!((dot(&x, &dx) - dot(&y, &dy)).abs() < 1e-9);
    }
}

#[test]
fn elementwise_ops_are_their_equations() {
    for len in [1usize, 17, 40_001] {
        let (a, b) = (tensor(1, &[len], DType::F32), tensor(2, &[len], DType::F32));
        assert_eq!(bits(&elementwise::add(&a, &b).unwrap()), bits(&(&a + &b).unwrap()));
        assert_eq!(bits(&elementwise::mul(&a, &b).unwrap()), bits(&(&a * &b).unwrap()));
        assert_eq!(bits(&elementwise::scale(&a, 0.3).unwrap()), bits(&(&a * 0.3).unwrap()));
        let dst = a.copy().unwrap();
        elementwise::add_assign(&dst, &b, -2.0).unwrap();
        assert_eq!(bits(&dst), bits(&(&a - (&b * 2.0).unwrap()).unwrap()));
        elementwise::scale_assign(&dst, 0.5).unwrap();
        assert_eq!(bits(&dst), bits(&((&a - (&b * 2.0).unwrap()).unwrap() * 0.5).unwrap()));
        let most = list(&a).iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert_eq!(elementwise::max_abs(&a).unwrap().read().unwrap(), most);
        assert!(elementwise::all_finite(&a).unwrap());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = a.to_vec1::<f32>().unwrap();
            values[len - 1] = bad;
            assert!(!elementwise::all_finite(&of(&values)).unwrap());
            let most = elementwise::max_abs(&of(&values)).unwrap().read().unwrap();
            assert!(if bad.is_nan() { most.is_nan() } else { most == f64::INFINITY });
        }
    }
    let x = tensor(1, &[5, 700], DType::F32);
    assert_near(&elementwise::sum_steps(&x, 5).unwrap(), &x.sum(0).unwrap(), 1e-6, "sum over steps");
}

#[test]
fn copies_are_of_their_own_and_alike() {
    // Below, at and above what one task takes; a view into the middle.
    for n in [1, 4096, 20_011] {
        let x = tensor(1, &[3, n], DType::F32);
        let view = x.narrow(0, 1, 1).unwrap();
        let copy = elementwise::copied(&view).unwrap();
        assert_eq!((copy.dims(), list(&copy)), (view.dims(), list(&view)));
        elementwise::add_assign(&copy, &copy.ones_like().unwrap(), 1.0).unwrap();
        assert_ne!(list(&copy), list(&x.narrow(0, 1, 1).unwrap()));
        for steps in [1, 4] {
            let all = elementwise::repeat_steps(&view, steps).unwrap();
            assert_eq!(all.dims(), [steps, n]);
            assert_eq!(list(&all), list(&view).repeat(steps));
        }
    }
}

#[test]
fn dropout_takes_the_draws_of_its_key_in_order() {
    let key = keys::Key::new(3).fork("mask");
    // Below, at and above what one task takes, and places that fill no block.
    for (steps, n) in [(5, 700), (1, 1), (3, 4096), (4, 9001)] {
        let (mut stream, rate) = (key.stream(), 0.3);
        let mask: Vec<f32> =
            (0..n).map(|_| if stream.chance(rate) { 0.0 } else { (1.0 / (1.0 - rate)) as f32 }).collect();
        let mask = Tensor::from_vec(mask, n, &Device::Cpu).unwrap();
        let x = tensor(1, &[steps, n], DType::F32);
        let y = elementwise::dropout(Operand::Dense(&x), steps, n, key, rate, DType::F32).unwrap();
        assert_eq!(bits(&y), bits(&x.broadcast_mul(&mask).unwrap()));
        elementwise::dropout_assign(&x, steps, key, rate).unwrap();
        assert_eq!(bits(&x), bits(&y));
        let dense = spikes(2, &[steps, n], 0.5);
        let packed = Bits::pack(&dense, steps, n).unwrap();
        let y = elementwise::dropout(Operand::Spikes(&packed), steps, n, key, rate, DType::F32).unwrap();
        assert_eq!(bits(&y), bits(&dense.broadcast_mul(&mask).unwrap()));
        let scaled = elementwise::scale_spikes(&packed, -2.5, DType::F32).unwrap();
        assert_eq!(bits(&scaled), bits(&elementwise::scale(&dense, -2.5).unwrap()));
    }
}

#[test]
fn a_tensor_that_is_written_may_not_be_read() {
    let x = tensor(1, &[10], DType::F32);
    assert!(matches!(elementwise::add_assign(&x, &x, 1.0), Err(Error::Aliased { .. })));
    let half = x.narrow(0, 0, 5).unwrap();
    assert!(matches!(
        elementwise::add_assign(&half, &x.narrow(0, 5, 5).unwrap(), 1.0),
        Err(Error::Aliased { .. })
    ));
    elementwise::add_assign(&half, &Tensor::ones(5, DType::F32, &Device::Cpu).unwrap(), 1.0).unwrap();
    assert_eq!(list(&x)[5], value(1, 5) as f32 as f64, "a view is written inside its bounds");
    assert_eq!(list(&x)[4], (value(1, 4) as f32 + 1.0) as f64, "and its storage is the one written");
    let turned = tensor(1, &[3, 4], DType::F32).t().unwrap();
    assert!(matches!(elementwise::scale(&turned, 1.0), Err(Error::Layout { .. })));
    assert!(matches!(elementwise::add(&x, &wide(&x)), Err(Error::DType { .. })));
    assert!(matches!(elementwise::add(&x, &half), Err(Error::Length { .. })));
}

#[test]
fn channel_ops_are_their_equations() {
    let (n, c, plane) = (6, 5, 33);
    let t = |seed, shape: &[usize]| tensor(seed, shape, DType::F32);
    let (x, y, alpha) = (t(1, &[n, c, plane]), t(2, &[n, c, plane]), (t(3, &[c]) + 2.0).unwrap());
    let spread = alpha.reshape((1, c, 1)).unwrap();
    let scaled = elementwise::channel_scale(&x, n, c, plane, &alpha).unwrap();
    assert_near(&scaled, &x.broadcast_mul(&spread).unwrap(), 1e-7, "scale");
    let into = Tensor::zeros(c, DType::F32, &Device::Cpu).unwrap();
    elementwise::channel_dot(&x, &y, n, c, plane, &into, true).unwrap();
    assert_near(&into, &wide(&x).mul(&wide(&y)).unwrap().sum((0, 2)).unwrap(), 1e-6, "dot");
    let (a, b) = elementwise::split_channels(&x, n, c, plane, 2).unwrap();
    assert_eq!(list(&a), list(&x.narrow(1, 0, 2).unwrap().contiguous().unwrap()));
    assert_eq!(list(&elementwise::concat_channels(&a, 2, &b, 3, n, plane).unwrap()), list(&x));
    let mixed = elementwise::mix(&x, &y, &alpha, n, c, plane).unwrap();
    assert_near(&mixed, &(&x + y.broadcast_mul(&spread).unwrap()).unwrap(), 1e-6, "mix");
    assert_near(&elementwise::unmix(&mixed, &x, &alpha, n, c, plane).unwrap(), &y, 1e-6, "unmix");
    let s = NormShape { groups: 2, n: 3, c, plane };
    let (scale, shift) = (t(4, &[2, c]), t(5, &[2, c]));
    let fired = spikes(6, &[n, c, plane], 0.3);
    let dense = elementwise::add_affine(&s, &x, &scale, &shift, Operand::Dense(&fired)).unwrap();
    let bits_too =
        elementwise::add_affine(&s, &x, &scale, &shift, Operand::Spikes(&packed(&fired, n * c))).unwrap();
    assert_eq!(bits(&dense), bits(&bits_too));
    let plain = kernels::norm::affine(&s, &x, &scale, &shift).unwrap();
    assert_eq!(bits(&dense), bits(&(plain + fired).unwrap()));
}

/// A factor of one element, in a tensor without axes.
#[test]
fn one_factor_for_all_channels() {
    let (n, c, plane) = (4, 5, 6);
    let (x, g) = (tensor(1, &[n, c, plane], DType::F64), tensor(2, &[n, c, plane], DType::F64));
    let alpha = Tensor::new(0.3f64, &Device::Cpu).unwrap();
    let y = elementwise::channel_scale(&x, n, c, plane, &alpha).unwrap();
    assert_eq!(bits(&y), bits(&(&x * 0.3).unwrap()));
    let into = Tensor::new(2.0f64, &Device::Cpu).unwrap();
    elementwise::channel_dot(&x, &g, n, c, plane, &into, true).unwrap();
    assert!((list(&into)[0] - 2.0 - dot(&x, &g)).abs() < 1e-12);
}

#[test]
fn what_is_added_on_the_grid_is_taken_away_to_the_bit() {
    let (x, f) = (tensor(1, &[40_000], DType::F32), tensor(2, &[40_000], DType::F32));
    let x = elementwise::round_to_grid(&x, 20).unwrap();
    assert_eq!(bits(&x), bits(&elementwise::round_to_grid(&x, 20).unwrap()));
    let sum = elementwise::add_rounded(&x, &f, 20, 1).unwrap();
    assert_eq!(bits(&elementwise::add_rounded(&sum, &f, 20, -1).unwrap()), bits(&x));
    let ties = elementwise::round_to_grid(&of(&[0.5, 1.5, 2.5, -0.5, -1.5, 0.75]), 0).unwrap();
    assert_eq!(list(&ties), [0.0, 2.0, 2.0, 0.0, -2.0, 1.0]);
    assert!(elementwise::add_rounded(&x, &f, 20, 2).is_err());
}

#[test]
fn upsampling_and_its_gradient_are_adjoint() {
    for (rows, h, w, factor) in [(1, 1, 1, 1), (3, 2, 5, 2), (70, 9, 7, 3)] {
        let x = tensor(1, &[rows, h, w], DType::F64);
        let dy = tensor(2, &[rows, h * factor, w * factor], DType::F64);
        let y = elementwise::upsample_nearest(&x, rows, h, w, factor).unwrap();
        let first = x.unsqueeze(0).unwrap().upsample_nearest2d(h * factor, w * factor).unwrap();
        assert_eq!(list(&y), list(&first));
        let dx = elementwise::upsample_backward(&dy, rows, h, w, factor).unwrap();
        assert!((dot(&y, &dy) - dot(&x, &dx)).abs() < 1e-9);
    }
}

#[test]
fn losses_gradients_are_those_of_finite_differences() {
    let (b, k) = (3, 5);
    let (z, labels) = (tensor(1, &[b, k], DType::F64), [4u32, 0, 2]);
    type Loss<'a> = &'a dyn Fn(&Tensor) -> (Scalar, Tensor);
    let mixed = Labels::Mixed { first: &[4, 0, 2], second: &[1, 0, 3], shares: &[0.3, 0.6, 1.0] };
    let losses: [Loss; 6] = [
        &|z| softmax_cross_entropy(z, &labels, 0.0).unwrap(),
        &|z| softmax_cross_entropy(z, &labels, 0.1).unwrap(),
        &|z| mse(z, Target::Hot((&labels).into())).unwrap(),
        &|z| mse(z, Target::Constant(1.0)).unwrap(),
        &|z| softmax_cross_entropy(z, mixed, 0.1).unwrap(),
        &|z| mse(z, Target::Hot(mixed)).unwrap(),
    ];
    for loss in losses {
        let grad = list(&loss(&z).1);
        for i in 0..b * k {
            let moved = |by: f64| {
                let mut values = list(&z);
                values[i] += by;
                loss(&Tensor::from_vec(values, (b, k), &Device::Cpu).unwrap()).0.read().unwrap()
            };
            assert!(((moved(1e-6) - moved(-1e-6)) / 2e-6 - grad[i]).abs() < 1e-8);
        }
    }
    let even = Tensor::zeros((2, 10), DType::F32, &Device::Cpu).unwrap();
    let guess = softmax_cross_entropy(&even, &[1, 2], 0.0).unwrap().0;
    assert!((guess.read().unwrap() - 10f64.ln()).abs() < 1e-12);
    assert!(softmax_cross_entropy(&even, &[1, 10], 0.0).is_err());
    assert!(softmax_cross_entropy(&even, &[1], 0.0).is_err());
    let over = Labels::Mixed { first: &[1, 2], second: &[3, 4], shares: &[0.5, 1.5] };
    assert!(softmax_cross_entropy(&even, over, 0.0).unwrap_err().to_string().contains("1.5 in row 1"));
    let right = |z: &Tensor, classes: &[u32]| hits(z, classes).unwrap().read().unwrap();
    let z = of(&[1.0, 3.0, 3.0, -1.0, 2.0, 2.0]).reshape((3, 2)).unwrap();
    assert_eq!(right(&z, &[1, 0, 0]), 3.0, "of equal logits the first counts");
    assert_eq!(right(&z, &[0, 0, 1]), 1.0);
    assert!(hits(&z, &[0, 1]).is_err());
}

const STANDARDISATIONS: [Standardisation; 4] = [
    Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) },
    Standardisation { variance: Variance::Biased, eps: Epsilon::ToVariance(1e-6) },
    Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToVariance(0.01) },
    Standardisation { variance: Variance::Biased, eps: Epsilon::ToProduct(0.3) },
];

/// The two codes' own expressions.
#[test]
fn weight_standardisation_is_that_of_the_codes() {
    let w = tensor(1, &[3, 2, 3], DType::F64);
    let gain = tensor(2, &[3, 1, 1], DType::F64);
    for how in STANDARDISATIONS {
        let found = list(&standardise::forward(&w, Some(&gain), how).unwrap());
        for (o, row) in list(&w).chunks(6).enumerate() {
            let mean = row.iter().sum::<f64>() / 6.0;
            let squares: f64 = row.iter().map(|x| (x - mean).powi(2)).sum();
            let var = squares / if how.variance == Variance::Biased { 6.0 } else { 5.0 };
            for (i, x) in row.iter().enumerate() {
                let expected = list(&gain)[o]
                    * match how.eps {
                        Epsilon::ToProduct(eps) => (x - mean) / (var * 6.0 + eps).sqrt(),
                        Epsilon::ToVariance(eps) => 6f64.powf(-0.5) * (x - mean) / (var + eps).sqrt(),
                    };
                assert!((found[o * 6 + i] - expected).abs() < 1e-14, "{how:?} [{o}, {i}]");
            }
        }
    }
}

#[test]
fn weight_standardisation_has_the_right_gradient() {
    let (w, gain, g) =
        (tensor(1, &[3, 2, 2], DType::F64), tensor(2, &[3], DType::F64), tensor(3, &[3, 2, 2], DType::F64));
    for how in STANDARDISATIONS {
        let (dw, dgain) = (w.zeros_like().unwrap(), gain.zeros_like().unwrap());
        standardise::backward(&w, Some(&gain), how, &g, &dw, false, Some((&dgain, false))).unwrap();
        let energy = |w: &Tensor, gain: &Tensor| dot(&standardise::forward(w, Some(gain), how).unwrap(), &g);
        let moved = |x: &Tensor, i: usize, by: f64| {
            let mut values = list(x);
            values[i] += by;
            Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap()
        };
        for i in 0..12 {
            let slope = (energy(&moved(&w, i, 1e-6), &gain) - energy(&moved(&w, i, -1e-6), &gain)) / 2e-6;
            assert!((slope - list(&dw)[i]).abs() < 1e-7, "{how:?} w {i}");
        }
        for i in 0..3 {
            let slope = (energy(&w, &moved(&gain, i, 1e-6)) - energy(&w, &moved(&gain, i, -1e-6))) / 2e-6;
            assert!((slope - list(&dgain)[i]).abs() < 1e-7, "{how:?} gain {i}");
        }
        let twice = dw.copy().unwrap();
        standardise::backward(&w, Some(&gain), how, &g, &twice, true, None).unwrap();
        assert_near(&twice, &(dw * 2.0).unwrap(), 1e-12, "on top");
    }
}

#[test]
fn updates_are_their_equations() {
    let len = 40_003;
    let at = |step, eps| Averages { step, betas: [0.9, 0.99], eps };
    let fresh = |dtype| [1, 2, 3, 4].map(|seed| tensor(seed, &[len], dtype));
    for dtype in [DType::F32, DType::F64] {
        let [p, g, m, v] = fresh(dtype);
        let [p0, g0, m0, v0] = [&p, &g, &m, &v].map(list);
        update::sgd(&p, &g, Some(&m), 0.1, 0.9, 0.01, true).unwrap();
        for i in [0, 7, len - 1] {
            let gi = g0[i] + 0.01 * p0[i];
            let vi = 0.9 * m0[i] + gi;
            assert!(
                (list(&m)[i] - vi).abs() < 1e-6
                    && (list(&p)[i] - (p0[i] - 0.1 * (gi + 0.9 * vi))).abs() < 1e-6
            );
        }
        let _ = v0;
        for decoupled in [false, true] {
            let [p, g, m, v] = fresh(dtype);
            let v = v.sqr().unwrap();
            let [p0, g0, m0, v0] = [&p, &g, &m, &v].map(list);
            update::adam(&p, &g, &m, &v, at(3, 1e-8), 0.01, 0.1, decoupled).unwrap();
            for i in [0, 9, len - 1] {
                let (gi, pi) =
                    if decoupled { (g0[i], p0[i] * (1.0 - 0.001)) } else { (g0[i] + 0.1 * p0[i], p0[i]) };
                let (mi, vi) = (0.9 * m0[i] + 0.1 * gi, 0.99 * v0[i] + 0.01 * gi * gi);
                let expected = pi
                    - 0.01 * (mi / (1.0 - 0.9f64.powi(3))) / ((vi / (1.0 - 0.99f64.powi(3))).sqrt() + 1e-8);
                assert!((list(&p)[i] - expected).abs() < 1e-5, "{} {expected}", list(&p)[i]);
            }
        }
        for trust in [Trust::Off, Trust::Free, Trust::Clipped] {
            let [p, g, m, v] = fresh(dtype);
            let (p, v) = ((p * 100.0).unwrap(), v.sqr().unwrap());
            let [p0, g0, m0, v0] = [&p, &g, &m, &v].map(list);
            update::lamb(&p, &g, &m, &v, at(2, 1e-6), 0.01, 0.01, trust).unwrap();
            let u: Vec<f64> = (0..len)
                .map(|i| {
                    let (mi, vi) = (0.9 * m0[i] + 0.1 * g0[i], 0.99 * v0[i] + 0.01 * g0[i] * g0[i]);
                    mi / 0.19 / ((vi / (1.0 - 0.9801)).sqrt() + 1e-6) + 0.01 * p0[i]
                })
                .collect();
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let ratio = norm(&p0) / norm(&u);
            assert!(ratio > 1.0);
            let rate = 0.01 * if trust == Trust::Free { ratio } else { 1.0 };
            for i in [0, 11, len - 1] {
                assert!((list(&p)[i] - (p0[i] - rate * u[i])).abs() < 1e-4);
            }
        }
    }
    let [p, g, ..] = fresh(DType::F32);
    let both = update::norm_of(&[&p, &g]).unwrap();
    let length = (dot(&p, &p) + dot(&g, &g)).sqrt();
    assert!((both.read().unwrap() - length).abs() < 1e-9);
    for (most, factor) in [(2.0 * length, 1.0), (0.25 * length, 0.25)] {
        let shorter = g.copy().unwrap();
        update::shorten(&shorter, &both, most, 0.0).unwrap();
        assert!((dot(&shorter, &g) / dot(&g, &g) - factor).abs() < 1e-6);
    }
    assert_eq!(update::norm_of(&[]).unwrap().read().unwrap(), 0.0);
    for bad in [f32::NAN, f32::INFINITY] {
        let norm = update::norm_of(&[&p, &of(&[1.0, bad])]).unwrap();
        assert!(!norm.read().unwrap().is_finite());
        let kept = g.copy().unwrap();
        update::shorten(&kept, &norm, 1.0, 0.0).unwrap();
        assert!(!bad.is_nan() || bits(&kept) == bits(&g), "a NaN leaves the gradient as it is");
    }
    assert!(update::norm_of(&[&of(&[f32::MAX; 3])]).unwrap().read().unwrap().is_finite());
    same_for_any_threads("update", || {
        let [p, _, m, v] = fresh(DType::F32);
        let v = v.sqr().unwrap();
        update::lamb(&p, &g, &m, &v, at(2, 1e-6), 0.01, 0.01, Trust::Free).unwrap();
        vec![p, m, v]
    });
}

#[test]
fn each_unit_of_a_gradient_is_clipped_by_its_own_weight() {
    for (units, each) in [(1, 40_003), (7, 5), (3, 20_000), (500, 1)] {
        let (p, g) = (tensor(1, &[units * each], DType::F64), tensor(2, &[units * each], DType::F64));
        // Every third unit of the weight is as good as zero.
        let small = |i: usize| if (i / each) % 3 == 2 { 1e-9 } else { 1.0 };
        let p0: Vec<f64> = list(&p).iter().enumerate().map(|(i, p)| p * small(i)).collect();
        let p = Tensor::from_vec(p0.clone(), p.shape(), &Device::Cpu).unwrap();
        let g0 = list(&g);
        update::clip_units(&p, &g, units, 0.9, 1e-3).unwrap();
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut clipped = 0;
        for ((p, g0), g) in p0.chunks(each).zip(g0.chunks(each)).zip(list(&g).chunks(each)) {
            let most = 0.9 * norm(p).max(1e-3);
            let scale = if norm(g0) < most { 1.0 } else { most / norm(g0).max(1e-6) };
            clipped += usize::from(scale < 1.0);
            assert!(g.iter().zip(g0).all(|(g, g0)| (g - g0 * scale).abs() < 1e-12 * g0.abs()));
        }
        assert!(clipped > 0, "{units} units: nothing was clipped");
    }
    let short = tensor(1, &[10], DType::F64);
    assert!(update::clip_units(&short, &tensor(2, &[10], DType::F64), 3, 1.0, 1e-3).is_err());
    same_for_any_threads("clip_units", || {
        let (p, g) = (tensor(1, &[64, 2000], DType::F32), tensor(2, &[64, 2000], DType::F32));
        update::clip_units(&p, &g, 64, 0.5, 1e-3).unwrap();
        vec![g]
    });
}

#[test]
fn averages_move_and_tensors_are_exchanged() {
    let len = 40_003;
    let (a, x) = (tensor(1, &[len], DType::F64), tensor(2, &[len], DType::F64));
    let (a0, x0) = (list(&a), list(&x));
    update::average(&a, &x, 0.9).unwrap();
    let moved: Vec<f64> = a0.iter().zip(&x0).map(|(a, x)| 0.9 * a + (1.0 - 0.9) * x).collect();
    assert!(list(&a).iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-15));
    let before = list(&a);
    update::swap(&a, &x).unwrap();
    assert_eq!((list(&a), list(&x)), (x0, before));
    assert!(update::swap(&a, &a).is_err());
}
