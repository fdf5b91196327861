//! Carried states of 4 Mi elements on one thread: the exact step and its undoing beside the plain ones.

mod inputs;

use candle_core::{Device, Tensor};
use criterion::{Criterion, Throughput};
use kernels::elementwise;
use kernels::remainder::{Layout, carry, encode, recover, start};

fn benches(c: &mut Criterion) {
    let (n, ch, plane) = (64, 64, 1 << 10);
    let layout = Layout { n, ch, plane, bits: 20 };
    let f = inputs::tensor(&[n, ch, plane]);
    let mut group = c.benchmark_group("remainder");
    group.throughput(Throughput::Elements((n * ch * plane) as u64));
    let factors = |alpha: f32| Tensor::full(alpha, ch, &Device::Cpu);
    // The same channels for all, or 64 different ones.
    let mixed = Tensor::arange(1f32, 65f32, &Device::Cpu).and_then(|n| n / 64.0);
    for (name, alpha) in [
        ("1/64", factors(1.0 / 64.0)),
        ("0.3", factors(0.3)),
        ("0.5", factors(0.5)),
        ("0.7", factors(0.7)),
        ("1", factors(1.0)),
        ("1.25", factors(1.25)),
        ("mixed", mixed),
    ] {
        let Ok(alpha) = alpha else { continue };
        let Ok(first) = start(&f, layout.bits) else { continue };
        let Ok(second) = carry(&layout, &f, &first, &alpha) else { continue };
        let Ok(lost) = encode(&layout, &first, &alpha) else { continue };
        group.bench_function(format!("carry/{name}"), |b| {
            b.iter(|| carry(&layout, &f, &first, &alpha));
        });
        group.bench_function(format!("encode/{name}"), |b| b.iter(|| encode(&layout, &first, &alpha)));
        group.bench_function(format!("recover/{name}"), |b| {
            b.iter(|| recover(&layout, &second, &f, &alpha, &lost));
        });
        if name == "0.5" {
            group.bench_function("plain mix", |b| {
                b.iter(|| elementwise::mix(&f, &first, &alpha, n, ch, plane));
            });
            group.bench_function("plain unmix", |b| {
                b.iter(|| elementwise::unmix(&second, &f, &alpha, n, ch, plane));
            });
        }
    }
    group.finish();
}

fn main() {
    inputs::on_one_thread(benches);
}
