//! Attention of the zoo's transformers at T * B = 64, on one thread: self-attention and the spike-driven one.

mod inputs;

use candle_core::DType;
use criterion::{BenchmarkId, Criterion};
use kernels::attention::{AttentionShape, backward, forward};
use kernels::{Operand, elementwise};

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention");
    for (channels, side, heads) in [(384, 8, 12), (256, 14, 8), (384, 4, 1)] {
        let s = AttentionShape { images: 64, channels, tokens: side * side, heads };
        let (rows, size) = (s.images * channels, format!("C{channels}-{side}x{side}-h{heads}"));
        let [x, g] = [(); 2].map(|()| inputs::tensor(&[s.images, channels, s.tokens]));
        let spikes = inputs::spikes(rows, s.tokens);
        for (kind, x) in [("dense", Operand::Dense(&x)), ("spikes", Operand::Spikes(&spikes))] {
            group.bench_function(BenchmarkId::new(format!("forward-{kind}"), &size), |b| {
                b.iter(|| forward(&s, x, x, x, 0.125, DType::F32));
            });
            group.bench_function(BenchmarkId::new(format!("backward-{kind}"), &size), |b| {
                b.iter(|| backward(&s, x, x, x, &g, 0.125));
            });
            group.bench_function(BenchmarkId::new(format!("row_dot-{kind}"), &size), |b| {
                b.iter(|| elementwise::row_dot(rows, s.tokens, x, x, DType::F32));
            });
        }
        let mask = inputs::spikes(rows, 1);
        group.bench_function(BenchmarkId::new("row_overlap", &size), |b| {
            b.iter(|| elementwise::row_overlap(&spikes, &spikes, DType::F32));
        });
        group.bench_function(BenchmarkId::new("row_mask", &size), |b| {
            b.iter(|| elementwise::row_mask(&spikes, &mask));
        });
        group.bench_function(BenchmarkId::new("row_scale", &size), |b| {
            b.iter(|| {
                elementwise::row_scale(rows, s.tokens, Operand::Dense(&g), Operand::Spikes(&mask), DType::F32)
            });
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
