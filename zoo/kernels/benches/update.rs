//! Parameter updates of four million parameters, on one thread.
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

mod inputs;

use criterion::Criterion;
use kernels::update::{self, Averages, Trust};

fn benches(c: &mut Criterion) {
    let [p, g, m, v] = [0; 4].map(|_| inputs::tensor(&[1 << 22]));
    let v = v.sqr().expect("squares");
    let at = Averages { step: 10, betas: [0.9, 0.999], eps: 1e-8 };
    let mut group = c.benchmark_group("update");
    group.bench_function("sgd", |b| b.iter(|| update::sgd(&p, &g, Some(&m), 1e-6, 0.9, 1e-4, false)));
    group.bench_function("adamw", |b| {
        b.iter(|| update::adam(&p, &g, &m, &v, at, 1e-6, 0.05, true));
    });
    group.bench_function("lamb", |b| {
        b.iter(|| update::lamb(&p, &g, &m, &v, at, 1e-6, 0.05, Trust::Free));
    });
    group.bench_function("norm_of", |b| b.iter(|| update::norm_of(&[&g])));
    group.bench_function("clip_units-2048", |b| b.iter(|| update::clip_units(&p, &g, 2048, 1.0, 1e-3)));
    group.bench_function("average", |b| b.iter(|| update::average(&m, &p, 0.9992)));
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
