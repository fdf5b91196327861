//! The memory laws, measured by the counting heap in the running binary.
//!
//! What a training step holds above what lives between steps (parameters, gradients, optimiser, batch), after a
//! warm-up that fills the kernels' scratch. The heap sees every allocation of the process, so the laws are checked one
//! at a time on the main thread, with no test runner beside them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::LazyLock;

use candle_core::{DType, Device};
use engine::method::{Batch, RunSpec, Setting, Settings};
use engine::model::ModelSpec;
use engine::norm::NormOver;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::Session;
use engine::region::Grid;
use kernels::{heap, held};
use keys::Key;
use tests::{Hold, batch, per_step, spec, trainer};

#[global_allocator]
static HEAP: heap::CountingHeap = heap::CountingHeap;

/// Pools of 1 and 2 threads, kept: a pool's threads give their scratch back at some later time when it is dropped.
/// All of them have started, so that none allocates beside a measurement.
static POOLS: LazyLock<[rayon::ThreadPool; 2]> = LazyLock::new(|| {
    [1, 2].map(|threads| {
        let pool = kernels::threads::pool(threads, 16 << 20).unwrap();
        pool.broadcast(|_| ());
        pool
    })
});

/// Images of a batch.
const BATCH: usize = 8;

/// The most that a matrix product packs on one thread: workspace, freed when the product ends.
const PANELS: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    /// Peak of the heap during a step, above what lived before it.
    heap: usize,
    /// The same of the ledger's law categories.
    ledger: usize,
}

fn measure(method: &str, model: &str, spec: &ModelSpec, threads: usize) -> Measured {
    measure_in(DType::F32, method, model, spec, threads)
}

fn measure_in(dtype: DType, method: &str, model: &str, spec: &ModelSpec, threads: usize) -> Measured {
    POOLS[threads - 1].install(|| {
        let mut trainer = trainer(method, model, spec, dtype, per_step()).unwrap();
        let batch = batch(trainer.session(), spec, BATCH).unwrap();
        let sgd = OptimSpec::sgd(0.9, 0.0);
        let mut optimizer = sgd.build(&trainer.network().params).unwrap();
        optimizer.set_learning_rate(0.01);
        for _ in 0..3 {
            trainer.step(&batch, &mut *optimizer).unwrap();
        }
        let ledger = Rc::clone(trainer.session().ledger());
        ledger.restart();
        heap::reset_peak();
        let before = heap::live_bytes();
        trainer.step(&batch, &mut *optimizer).unwrap();
        Measured { heap: heap::peak_bytes() - before, ledger: ledger.peak_in_laws() }
    })
}

/// A step as the heap and the ledger saw it, and as a plan foretells its law categories: bytes above what lives
/// between steps.
#[derive(Clone, Copy, Debug)]
struct Seen {
    heap: usize,
    ledger: usize,
    planned: usize,
    /// Most that halves took as `f32` at once, which the heap sees and the ledger does not book.
    widened: usize,
}

impl Seen {
    /// What the heap holds and the ledger does not, as a fraction of the heap.
    fn unattributed(&self) -> f64 {
        (self.heap as f64 - self.ledger as f64) / self.heap as f64
    }
}

/// The second step of a method on a model, on one thread, with AdamW. `None` where the method can't train it.
fn see(dtype: DType, method: &str, model: &str, spec: &ModelSpec, size: usize) -> Option<Seen> {
    let step = |session: Session| -> Option<(usize, usize, usize)> {
        let method = (registry::find(method).unwrap().build)(&Settings::default()).unwrap();
        let spec = ModelSpec { steps: method.steps(spec.steps), ..spec.clone() };
        let params = Params::new(Rc::new(session), Key::new(7).fork("init"));
        let network = models::find(model).unwrap().network(&spec, params).ok()?;
        let run = RunSpec::new(spec.steps, per_step(), Key::new(7));
        method.supports(&network, &run).ok()?;
        let mut trainer = method.trainer(network, run).unwrap();
        let mut optimizer = OptimSpec::adam_w(0.0).build(&trainer.network().params).unwrap();
        optimizer.set_learning_rate(1e-4);
        let batch = batch(trainer.session(), &spec, size).unwrap();
        trainer.step(&batch, &mut *optimizer).unwrap();
        let ledger = Rc::clone(trainer.session().ledger());
        ledger.restart();
        let between: usize = ledger.peak_of_all().total;
        heap::reset_peak();
        held::reset_widened_peak();
        let before = heap::live_bytes();
        trainer.step(&batch, &mut *optimizer).unwrap();
        let heap = heap::peak_bytes() - before;
        Some((heap, ledger.peak_of_all().total - between, ledger.peak_in_laws()))
    };
    POOLS[0].install(|| {
        let (heap, ledger, _) = step(Session::new(Device::Cpu, dtype))?;
        let widened = held::widened_peak();
        let (_, _, planned) = step(Session::plan(dtype))?;
        Some(Seen { heap, ledger, planned, widened })
    })
}

/// [`measure`] of temporal reversal with parameters that stand still, on one thread: a still image or frames; and what
/// its plan says of the law categories.
fn measure_levels(states: &str, spec: &ModelSpec, moving: bool) -> (Measured, usize) {
    let settings = Settings::new([("states".to_string(), Setting::Text(states.to_string()))]);
    let step = |session: Session| {
        let method = (registry::find("temporal-rev").unwrap().build)(&settings).unwrap();
        let params = Params::new(Rc::new(session), Key::new(7).fork("init"));
        let network = models::find("tiny-trev").unwrap().network(spec, params).unwrap();
        let run = RunSpec::new(spec.steps, per_step(), Key::new(7));
        let mut trainer = method.trainer(network, run).unwrap();
        let batch = if moving {
            let [c, h, w] = spec.image;
            let shape = [spec.steps, BATCH, c, h, w];
            let numbers = (0..shape.iter().product::<usize>()).map(|i| (i % 7) as f32 - 3.0).collect();
            let images = trainer.session().input(&shape, numbers).unwrap();
            Batch { images, labels: vec![0; BATCH].into() }
        } else {
            batch(trainer.session(), spec, BATCH).unwrap()
        };
        for _ in 0..2 {
            trainer.step(&batch, &mut Hold).unwrap();
        }
        let ledger = Rc::clone(trainer.session().ledger());
        ledger.restart();
        heap::reset_peak();
        let before = heap::live_bytes();
        trainer.step(&batch, &mut Hold).unwrap();
        Measured { heap: heap::peak_bytes() - before, ledger: ledger.peak_in_laws() }
    };
    POOLS[0].install(|| (step(Session::new(Device::Cpu, DType::F32)), step(Session::plan(DType::F32)).ledger))
}

/// A law and its name.
type Law = (&'static str, fn());

fn main() -> ExitCode {
    let laws: &[Law] = &[
        ("the_heap_is_counted", the_heap_is_counted),
        ("sltt_holds_no_byte_per_extra_step", sltt_holds_no_byte_per_extra_step),
        ("ottt_holds_no_byte_per_extra_step", ottt_holds_no_byte_per_extra_step),
        ("temporal_reversal_holds_no_byte_per_extra_step", temporal_reversal_holds_no_byte_per_extra_step),
        (
            "exact_temporal_reversal_holds_one_bit_a_state_per_extra_step",
            exact_temporal_reversal_holds_one_bit_a_state_per_extra_step,
        ),
        (
            "states_kept_per_step_cost_themselves_per_extra_step",
            states_kept_per_step_cost_themselves_per_extra_step,
        ),
        ("spatial_reversal_holds_no_byte_per_extra_block", spatial_reversal_holds_no_byte_per_extra_block),
        ("stbp_grows_linearly_with_steps", stbp_grows_linearly_with_steps),
        ("the_laws_do_not_depend_on_threads", the_laws_do_not_depend_on_threads),
        (
            "the_ledger_adds_up_to_the_heap_and_a_plan_foretells_it",
            the_ledger_adds_up_to_the_heap_and_a_plan_foretells_it,
        ),
        ("measuring_again_gives_the_same_bytes", measuring_again_gives_the_same_bytes),
        ("the_laws_hold_of_halves", the_laws_hold_of_halves),
        (
            "halves_take_what_the_ledger_books_and_what_is_widened",
            halves_take_what_the_ledger_books_and_what_is_widened,
        ),
    ];
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = laws
        .iter()
        .map(|&(name, law)| {
            libtest_mimic::Trial::test(name, move || {
                law();
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn at_steps(method: &str, model: &str, steps: [usize; 3]) -> [Measured; 3] {
    steps.map(|steps| measure(method, model, &ModelSpec { steps, ..spec() }, 1))
}

fn flat(method: &str, model: &str) {
    let found = at_steps(method, model, [2, 4, 8]);
    assert!(found[0].heap > 0 && found[0].ledger > 0, "{method} on {model} held nothing: {found:?}");
    assert_eq!(found[0], found[1], "{method} on {model} grew from T = 2 to T = 4");
    assert_eq!(found[1], found[2], "{method} on {model} grew from T = 4 to T = 8");
}

fn the_heap_is_counted() {
    assert!(heap::is_counting());
    let before = heap::live_bytes();
    let held = vec![0_u8; 1 << 20];
    assert!(heap::live_bytes() >= before + held.len());
}

fn sltt_holds_no_byte_per_extra_step() {
    flat("sltt", "tiny-conv");
    flat("sltt", "tiny-rev");
    flat("sltt", "tiny-trev");
}

fn ottt_holds_no_byte_per_extra_step() {
    flat("ottt-a", "tiny-conv");
    flat("ottt-a", "tiny-rev");
    flat("ottt-o", "tiny-conv");
}

/// Without a grid. Nothing of a stem of frames is kept either.
fn temporal_reversal_holds_no_byte_per_extra_step() {
    let plain = ModelSpec { grid: None, ..spec() };
    let still = [2, 4, 8]
        .map(|steps| measure("temporal-rev", "tiny-trev", &ModelSpec { steps, ..plain.clone() }, 1).ledger);
    assert!(still[0] > 0 && still[0] == still[1] && still[1] == still[2], "{still:?}");
    for moving in [false, true] {
        let found =
            [2, 4, 8].map(|steps| measure_levels("last", &ModelSpec { steps, ..plain.clone() }, moving));
        for (measured, planned) in found {
            assert_eq!(measured.ledger, planned, "moving: {moving}");
            assert_eq!(measured.ledger, found[0].0.ledger, "moving: {moving}: {found:?}");
            // The stack of what is noted a step: a few words a level, held in a vector of its own.
            assert!(measured.heap.abs_diff(found[0].0.heap) <= NOTES * 6, "moving: {moving}: {found:?}");
        }
    }
}

/// What the heap holds a step beside the streams: places and lengths of the notes of three levels, and their parts.
const NOTES: usize = 3 * 128;

/// Bytes of the states of all three levels at one step, `[B, C, H, W]` in f32.
fn state_bytes(spec: &ModelSpec) -> [usize; 3] {
    let [_, h, w] = spec.image;
    let widths = [16, 32, 32].map(|published| spec.channels(published));
    let pixels = [h * w / 4, h * w / 16, h * w / 16];
    [0, 1, 2].map(|level| 4 * BATCH * widths[level] * pixels[level])
}

fn exact_temporal_reversal_holds_one_bit_a_state_per_extra_step() {
    // The first needs one stream a level, the second several.
    for (image, width) in [([2, 8, 8], 0.25), ([2, 32, 32], 1.0)] {
        let spec = ModelSpec { image, width, grid: Some(Grid { bits: 20, range: 4 }), ..spec() };
        // One bit of 32, and a place and a length for each 16384 elements.
        let remainders = |bytes: usize| bytes / 32 + 16 * (bytes / 4).div_ceil(1 << 14);
        let slope: usize = state_bytes(&spec).into_iter().map(remainders).sum();
        for moving in [false, true] {
            let found =
                [3, 4, 8].map(|steps| measure_levels("last", &ModelSpec { steps, ..spec.clone() }, moving));
            for ((measured, planned), steps) in found.into_iter().zip([0, 1, 5]) {
                assert_eq!(measured.ledger, planned, "moving: {moving}");
                assert_eq!(measured.ledger - found[0].0.ledger, steps * slope, "moving: {moving}: {found:?}");
                let heap = measured.heap - found[0].0.heap;
                assert!(
                    heap.abs_diff(steps * slope) <= steps * NOTES,
                    "moving: {moving}: the heap grew by {heap}, the ledger by {}",
                    steps * slope
                );
            }
        }
    }
}

fn states_kept_per_step_cost_themselves_per_extra_step() {
    for grid in [None, Some(Grid { bits: 20, range: 4 })] {
        let spec = ModelSpec { grid, ..spec() };
        let slope: usize = state_bytes(&spec).into_iter().sum();
        let found =
            [3, 4, 8].map(|steps| measure_levels("per-step", &ModelSpec { steps, ..spec.clone() }, false));
        for ((measured, planned), steps) in found.into_iter().zip([0, 1, 5]) {
            assert_eq!(measured.ledger, planned);
            assert_eq!(measured.ledger - found[0].0.ledger, steps * slope, "{found:?}");
        }
    }
}

fn spatial_reversal_holds_no_byte_per_extra_block() {
    let found = [1, 2, 5]
        .map(|depth| measure("spatial-rev", "tiny-rev", &ModelSpec { depth: Some(depth), ..spec() }, 1));
    assert_eq!(found[0], found[1], "from 1 to 2 blocks a stage");
    assert_eq!(found[1], found[2], "from 2 to 5 blocks a stage");
    let stored =
        [1, 2, 5].map(|depth| measure("stbp", "tiny-rev", &ModelSpec { depth: Some(depth), ..spec() }, 1));
    assert!(stored[1].ledger > stored[0].ledger && stored[2].ledger > stored[1].ledger, "{stored:?}");
    assert!(found[2].heap < stored[2].heap, "rebuilding saved nothing: {found:?} against {stored:?}");
}

fn stbp_grows_linearly_with_steps() {
    for model in ["tiny-conv", "tiny-rev", "tiny-trev"] {
        // Large enough that what the heap holds beside tensors is small.
        let mut spec = ModelSpec { image: [2, 16, 16], width: 1.0, ..spec() };
        if model == "tiny-trev" {
            // The measured updates are too large for its shortcuts: states grow past any grid.
            spec.grid = None;
        }
        let found = [4, 8, 12].map(|steps| measure("stbp", model, &ModelSpec { steps, ..spec.clone() }, 1));
        let slopes = [found[1].ledger - found[0].ledger, found[2].ledger - found[1].ledger];
        assert!(slopes[0] > 0, "{model}: {found:?}");
        assert_eq!(slopes[0], slopes[1], "{model} is not linear in T: {found:?}");
        // Beside tensors the heap holds nodes, shapes, and while a matrix product runs its packed panels.
        for found in found {
            assert!(found.heap >= found.ledger, "{model}: the ledger counts what is not there: {found:?}");
            let allowed = PANELS + found.ledger / 10;
            assert!(
                found.heap - found.ledger < allowed,
                "{model}: the heap holds what the ledger misses: {found:?}"
            );
        }
    }
}

fn the_laws_do_not_depend_on_threads() {
    for (method, model) in [
        ("stbp", "tiny-conv"),
        ("ottt-a", "tiny-conv"),
        ("spatial-rev", "tiny-rev"),
        ("temporal-rev", "tiny-trev"),
    ] {
        let [one, two] = [1, 2].map(|threads| measure(method, model, &spec(), threads).ledger);
        assert_eq!(one, two, "{method} on {model}");
    }
}

fn measuring_again_gives_the_same_bytes() {
    assert_eq!(measure("stbp", "tiny-rev", &spec(), 1), measure("stbp", "tiny-rev", &spec(), 1));
}

/// Steps of several MiB, by name: each network with every method that trains it, at 32 x 32 pixels and T = 4.
static SEEN: LazyLock<Vec<(String, Seen)>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (model, width, size) in [
        ("preact-resnet18", 0.5, 8),
        ("vgg11-bn", 0.5, 16),
        ("rev-resnet21", 0.5, 4),
        // Hundreds of ops, whose entries on the tape weigh some 0.4 MiB in all, beside tensors of 50.
        ("trevsnn-tiny", 0.25, 640),
    ] {
        let spec = narrowed(model, width);
        for method in registry::all() {
            let seen = see(DType::F32, method.id, model, &spec, size);
            if let Some(seen) = seen.filter(|seen| seen.heap >= SEVERAL) {
                all.push((format!("{} on {model}", method.id), seen));
            }
        }
    }
    all
});

/// A published network at another width, on 32 x 32 pixels.
fn narrowed(model: &str, width: f64) -> ModelSpec {
    let published = (models::find(model).unwrap().published)();
    ModelSpec {
        image: [published.image[0], 32, 32],
        classes: 10,
        steps: 4,
        width: published.width * width,
        norm: NormOver::Step,
        grid: Some(Grid::default()),
        dropout: 0.0,
        ..published
    }
}

/// Refuses every step of which `holds` is false.
fn on_several_mebibytes(holds: impl Fn(&Seen) -> bool) {
    assert!(SEEN.len() > 20, "{:?}", *SEEN);
    let off: Vec<_> = SEEN.iter().filter(|(_, seen)| !holds(seen)).collect();
    assert!(off.is_empty(), "{off:#?}");
}

/// A step of at least so many bytes is large beside one product's panels.
const SEVERAL: usize = 8 << 20;

fn the_ledger_adds_up_to_the_heap_and_a_plan_foretells_it() {
    on_several_mebibytes(|seen| seen.heap >= seen.ledger && seen.unattributed() <= 0.01);
    on_several_mebibytes(|seen| seen.heap.abs_diff(seen.planned) <= seen.heap / 20);
}

/// What a session of halves books: the same laws, and less.
fn the_laws_hold_of_halves() {
    let booked = |method, model, spec: ModelSpec| measure_in(DType::BF16, method, model, &spec, 1).ledger;
    for (method, model) in [("sltt", "tiny-conv"), ("sltt", "tiny-rev"), ("ottt-a", "tiny-conv")] {
        let [two, four, eight] = [2, 4, 8].map(|steps| booked(method, model, ModelSpec { steps, ..spec() }));
        assert!(two > 0 && two == four && four == eight, "{method} on {model}: {two}, {four}, {eight}");
        let single = measure(method, model, &ModelSpec { steps: 2, ..spec() }, 1).ledger;
        assert!(two < single, "{method} on {model}: {two} beside {single} in single precision");
    }
    let plain = ModelSpec { grid: None, ..spec() };
    let [two, four, eight] =
        [2, 4, 8].map(|steps| booked("temporal-rev", "tiny-trev", ModelSpec { steps, ..plain.clone() }));
    assert!(two > 0 && two == four && four == eight, "temporal-rev: {two}, {four}, {eight}");
    let [one, two, five] =
        [1, 2, 5].map(|depth| booked("spatial-rev", "tiny-rev", ModelSpec { depth: Some(depth), ..spec() }));
    assert!(one > 0 && one == two && two == five, "spatial-rev: {one}, {two}, {five}");
    let [four, eight, twelve] =
        [4, 8, 12].map(|steps| booked("stbp", "tiny-conv", ModelSpec { steps, ..spec() }));
    assert_eq!(eight - four, twelve - eight, "stbp is not linear in T: {four}, {eight}, {twelve}");
}

/// The heap holds the ledger's bytes, and at most what was widened beside them.
fn halves_take_what_the_ledger_books_and_what_is_widened() {
    for (method, model, width, size) in [
        ("stbp", "preact-resnet18", 0.5, 8),
        ("sltt", "vgg11-bn", 0.5, 16),
        ("spatial-rev", "rev-resnet21", 0.5, 4),
        ("temporal-rev", "trevsnn-tiny", 0.25, 640),
    ] {
        let seen = see(DType::BF16, method, model, &narrowed(model, width), size).unwrap();
        let spare = seen.heap / 100;
        assert!(seen.widened > 0 && seen.heap >= seen.ledger, "{method} on {model}: {seen:?}");
        assert!(seen.heap <= seen.ledger + seen.widened + spare, "{method} on {model}: {seen:?}");
    }
}
