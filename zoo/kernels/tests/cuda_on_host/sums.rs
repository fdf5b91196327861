//! Kernels that sum over threads: the CPU's numbers up to the order of the sum.

use kernels::cuda::{launch, source};
use kernels::loss;
use kernels::norm::{self, NormShape};
use kernels::standardise::{self, Epsilon, Standardisation, Variance};

use crate::host::{Host, close, from, missing, numbers, tensor, to, value, values};

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
    let Some(host) = Host::new(source::LOSS, 0, &["cross_entropy", "argmax"]) else { return };
    for k in [2usize, 10, 300] {
        let (b, z) = (3usize, numbers(3 * k, k as u64));
        let classes: Vec<u32> = (0..b).map(|row| (row * 7 % k) as u32).collect();
        let logits = tensor(&z, (b, k));
        let (expected, gradient) = loss::softmax_cross_entropy(&logits, &classes, 0.1).unwrap();
        let (mut losses, mut grad, mut best) = (vec![0.0f64; b], vec![0.0f32; b * k], vec![0u32; b]);
        let sizes = || vec![value(b as u64), value(k as u64)];
        let head = vec![from(&z), from(&classes), missing(), missing(), value(0.1f64)];
        let tail = vec![to(&mut losses), to(&mut grad)];
        host.run_together(
            "cross_entropy",
            launch::blocks("loss", b).unwrap(),
            [head, sizes(), tail].concat(),
        );
        close("loss", &[(losses.iter().sum::<f64>() / b as f64) as f32], &[expected as f32]);
        close("gradient", &grad, &values(&gradient));
        let grid = launch::elements("argmax", b).unwrap();
        host.run("argmax", grid, [vec![from(&z)], sizes(), vec![to(&mut best)]].concat());
        assert_eq!(best, loss::argmax(&logits).unwrap());
    }
}
