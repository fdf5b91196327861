//! Convolutions of the zoo's layers, batch 32, on one thread: numbers, spikes, and both gradients.

mod inputs;

use criterion::{BenchmarkId, Criterion};
use kernels::Operand;
use kernels::conv::{ConvShape, Tiles, backward_input, backward_weight, forward};

fn shapes() -> Vec<(&'static str, ConvShape)> {
    let shape = |c: (usize, usize), hw: usize, k: usize, stride: usize, groups: usize| {
        let pad = k / 2;
        ConvShape { n: 32, c_in: c.0, h: hw, w: hw, c_out: c.1, kernel: (k, k), stride, pad, groups }
    };
    vec![
        ("3x3-64-32", shape((64, 64), 32, 3, 1, 1)),
        ("3x3-128-16", shape((128, 128), 16, 3, 1, 1)),
        ("3x3-256-8", shape((256, 256), 8, 3, 1, 1)),
        ("3x3-512-4", shape((512, 512), 4, 3, 1, 1)),
        ("stem-3-64-32", shape((3, 64), 32, 3, 1, 1)),
        ("stride2-64-128-32", shape((64, 128), 32, 3, 2, 1)),
        ("1x1-64-256-32", shape((64, 256), 32, 1, 1, 1)),
        ("1x1-128-512-16", shape((128, 512), 16, 1, 1, 1)),
        ("1x1-384-384-8", shape((384, 384), 8, 1, 1, 1)),
        ("1x1-256-512-2", shape((256, 512), 2, 1, 1, 1)),
        ("depthwise3-64-32", shape((64, 64), 32, 3, 1, 64)),
        ("depthwise7-64-32", shape((64, 64), 32, 7, 1, 64)),
        ("depthwise5-256-8", shape((256, 256), 8, 5, 1, 256)),
    ]
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("conv");
    for (name, s) in shapes() {
        let x = inputs::tensor(&[s.n, s.c_in, s.h, s.w]);
        let spikes = inputs::spikes(s.n * s.c_in, s.h * s.w);
        let w = inputs::tensor(&[s.c_out, s.c_in / s.groups, s.kernel.0, s.kernel.1]);
        let dy = inputs::tensor(&[s.n, s.c_out, s.out_h(), s.out_w()]);
        let dw = inputs::tensor(w.dims());
        for (kind, x) in [("dense", Operand::Dense(&x)), ("spikes", Operand::Spikes(&spikes))] {
            group.bench_function(BenchmarkId::new(format!("forward-{kind}"), name), |b| {
                b.iter(|| forward(&s, x, &w, None));
            });
            group.bench_function(BenchmarkId::new(format!("backward-weight-{kind}"), name), |b| {
                b.iter(|| backward_weight(&s, x, &dy, &dw, true));
            });
        }
        group.bench_function(BenchmarkId::new("backward-input", name), |b| {
            b.iter(|| backward_input(&s, &dy, &w, Tiles::Two))
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
