//! Elementwise ops on 16 MiB, on one thread.

mod inputs;

use criterion::Criterion;
use kernels::norm::NormShape;
use kernels::{Operand, elementwise};
use keys::Key;

fn benches(c: &mut Criterion) {
    let (rows, plane) = (1 << 12, 1 << 10);
    let (x, y, spikes) =
        (inputs::tensor(&[rows, plane]), inputs::tensor(&[rows, plane]), inputs::spikes(rows, plane));
    let dst = inputs::tensor(&[rows, plane]);

    let mut group = c.benchmark_group("elementwise");
    group.bench_function("add", |b| b.iter(|| elementwise::add(&x, &y)));
    group.bench_function("add_assign", |b| b.iter(|| elementwise::add_assign(&dst, &y, 1e-3)));
    group.bench_function("sum_steps-4", |b| b.iter(|| elementwise::sum_steps(&x, 4)));
    group.bench_function("add_rounded", |b| b.iter(|| elementwise::add_rounded(&x, &y, 20, 1)));
    group.bench_function("max_abs", |b| b.iter(|| elementwise::max_abs(&x)));
    group.bench_function("all_finite", |b| b.iter(|| elementwise::all_finite(&x)));
    let key = Key::new(1);
    group.bench_function("dropout_assign-8", |b| b.iter(|| elementwise::dropout_assign(&dst, 8, key, 0.3)));
    group
        .bench_function("dropout_spikes-8", |b| b.iter(|| elementwise::dropout_spikes(&spikes, 8, key, 0.3)));
    let s = NormShape { groups: 1, n: rows / 64, c: 64, plane };
    let (scale, shift) = (inputs::tensor(&[64]), inputs::tensor(&[64]));
    for (kind, other) in [("dense", Operand::Dense(&y)), ("spikes", Operand::Spikes(&spikes))] {
        group.bench_function(format!("add_affine-{kind}"), |b| {
            b.iter(|| elementwise::add_affine(&s, &x, &scale, &shift, other));
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
