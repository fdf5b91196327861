//! One training step by `stbp` (forward, backward, AdamW) of each network that the peers are measured on, at its paper's
//! T and a batch of 4, on one thread and on two; and the same step without numbers (`planned`): what tape, ledger and
//! shapes cost.
//!
//! `cargo bench --workspace --bench steps`; a part of `steps/<network>/<threads>` as argument chooses. The learning rate
//! is 0, so that each step is like the one before it. Memory, other batches and other methods: `harness measure`.
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

use std::rc::Rc;
use std::time::Duration;

use candle_core::{DType, Device};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use engine::method::{RunSpec, Settings};
use engine::model::ModelSpec;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::Session;
use kernels::heap;
use keys::Key;

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

/// A trainer in a session, with its batch and its optimiser.
fn step(session: Session, name: &str, spec: &ModelSpec) -> impl FnMut() {
    let params = Params::new(Rc::new(session), Key::new(7).fork("init"));
    let entry = models::find(name).expect("a network of the zoo");
    let network = entry.network(spec, params).expect("its published set-up");
    let method = registry::find("stbp").expect("the exact method");
    let method = (method.build)(&Settings::default()).expect("its defaults");
    let run = RunSpec::new(spec.steps, tests::per_step(), Key::new(7).fork("run"));
    let mut trainer = method.trainer(network, run).expect("a method that trains everything");
    let batch = tests::batch(trainer.session(), spec, BATCH).expect("a batch");
    let mut optimizer = OptimSpec::adam_w(0.0).build(&trainer.network().params).expect("an optimiser");
    optimizer.set_learning_rate(0.0);
    move || {
        trainer.step(&batch, &mut *optimizer).expect("a step");
    }
}

fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("steps");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(BATCH as u64));
    for (name, image) in NETWORKS {
        let published = (models::find(name).expect("a network of the zoo").published)();
        let spec = ModelSpec { image: image.unwrap_or(published.image), ..published };
        for (words, threads) in [("1-thread", 1), ("2-threads", 2), ("planned", 1)] {
            let pool = kernels::threads::pool(threads, STACK).expect("a pool");
            group.bench_function(BenchmarkId::new(name, words), |b| {
                // The network is made where a selection wants it, and lives on one of the pool's threads.
                pool.install(|| {
                    let session = match words {
                        "planned" => Session::plan(DType::F32),
                        _ => Session::new(Device::Cpu, DType::F32),
                    };
                    b.iter(step(session, name, &spec));
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
