//! Spikes as bits on 16 MiB of numbers, on one thread.

mod inputs;

use candle_core::DType;
use criterion::{Criterion, Throughput};
use kernels::Bits;

fn benches(c: &mut Criterion) {
    let (rows, plane) = (1 << 12, 1 << 10);
    let x = inputs::tensor(&[rows, plane]);
    let spikes = inputs::spikes(rows, plane);
    let [first, second] = [0, rows / 2].map(|from| spikes.narrow(from, rows / 2));
    let mut group = c.benchmark_group("bits");
    group.throughput(Throughput::Elements((rows * plane) as u64));
    group.bench_function("pack", |b| b.iter(|| Bits::pack(&x, rows, plane)));
    group.bench_function("unpack", |b| b.iter(|| spikes.unpack(DType::F32)));
    group.bench_function("count_ones", |b| b.iter(|| spikes.count_ones()));
    if let (Ok(first), Ok(second)) = (first, second) {
        let parts = [first, second];
        group.bench_function("concat", |b| b.iter(|| Bits::concat(&parts)));
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
