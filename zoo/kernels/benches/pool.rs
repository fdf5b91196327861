//! Pools of 16 MiB, on one thread: of numbers and of spikes.

mod inputs;

use candle_core::DType;
use criterion::Criterion;
use kernels::Operand;
use kernels::pool::{
    AdaptiveShape, PoolShape, adaptive_avg_backward, adaptive_avg_forward, avg_backward, avg_forward,
    global_avg_backward, global_avg_forward, max_backward, max_bits, max_forward,
};

fn benches(c: &mut Criterion) {
    let (rows, plane) = (1 << 12, 1 << 10);
    let (x, spikes) = (inputs::tensor(&[rows, plane]), inputs::spikes(rows, plane));
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
    let means = inputs::tensor(&[rows]);
    group.bench_function("global_avg_forward-spikes", |b| {
        b.iter(|| global_avg_forward(rows, plane, Operand::Spikes(&spikes), DType::F32));
    });
    group.bench_function("global_avg_backward", |b| b.iter(|| global_avg_backward(rows, plane, &means)));
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
