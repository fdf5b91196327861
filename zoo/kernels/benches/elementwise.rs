//! Elementwise ops, bits and pooling on 16 MiB, on one thread.

mod inputs;

use candle_core::DType;
use criterion::Criterion;
use kernels::norm::NormShape;
use kernels::pool::{
    AdaptiveShape, PoolShape, adaptive_avg_backward, adaptive_avg_forward, avg_backward, avg_forward,
    max_backward, max_bits, max_forward,
};
use kernels::{Bits, Operand, elementwise};

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
    let s = NormShape { groups: 1, n: rows / 64, c: 64, plane };
    let (scale, shift) = (inputs::tensor(&[64]), inputs::tensor(&[64]));
    for (kind, other) in [("dense", Operand::Dense(&y)), ("spikes", Operand::Spikes(&spikes))] {
        group.bench_function(format!("add_affine-{kind}"), |b| {
            b.iter(|| elementwise::add_affine(&s, &x, &scale, &shift, other));
        });
    }
    group.finish();

    let mut group = c.benchmark_group("bits");
    group.bench_function("pack", |b| b.iter(|| Bits::pack(&x, rows, plane)));
    group.bench_function("unpack", |b| b.iter(|| spikes.unpack(DType::F32)));
    group.bench_function("count_ones", |b| b.iter(|| spikes.count_ones()));
    group.finish();

    let s = PoolShape { n_c: rows, h: 32, w: 32, kernel: 2, stride: 2, pad: 0 };
    let dy = inputs::tensor(&[rows, plane / 4]);
    let mut group = c.benchmark_group("pool");
    for (kind, x) in [("dense", Operand::Dense(&x)), ("spikes", Operand::Spikes(&spikes))] {
        group.bench_function(format!("avg_forward-{kind}"), |b| {
            b.iter(|| avg_forward(&s, x, DType::F32, true))
        });
        group.bench_function(format!("max_forward-{kind}"), |b| b.iter(|| max_forward(&s, x, DType::F32)));
        group.bench_function(format!("max_backward-{kind}"), |b| b.iter(|| max_backward(&s, x, &dy)));
    }
    group.bench_function("avg_backward", |b| b.iter(|| avg_backward(&s, &dy, true)));
    for (name, s) in [
        // The same bins as the average above, by the general way; and SLTT's read-out.
        ("halved", AdaptiveShape { rows, plane: [32, 32], out: [16, 16] }),
        ("1x1-to-7x7", AdaptiveShape { rows: 64 * 512, plane: [1, 1], out: [7, 7] }),
        ("4x4-to-7x7", AdaptiveShape { rows: 64 * 512, plane: [4, 4], out: [7, 7] }),
    ] {
        let [x, dy] = [s.plane, s.out].map(|side| inputs::tensor(&[s.rows, side[0] * side[1]]));
        group.bench_function(format!("adaptive_avg_forward-{name}"), |b| {
            b.iter(|| adaptive_avg_forward(&s, Operand::Dense(&x), DType::F32));
        });
        group.bench_function(format!("adaptive_avg_backward-{name}"), |b| {
            b.iter(|| adaptive_avg_backward(&s, &dy))
        });
    }
    group.bench_function("max_bits", |b| b.iter(|| max_bits(&s, &spikes)));
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
