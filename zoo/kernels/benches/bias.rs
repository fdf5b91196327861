//! Gradients of biases, on one thread: of maps and of rows.

mod inputs;

use criterion::{BenchmarkId, Criterion, Throughput};
use kernels::bias;

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("bias");
    for (n, channels, side) in [(64, 64, 32), (128, 256, 8), (128, 512, 4), (512, 512, 1)] {
        let plane = side * side;
        let (dy, db) = (inputs::tensor(&[n, channels, plane]), inputs::tensor(&[channels]));
        group.throughput(Throughput::Elements((n * channels * plane) as u64));
        group.bench_function(BenchmarkId::new("gradient", format!("N{n}-C{channels}-{side}x{side}")), |b| {
            b.iter(|| bias::gradient(&dy, n, channels, plane, &db, true));
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
