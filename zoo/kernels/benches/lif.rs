//! Integrate-and-fire over all steps, on one thread.

mod inputs;

use criterion::{BenchmarkId, Criterion};
use kernels::lif::{
    Cell, Current, LifShape, Reset, ResetGrad, Surrogate, backward, forward, relu_forward, trace,
};

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("lif");
    for (steps, n, channels, side) in [(4, 16, 64, 32), (4, 32, 256, 8), (8, 16, 128, 16), (4, 32, 512, 4)] {
        let (rows, plane) = (n * channels, side * side);
        let s = LifShape { steps, rows, plane, channels, current_steps: steps };
        let (x, ds) = (inputs::tensor(&[steps, rows, plane]), inputs::tensor(&[steps, rows, plane]));
        let (scale, shift) = (inputs::tensor(&[1, channels]), inputs::tensor(&[1, channels]));
        let i = Current { x: &x, affine: Some((&scale, &shift)) };
        let size = format!("T{steps}-N{n}-C{channels}-{side}x{side}");
        for (name, surrogate) in [
            ("arctan", Surrogate::ArcTan { alpha: 2.0 }),
            ("sigmoid", Surrogate::Sigmoid { alpha: 4.0 }),
            ("triangle", Surrogate::Triangle { alpha: 1.0 }),
        ] {
            let (reset, reset_grad) = (Reset::Hard(0.0), ResetGrad::Detached);
            let (decay, input_gain, threshold) = (0.5, 0.5, 1.0);
            let cell = Cell {
                decay,
                input_gain,
                threshold,
                reset,
                reset_grad,
                surrogate,
                strict: false,
                time_gradient: true,
                smooth: false,
            };
            if name == "arctan" {
                group.bench_function(BenchmarkId::new("forward", &size), |b| {
                    b.iter(|| forward(&s, &cell, &i, None, false));
                });
            }
            group.bench_function(BenchmarkId::new(format!("backward-{name}"), &size), |b| {
                b.iter(|| backward(&s, &cell, &i, None, &ds, None, false, true));
            });
        }
        group.bench_function(BenchmarkId::new("relu-forward", &size), |b| b.iter(|| relu_forward(&s, &i)));
        let (a, spikes) = (inputs::tensor(&[rows, plane]), inputs::spikes(rows, plane));
        group.bench_function(BenchmarkId::new("trace", &size), |b| b.iter(|| trace(&a, &spikes, 0.5)));
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
