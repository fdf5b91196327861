//! Weight standardisation of two layers' filters, on one thread: with gains, as networks without norms have them, and without.

mod inputs;

use criterion::{BenchmarkId, Criterion, Throughput};
use kernels::standardise::{Epsilon, Standardisation, Variance, backward, forward};

fn benches(c: &mut Criterion) {
    let how = Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };
    let mut group = c.benchmark_group("standardise");
    for (filters, inputs) in [(64, 64), (512, 256)] {
        let [w, g, into] = [(); 3].map(|()| inputs::tensor(&[filters, inputs, 3, 3]));
        let [gain, into_gain] = [(); 2].map(|()| inputs::tensor(&[filters]));
        let size = format!("{filters}x{}", inputs * 9);
        group.throughput(Throughput::Elements((filters * inputs * 9) as u64));
        for (kind, gain, into_gain) in
            [("plain", None, None), ("gain", Some(&gain), Some((&into_gain, false)))]
        {
            group.bench_function(BenchmarkId::new(format!("forward-{kind}"), &size), |b| {
                b.iter(|| forward(&w, gain, how));
            });
            group.bench_function(BenchmarkId::new(format!("backward-{kind}"), &size), |b| {
                b.iter(|| backward(&w, gain, how, &g, &into, false, into_gain));
            });
        }
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
