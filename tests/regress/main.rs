//! The memory gate can fail: methods that leak go through its own measuring and comparing.
//!
//! The heap sees every allocation of the process, so the laws are checked one at a time on the main thread, with no test
//! runner beside them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::process::ExitCode;
use std::rc::Rc;

use candle_core::Tensor;
use engine::Result;
use engine::ledger::Category;
use engine::method::{Batch, Method, MethodEntry, Outcome, RunSpec, Trainer, Unsupported};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::run::Run;
use engine::value::Value;
use harness::regress::{Cells, Find, against, broken_laws, measure_all};
use kernels::heap;
use results::MemoryRow;

#[global_allocator]
static HEAP: heap::CountingHeap = heap::CountingHeap;

/// A method without a leak, which the leaking ones wrap.
const CLEAN: &str = "sltt";

/// Where a copy of the batch is kept at every time step.
#[derive(Clone, Copy)]
enum Leak {
    /// Booked, as the engine books every value.
    Booked,
    /// Beside the engine, where the ledger can't see it.
    Unbooked,
}

/// Entered under an id of its own.
static LEAKING: MethodEntry = MethodEntry {
    id: "sltt-leaking",
    summary: "keeps one tensor more at every time step",
    paper: "none",
    official: &[],
    build: |settings| leaking(settings, Leak::Booked),
};

/// Stands in for the clean method, under its id.
static LEAKING_PAST_THE_LEDGER: MethodEntry =
    MethodEntry { id: CLEAN, build: |settings| leaking(settings, Leak::Unbooked), ..LEAKING };

fn leaking(settings: &engine::method::Settings, leak: Leak) -> Result<Box<dyn Method>> {
    let inner = (registry::find(CLEAN).unwrap().build)(settings)?;
    Ok(Box::new(Leaking { inner, leak }))
}

struct Leaking {
    inner: Box<dyn Method>,
    leak: Leak,
}

impl Method for Leaking {
    fn supports(&self, network: &Network, run: &RunSpec) -> Result<(), Unsupported> {
        self.inner.supports(network, run)
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        let steps = run.steps;
        Ok(Box::new(LeakingTrainer { inner: self.inner.trainer(network, run)?, leak: self.leak, steps }))
    }
}

struct LeakingTrainer {
    inner: Box<dyn Trainer>,
    leak: Leak,
    steps: usize,
}

impl Trainer for LeakingTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let session = Rc::clone(self.inner.session());
        let (mut booked, mut unbooked) = (Vec::<Value>::new(), Vec::<Tensor>::new());
        for _ in 0..self.steps {
            let images = batch.images.tensor()?;
            match self.leak {
                Leak::Booked => {
                    booked.push(session.constant(Category::Saved, batch.images.shape(), images)?);
                }
                Leak::Unbooked => unbooked.push(images.copy()?),
            }
        }
        self.inner.step(batch, optimizer)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.inner.evaluate(batch)
    }

    fn run(&self) -> &Run {
        self.inner.run()
    }

    fn run_mut(&mut self) -> &mut Run {
        self.inner.run_mut()
    }
}

/// What the gate finds on a list: broken laws, and rows.
fn gate(text: &str, find: Find<'_>) -> (Vec<String>, Vec<MemoryRow>) {
    let cells = Cells::parse("cells.toml", text, find).unwrap();
    let found = measure_all(&cells, harness::DeviceKind::Cpu).unwrap();
    (found.iter().flat_map(broken_laws).collect(), found.iter().flat_map(|found| found.rows()).collect())
}

/// A list of one network and one method.
fn one(method: &str, steps: &str) -> String {
    format!(
        "batch = 4\nthreads = [1]\n[[network]]\nid = \"tiny-conv\"\nmodel = \"tiny-conv\"\nimage = [1, 16, 16]\n\
         classes = 10\nwidth = 0.5\nnorm = \"step\"\nrun = [{{ methods = [\"{method}\"], steps = {steps}, law = \"no-byte-per-step\" }}]\n"
    )
}

/// A cell of every law.
const SMALL: &str = include_str!("small.toml");

fn a_method_that_keeps_a_tensor_a_step_breaks_its_law() {
    let find = |id: &str| if id == LEAKING.id { Some(&LEAKING) } else { registry::find(id) };
    assert_eq!(gate(&one(CLEAN, "[2, 4, 8]"), &find).0, Vec::<String>::new());
    // A copy of 4 images of 16 x 16 pixels is 4096 bytes.
    assert_eq!(
        gate(&one(LEAKING.id, "[2, 4, 8]"), &find).0,
        [
            "sltt-leaking holds no byte per extra step: tiny-conv, T 2 to 4: expected 0, found 8,192",
            "sltt-leaking holds no byte per extra step: tiny-conv, T 4 to 8: expected 0, found 16,384",
        ]
    );
}

fn a_leak_past_the_ledger_is_seen_by_the_heap() {
    let list = one(CLEAN, "[2, 4]");
    let (_, clean) = gate(&list, &registry::find);
    let baseline: Vec<(usize, MemoryRow)> = (2..).zip(clean.clone()).collect();
    assert_eq!(against(&clean, &baseline, "memory.csv").broken, Vec::<String>::new());
    let (_, leaking) = gate(&list, &|_| Some(&LEAKING_PAST_THE_LEDGER));
    let broken = against(&leaking, &baseline, "memory.csv").broken;
    assert_eq!(broken.len(), 2, "{broken:?}");
    let start = "sltt holds the bytes of the baseline: tiny-conv, T 2, 1 thread: heap: expected ";
    assert!(broken[0].starts_with(start) && broken[0].ends_with("(memory.csv line 2)"), "{broken:?}");
}

fn a_law_that_is_not_the_methods_is_broken() {
    let find = registry::find;
    for (from, to, complaint) in [
        (
            "\"planned-bytes-per-step\"",
            "\"no-byte-per-step\"",
            "stbp holds no byte per extra step: conv, T 2 to 4",
        ),
        (
            "\"spatial-rev\"",
            "\"stbp\"",
            "stbp holds no byte per extra block: rev, T 2, 1 to 3 blocks a stage",
        ),
        (
            "\"one-bit-per-state-and-step\"",
            "\"no-byte-per-step\"",
            "temporal-rev holds no byte per extra step",
        ),
        (
            "grid = { bits = 20, range = 4 }",
            "",
            "temporal-rev holds one bit a state per extra step: exact, T 3 to 4",
        ),
        ("\"ottt-a\"", "\"spatial-rev\"", "spatial-rev can't be measured: conv, T 2: "),
    ] {
        let wrong = SMALL.replacen(from, to, 1);
        assert_ne!(wrong, SMALL, "{from}");
        let (broken, _) = gate(&wrong, &find);
        assert!(broken.iter().any(|line| line.starts_with(complaint)), "{complaint}: {broken:?}");
    }
}

/// The heap of several threads is not in a row; all else is the same bytes, whatever was measured before.
fn rows_are_equal_on_every_run_and_categories_on_1_and_2_threads() {
    let (broken, once) = gate(SMALL, &registry::find);
    assert_eq!(broken, Vec::<String>::new());
    assert_eq!(gate(SMALL, &registry::find).1, once);
    let (ones, twos): (Vec<&MemoryRow>, Vec<&MemoryRow>) = once.iter().partition(|row| row.threads == 1);
    assert!(!ones.is_empty() && ones.len() == twos.len());
    for (one, two) in ones.into_iter().zip(twos) {
        assert!(one.heap_bytes.is_some_and(|bytes| bytes > 0) && two.heap_bytes.is_none(), "{one:?}");
        assert_eq!(one.categories(), two.categories(), "{one:?}");
    }
}

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let tests: &[Test] = &[
        (
            "a_method_that_keeps_a_tensor_a_step_breaks_its_law",
            a_method_that_keeps_a_tensor_a_step_breaks_its_law,
        ),
        ("a_leak_past_the_ledger_is_seen_by_the_heap", a_leak_past_the_ledger_is_seen_by_the_heap),
        ("a_law_that_is_not_the_methods_is_broken", a_law_that_is_not_the_methods_is_broken),
        (
            "rows_are_equal_on_every_run_and_categories_on_1_and_2_threads",
            rows_are_equal_on_every_run_and_categories_on_1_and_2_threads,
        ),
    ];
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = tests
        .iter()
        .map(|&(name, test)| {
            libtest_mimic::Trial::test(name, move || {
                test();
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
