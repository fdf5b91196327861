//! Norms of activations, on one thread.
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

mod inputs;

use criterion::{BatchSize, BenchmarkId, Criterion};
use kernels::norm::{NormShape, affine, backward, fold, moments};

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("norm");
    for (n, c, side) in [(64, 64, 32), (128, 256, 8), (128, 512, 4)] {
        let s = NormShape { groups: 1, n, c, plane: side * side };
        let (x, dy) = (inputs::tensor(&[n, c, s.plane]), inputs::tensor(&[n, c, s.plane]));
        let m = moments(&s, &x).expect("matching sizes");
        let (scale, shift) = fold(&m, 1e-5, 1.0, None, None).expect("matching sizes");
        let size = format!("N{n}-C{c}-{side}x{side}");
        group.bench_function(BenchmarkId::new("moments", &size), |b| b.iter(|| moments(&s, &x)));
        group
            .bench_function(BenchmarkId::new("affine", &size), |b| b.iter(|| affine(&s, &x, &scale, &shift)));
        group.bench_function(BenchmarkId::new("backward", &size), |b| {
            b.iter_batched(
                || dy.copy().expect("a copy"),
                |dy| backward(&s, &x, dy, true, &m, 1e-5, 1.0, None, None, None),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
