//! Linear maps and their gradients, on one thread.

mod inputs;

use criterion::{BenchmarkId, Criterion};
use kernels::Operand;
use kernels::linear::{backward_input, backward_weight, forward};

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    for (rows, inputs, outputs) in [(512, 2048, 512), (4096, 256, 1024), (128, 512, 1000)] {
        let (x, spikes) = (inputs::tensor(&[rows, inputs]), inputs::spikes(rows, inputs));
        let (w, dy) = (inputs::tensor(&[outputs, inputs]), inputs::tensor(&[rows, outputs]));
        let dw = inputs::tensor(&[outputs, inputs]);
        let size = format!("{rows}x{inputs}-{outputs}");
        for (kind, x) in [("dense", Operand::Dense(&x)), ("spikes", Operand::Spikes(&spikes))] {
            group.bench_function(BenchmarkId::new(format!("forward-{kind}"), &size), |b| {
                b.iter(|| forward(rows, x, &w, None));
            });
            group.bench_function(BenchmarkId::new(format!("backward-weight-{kind}"), &size), |b| {
                b.iter(|| backward_weight(rows, x, &dy, &dw, true));
            });
        }
        group.bench_function(BenchmarkId::new("backward-input", &size), |b| {
            b.iter(|| backward_input(&dy, &w))
        });
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
