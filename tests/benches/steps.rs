//! One training step by `stbp` (forward, backward, AdamW) of each network that the peers are measured on, at its paper's
//! T and a batch of 4, on one thread and on two.
//!
//! `cargo bench -p tests --bench steps`; a part of `steps/<network>/<threads>` as argument chooses. The learning rate is
//! 0, so that each step is like the one before it. Memory, other batches and other methods: `harness measure`.
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

use std::time::Duration;

use candle_core::DType;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use engine::model::ModelSpec;
use engine::optim::OptimSpec;
use kernels::heap;

/// As in the program, so that a step pays for the count as a measured one does.
#[global_allocator]
static HEAP: heap::CountingHeap = heap::CountingHeap;

/// A network, and the input shape where it is not the published one.
const NETWORKS: [(&str, Option<[usize; 3]>); 7] = [
    ("preact-resnet18", None),
    ("ms-resnet34", None),
    ("vgg11-bn", None),
    ("rev-resnet21", None),
    ("vgg11-ws", None),
    ("trevsnn-tiny", Some([3, 32, 32])),
    ("spikingformer-2-384", None),
];

const BATCH: usize = 4;

/// Stack of a thread: a tape's closures are nested.
const STACK: usize = 16 << 20;

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("steps");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(BATCH as u64));
    for (name, image) in NETWORKS {
        let published = (models::find(name).expect("a network of the zoo").published)();
        let spec = ModelSpec { image: image.unwrap_or(published.image), ..published };
        for threads in [1, 2] {
            let pool = kernels::threads::pool(threads, STACK).expect("a pool");
            let words = if threads == 1 { "1-thread" } else { "2-threads" };
            group.bench_function(BenchmarkId::new(name, words), |b| {
                // The network is made where a selection wants it, and lives on the pool's thread alone.
                pool.install(|| {
                    let trainer = tests::trainer("stbp", name, &spec, DType::F32, tests::per_step());
                    let mut trainer = trainer.expect("a method that trains everything");
                    let batch = tests::batch(trainer.session(), &spec, BATCH).expect("a batch");
                    let built = OptimSpec::adam_w(0.0).build(&trainer.network().params);
                    let mut optimizer = built.expect("an optimiser");
                    optimizer.set_learning_rate(0.0);
                    b.iter(|| trainer.step(&batch, &mut *optimizer).expect("a step"));
                });
            });
        }
    }
    group.finish();
}

fn main() {
    heap::keep_pages();
    let mut criterion = Criterion::default().configure_from_args();
    benches(&mut criterion);
    criterion.final_summary();
}
