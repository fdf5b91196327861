//! Kernels that sum over threads: the CPU's numbers up to the order of the sum.

use kernels::attention::{self, AttentionShape};
use kernels::cuda::{launch, source};
use kernels::loss;
use kernels::norm::{self, NormShape};
use kernels::standardise::{self, Epsilon, Standardisation, Variance};

use kernels::{Bits, Operand, elementwise, update};

use crate::host::{Argument, Host, close, from, missing, numbers, same, tensor, to, value, values};

#[test]
fn norms_are_the_cpus() {
    let kernels = ["sum_channels", "moments", "bend", "bend_apply", "over_groups"];
    let Some(host) = Host::new(source::NORM, 0, &kernels) else { return };
    for s in [
        NormShape { groups: 1, n: 3, c: 2, plane: 5 },
        NormShape { groups: 3, n: 2, c: 2, plane: 1 },
        NormShape { groups: 2, n: 2, c: 1, plane: 300 },
    ] {
        let (channels, len) = (s.groups * s.c, s.groups * s.n * s.c * s.plane);
        let (x, dy, gamma) = (numbers(len, 1), numbers(len, 2), numbers(s.c, 3));
        let shape = (s.groups * s.n, s.c, s.plane);
        let (x_, gamma_) = (tensor(&x, shape), tensor(&gamma, s.c));
        let m = norm::moments(&s, &x_).unwrap();
        let dgamma = tensor(&vec![1.0; s.c], s.c);
        let dx = norm::backward(
            &s,
            &x_,
            tensor(&dy, shape),
            true,
            &m,
            1e-5,
            0.5,
            Some(&gamma_),
            Some((&dgamma, true)),
            None,
        )
        .unwrap();

        // Two parts a channel, so that adding them is seen too.
        let splits = 2u64;
        let grid = launch::Grid { blocks: (channels as u32, splits as u32) };
        let sizes = || [s.n, s.c, s.plane].map(|size| value(size as u64)).to_vec();
        let mut parts = vec![0.0f64; channels * 2 * 2];
        let (mut mean, mut var) = (vec![0.0f32; channels], vec![0.0f32; channels]);
        let each = launch::elements("norm", channels).unwrap();
        let (count, many) = (value((s.n * s.plane) as f64), value(channels as u64));
        host.run_together(
            "sum_channels",
            grid,
            [vec![from(&x), from(&x)], sizes(), vec![to(&mut parts)]].concat(),
        );
        host.run(
            "moments",
            each,
            vec![from(&parts), value(splits), count.clone(), to(&mut mean), to(&mut var), many.clone()],
        );
        close("mean", &mean, &values(&m.mean));
        close("var", &var, &values(&m.var));

        let mut bent = dy.clone();
        let (mut four, mut sums) = (vec![0.0f32; channels * 4], vec![0.0f64; channels * 2]);
        host.run_together(
            "sum_channels",
            grid,
            [vec![from(&bent), from(&x)], sizes(), vec![to(&mut parts)]].concat(),
        );
        host.run(
            "bend",
            each,
            vec![
                from(&parts),
                value(splits),
                count,
                from(&mean),
                from(&var),
                value(1e-5f64),
                value(0.5f64),
                from(&gamma),
                value(s.c as u64),
                to(&mut four),
                to(&mut sums),
                many,
            ],
        );
        let rest = vec![value(len as u64)];
        let head = vec![from(&x), to(&mut bent), from(&four)];
        host.run("bend_apply", launch::elements("norm", len).unwrap(), [head, sizes(), rest].concat());
        close("dx", &bent, &values(&dx));
        let mut total = vec![1.0f32; s.c];
        host.run(
            "over_groups",
            each,
            vec![
                from(&sums),
                value(s.groups as u64),
                value(2u64),
                value(1u64),
                value(0.5f64),
                to(&mut total),
                value(1i32),
                value(s.c as u64),
            ],
        );
        close("dgamma", &total, &values(&dgamma));
    }
}

#[test]
fn standardised_weights_are_the_cpus() {
    let Some(host) = Host::new(source::STANDARDISE, 0, &["forward", "backward"]) else { return };
    for n in [2, 27, 300] {
        let (o, how) = (3, Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) });
        let (w, gain, g) = (numbers(o * n, 1), numbers(o, 2), numbers(o * n, 3));
        let (w_, gain_, g_) = (tensor(&w, (o, n)), tensor(&gain, o), tensor(&g, (o, n)));
        let expected = standardise::forward(&w_, Some(&gain_), how).unwrap();
        let (dw_, dgain_) = (tensor(&vec![1.0; o * n], (o, n)), tensor(&vec![0.0; o], o));
        standardise::backward(&w_, Some(&gain_), how, &g_, &dw_, true, Some((&dgain_, false))).unwrap();

        let terms = || vec![value(n as u64), value(n as f64 - 1.0), value(1e-4f64)];
        let grid = launch::blocks("standardise", o).unwrap();
        let (mut out, mut dw, mut dgain) = (vec![0.0f32; o * n], vec![1.0f32; o * n], vec![7.0f32; o]);
        host.run_together(
            "forward",
            grid,
            [vec![from(&w), from(&gain)], terms(), vec![to(&mut out)]].concat(),
        );
        close("standardised", &out, &values(&expected));
        let into = vec![to(&mut dw), value(1i32), to(&mut dgain), value(0i32)];
        host.run_together("backward", grid, [vec![from(&w), from(&gain), from(&g)], terms(), into].concat());
        close("dw", &dw, &values(&dw_));
        close("dgain", &dgain, &values(&dgain_));
    }
}

#[test]
fn cross_entropy_is_the_cpus() {
    let Some(host) = Host::new(source::LOSS, 0, &["cross_entropy", "hits", "total"]) else { return };
    for k in [2usize, 10, 300] {
        let (b, z) = (3usize, numbers(3 * k, k as u64));
        let classes: Vec<u32> = (0..b).map(|row| (row * 7 % k) as u32).collect();
        let logits = tensor(&z, (b, k));
        let (expected, gradient) = loss::softmax_cross_entropy(&logits, &classes, 0.1).unwrap();
        let (mut losses, mut grad, mut right) = (vec![0.0f64; b], vec![0.0f32; b * k], vec![f64::NAN; b]);
        let sizes = || vec![value(b as u64), value(k as u64)];
        let head = vec![from(&z), from(&classes), missing(), missing(), value(0.1f64)];
        let tail = vec![to(&mut losses), to(&mut grad)];
        host.run_together(
            "cross_entropy",
            launch::blocks("loss", b).unwrap(),
            [head, sizes(), tail].concat(),
        );
        close("gradient", &grad, &values(&gradient));
        let one = launch::blocks("total", 1).unwrap();
        let total = |rows: &[f64], divisor: f64| {
            let mut sum = [f64::NAN];
            let arguments = vec![from(rows), value(rows.len() as u64), value(divisor), to(&mut sum)];
            host.run_together("total", one, arguments);
            sum[0]
        };
        close("loss", &[total(&losses, b as f64) as f32], &[expected.read().unwrap() as f32]);
        let grid = launch::elements("hits", b).unwrap();
        let best =
            |row: usize| (0..k).fold(0, |best, j| if z[row * k + j] > z[row * k + best] { j } else { best });
        // The first row is right.
        let classes: Vec<u32> = (0..b).map(|row| ((best(row) + row) % k) as u32).collect();
        host.run("hits", grid, [vec![from(&z), from(&classes)], sizes(), vec![to(&mut right)]].concat());
        assert_eq!(total(&right, 1.0), loss::hits(&logits, &classes).unwrap().read().unwrap());
        assert_eq!(right[..2], [1.0, 0.0]);
    }
}

#[test]
fn norms_of_gradients_and_what_is_shortened_by_them_are_the_cpus() {
    let kernels = ["squares", "root_of_parts", "shorten"];
    let Some(host) = Host::new(source::UPDATE, 0, &kernels) else { return };
    let (a, b) = (numbers(1000, 1), numbers(3, 2));
    let expected = update::norm_of(&[&tensor(&a, 1000), &tensor(&b, 3)]).unwrap();
    let grids = [&a, &b].map(|x| launch::parts(x.len()));
    let (mut parts, mut norm) = (vec![f64::NAN; grids[0].blocks.0 as usize + 1], [f64::NAN]);
    let (first, rest) = parts.split_at_mut(grids[0].blocks.0 as usize);
    for (x, grid, to_) in [(&a, grids[0], first), (&b, grids[1], rest)] {
        host.run_together("squares", grid, vec![from(x), to(to_), value(x.len() as u64)]);
    }
    let one = launch::blocks("root", 1).unwrap();
    let arguments = vec![from(&parts), value(parts.len() as u64), to(&mut norm)];
    host.run_together("root_of_parts", one, arguments);
    close("norm", &[norm[0] as f32], &[expected.read().unwrap() as f32]);
    for most in [0.3 * norm[0], 2.0 * norm[0]] {
        let mut x = a.clone();
        let arguments = vec![to(&mut x), from(&norm), value(most), value(1e-6f64), value(1000u64)];
        host.run("shorten", launch::elements("shorten", 1000).unwrap(), arguments);
        let expected = tensor(&a, 1000);
        update::shorten(
            &expected,
            &update::norm_of(&[&tensor(&a, 1000), &tensor(&b, 3)]).unwrap(),
            most,
            1e-6,
        )
        .unwrap();
        close("shortened", &x, &values(&expected));
    }
}

#[test]
fn the_largest_magnitude_is_the_cpus() {
    let Some(host) = Host::new(source::ELEMENTWISE, 0, &["max_abs", "largest"]) else { return };
    for bad in [None, Some(f32::NAN), Some(f32::NEG_INFINITY)] {
        let mut x = numbers(1000, 1);
        if let Some(bad) = bad {
            x[513] = bad;
        }
        let grid = launch::parts(x.len());
        let (mut parts, mut most) = (vec![0.0f32; grid.blocks.0 as usize], [0.0f64]);
        host.run_together("max_abs", grid, vec![from(&x), to(&mut parts), value(x.len() as u64)]);
        let arguments = vec![from(&parts), value(parts.len() as u64), to(&mut most)];
        host.run_together("largest", launch::blocks("largest", 1).unwrap(), arguments);
        let expected = elementwise::max_abs(&tensor(&x, 1000)).unwrap().read().unwrap();
        assert!(most[0] == expected || (most[0].is_nan() && expected.is_nan()), "{most:?} {expected}");
    }
}

/// `struct Matrix` of `attention.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Matrix {
    at: u64,
    plane: u64,
    each: u64,
    row: u64,
    column: u64,
    kind: i32,
}

impl Matrix {
    /// `kind`: 0 numbers as they are held, 1 spikes in rows of `plane`, 2 numbers as they are computed in.
    pub(super) fn rows<T>(x: &[T], (kind, plane): (i32, usize), each: usize, row: usize) -> Self {
        let at = x.as_ptr().addr() as u64;
        Matrix { at, plane: plane as u64, each: each as u64, row: row as u64, column: 1, kind }
    }

    pub(super) fn turn(self) -> Self {
        Matrix { row: self.column, column: self.row, ..self }
    }
}

/// Forward and backward, as the device's calls put them together, of q, k, v and g.
fn attention_on_host(
    host: &Host,
    s: &AttentionShape,
    [q, k, v, g]: [Matrix; 4],
    scale: f32,
) -> [Vec<f32>; 4] {
    let (heads, d, n) = (s.images * s.heads, s.channels / s.heads, s.tokens);
    let inner = d.min(n);
    let product = |[m, n, k]: [usize; 3], (a, b): (Matrix, Matrix), factor: f32| {
        let (tiles, mut out) = (launch::tiles(m, n), vec![f32::NAN; heads * m * n]);
        let sizes = [m, n, k, tiles].map(|size| value(size as u64)).to_vec();
        let arguments: Vec<Argument> =
            [vec![value(a), value(b), value(factor), to(&mut out), value(0i32)], sizes].concat();
        host.run_together("product", launch::blocks("attention", heads * tiles).unwrap(), arguments);
        out
    };
    let between = |x: &[f32]| Matrix::rows(x, (0, 1), inner * inner, inner);
    if d <= n {
        let plain = product([d, d, n], (v, k.turn()), 1.0);
        let out = product([d, n, d], (between(&plain), q), scale);
        let scaled = product([d, d, n], (v, k.turn()), scale);
        let dq = product([d, n, d], (between(&scaled).turn(), g), 1.0);
        let turned = product([d, d, n], (g, q.turn()), scale);
        let dv = product([d, n, d], (between(&turned), k), 1.0);
        [out, dq, product([d, n, d], (between(&turned).turn(), v), 1.0), dv]
    } else {
        let plain = product([n, n, d], (k.turn(), q), 1.0);
        let out = product([d, n, n], (v, between(&plain)), scale);
        let scaled = product([n, n, d], (k.turn(), q), scale);
        let dv = product([d, n, n], (g, between(&scaled).turn()), 1.0);
        let turned = product([n, n, d], (v.turn(), g), scale);
        let dq = product([d, n, n], (k, between(&turned)), 1.0);
        [out, dq, product([d, n, n], (q, between(&turned).turn()), 1.0), dv]
    }
}

#[test]
fn attention_is_the_cpus() {
    let Some(host) = Host::new(source::ATTENTION, 0, &["product"]) else { return };
    // Both orders of the products; sizes below, at and above a tile.
    for (images, channels, tokens, heads) in [(2, 6, 5, 3), (1, 5, 70, 1), (1, 64, 64, 1), (1, 70, 5, 1)] {
        let s = AttentionShape { images, channels, tokens, heads };
        let (shape, head) = ((images, channels, tokens), channels / heads * tokens);
        let len = images * channels * tokens;
        let small = |seed| numbers(len, seed).iter().map(|x| x / 8.0).collect::<Vec<f32>>();
        let [q, k, v, g] = [1, 2, 3, 4].map(small);
        let of = |x: &[f32]| Matrix::rows(x, (0, 1), head, tokens);
        let got = attention_on_host(&host, &s, [of(&q), of(&k), of(&v), of(&g)], 0.3);
        let [q_, k_, v_, g_] = [&q, &k, &v, &g].map(|x| tensor(x, shape));
        let [dq, dk, dv] = [&q_, &k_, &v_].map(Operand::Dense);
        let out = attention::forward(&s, dq, dk, dv, 0.3, candle_core::DType::F32).unwrap();
        let gradients = attention::backward(&s, dq, dk, dv, &g_, 0.3).unwrap();
        for (what, (got, expected)) in
            ["out", "dq", "dk", "dv"].iter().zip(got.iter().zip(std::iter::once(&out).chain(&gradients)))
        {
            close(what, got, &values(expected));
        }

        // Spikes and a gradient of whole numbers: nothing rounds, in any order.
        let bits = [&q, &k, &v].map(|x| {
            let ones: Vec<f32> = x.iter().map(|x| f32::from(*x > 0.1)).collect();
            Bits::pack(&tensor(&ones, shape), images * channels, tokens).unwrap()
        });
        let bytes = bits.each_ref().map(|bits| bits.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap());
        let g: Vec<f32> = g.iter().map(|g| (g * 16.0).round()).collect();
        let [q, k, v] = bytes.each_ref().map(|bytes| Matrix::rows(bytes, (1, tokens), head, tokens));
        let got = attention_on_host(&host, &s, [q, k, v, of(&g)], 0.125);
        let [q, k, v] = bits.each_ref().map(Operand::Spikes);
        let out = attention::forward(&s, q, k, v, 0.125, candle_core::DType::F32).unwrap();
        let gradients = attention::backward(&s, q, k, v, &tensor(&g, shape), 0.125).unwrap();
        for (got, expected) in got.iter().zip(std::iter::once(&out).chain(&gradients)) {
            same("of spikes", got, &values(expected));
        }
    }
}
