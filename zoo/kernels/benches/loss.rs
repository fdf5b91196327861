//! Losses with their gradients and the predicted classes of a batch's scores, on one thread.

mod inputs;

use criterion::{BenchmarkId, Criterion, Throughput};
use kernels::loss::{self, Target};

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("loss");
    for (batch, classes) in [(128, 10), (256, 1000)] {
        let (logits, labels) = (inputs::tensor(&[batch, classes]), vec![7; batch]);
        let size = format!("{batch}x{classes}");
        group.throughput(Throughput::Elements((batch * classes) as u64));
        group.bench_function(BenchmarkId::new("softmax_cross_entropy", &size), |b| {
            b.iter(|| loss::softmax_cross_entropy(&logits, &labels, 0.1));
        });
        group.bench_function(BenchmarkId::new("mse-one-hot", &size), |b| {
            b.iter(|| loss::mse(&logits, Target::Hot((&labels).into())));
        });
        group.bench_function(BenchmarkId::new("hits", &size), |b| b.iter(|| loss::hits(&logits, &labels)));
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
