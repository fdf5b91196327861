//! Temporal reversal gives the gradient of stored activations: to the bit on a grid, nearly without one.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::drive;
use engine::ledger::Category;
use engine::method::{Batch, Outcome, RunSpec, Setting, Settings, Trainer};
use engine::model::{Levels, ModelSpec, Network, Wiring};
use engine::param::{ParamId, Params};
use engine::pass::{Mode, NormUpdates, Pass, Session};
use engine::region::{Carried, Grid, KeptStates, Past, Stem};
use engine::site::Site;
use engine::tape::Tape;
use engine::unroll::{Statistics, Through, TimeGradient, Unroll};
use engine::value::Value;
use keys::Key;
use tests::{Gradients, batch, gradients, per_step, relative_difference, spec, trainer};

/// The recipe of levels: 24 bits, of which 4 before the point.
const GRID: Option<Grid> = Some(Grid { bits: 20, range: 4 });
/// For factors that let states grow.
const WIDE: Option<Grid> = Some(Grid { bits: 16, range: 8 });

fn levels(steps: usize, grid: Option<Grid>) -> ModelSpec {
    ModelSpec { steps, grid, ..spec() }
}

/// Sets every shortcut's factors: `alpha` in one channel, `-alpha` in the next.
fn assign_alpha(params: &Params, alpha: f64) {
    for param in params.iter().filter(|param| param.name().ends_with(".alpha")) {
        let signed = (0..param.value().len()).map(|c| if c % 2 == 0 { alpha } else { -alpha });
        let tensor = Tensor::from_vec(signed.collect::<Vec<_>>(), param.shape(), &Device::Cpu).unwrap();
        params.assign(param.name(), &tensor).unwrap();
    }
}

/// Frames `[T, B, C, H, W]`, all different.
fn frames(session: &Session, spec: &ModelSpec, size: usize) -> Batch {
    let [c, h, w] = spec.image;
    let mut stream = Key::new(12).stream();
    let numbers = (0..spec.steps * size * c * h * w).map(|_| stream.normal() as f32).collect();
    Batch {
        images: session.input(&[spec.steps, size, c, h, w], numbers).unwrap(),
        labels: (0..size).map(|index| (index % spec.classes) as u32).collect::<Vec<_>>().into(),
    }
}

fn with_states(states: &str, spec: &ModelSpec) -> Box<dyn Trainer> {
    let settings = Settings::new([("states".to_string(), Setting::Text(states.to_string()))]);
    let method = (registry::find("temporal-rev").unwrap().build)(&settings).unwrap();
    let run = RunSpec::new(spec.steps, per_step(), Key::new(7).fork("run"));
    method.trainer(network(spec), run).unwrap()
}

/// The network that [`tests::trainer`] builds.
fn network(spec: &ModelSpec) -> Network {
    let session = Rc::new(Session::new(Device::Cpu, DType::F32));
    models::find("tiny-trev").unwrap().network(spec, Params::new(session, Key::new(7).fork("init"))).unwrap()
}

/// One step's outcome and gradients, and an evaluation after it, which sees the running statistics.
fn ran(
    mut trainer: Box<dyn Trainer>,
    alpha: f64,
    make: impl Fn(&Session) -> Batch,
) -> (Outcome, Gradients, Outcome) {
    assign_alpha(&trainer.network().params, alpha);
    let batch = make(trainer.session());
    let (outcome, gradients) = gradients(&mut *trainer, &batch).unwrap();
    let evaluated = trainer.evaluate(&batch).unwrap();
    (outcome, gradients, evaluated)
}

fn still(spec: &ModelSpec) -> impl Fn(&Session) -> Batch + '_ {
    |session| batch(session, spec, 5).unwrap()
}

fn of(method: &str, spec: &ModelSpec) -> Box<dyn Trainer> {
    trainer(method, "tiny-trev", spec, DType::F32, per_step()).unwrap()
}

fn assert_bit_equal(spec: &ModelSpec, alpha: f64) {
    let (rebuilt, stored) =
        (ran(of("temporal-rev", spec), alpha, still(spec)), ran(of("stbp", spec), alpha, still(spec)));
    assert_eq!(rebuilt, stored, "T = {}, |alpha| = {alpha}", spec.steps);
    let silent = stored.1.iter().filter(|(_, gradient)| gradient.iter().all(|x| *x == 0.0));
    let expected = |name: &String| name.starts_with("step0.") && name.ends_with(".alpha");
    assert!(silent.clone().all(|(name, _)| expected(name)), "no gradient reaches {silent:?}");
}

#[test]
fn reversal_on_the_grid_is_bit_equal_at_any_number_of_steps() {
    for steps in [1, 2, 4, 8, 16] {
        assert_bit_equal(&levels(steps, GRID), 0.5);
    }
}

#[test]
fn reversal_on_the_grid_is_bit_equal_for_any_factor() {
    for alpha in [1.0 / 64.0, 3.0 / 64.0, 0.1, 0.25, 0.5] {
        assert_bit_equal(&levels(8, GRID), alpha);
        assert_bit_equal(&levels(8, GRID), -alpha);
    }
    for alpha in [1e-3, 0.75, 1.0, 1.25] {
        assert_bit_equal(&levels(4, WIDE), alpha);
        assert_bit_equal(&levels(4, WIDE), -alpha);
    }
}

#[test]
fn reversal_of_frames_is_bit_equal() {
    for grid in [GRID, WIDE] {
        let spec = levels(4, grid);
        let make = |session: &Session| frames(session, &spec, 5);
        let (rebuilt, stored) =
            (ran(of("temporal-rev", &spec), 0.5, make), ran(of("stbp", &spec), 0.5, make));
        assert_eq!(rebuilt, stored);
        assert_ne!(stored.1, ran(of("stbp", &spec), 0.5, still(&spec)).1, "the frames were not seen");
    }
}

#[test]
fn states_kept_per_step_are_bit_equal_with_and_without_a_grid() {
    for (grid, alpha) in [(GRID, 0.3), (None, 0.3), (None, 1e-3)] {
        let spec = levels(6, grid);
        for moving in [false, true] {
            let make = |session: &Session| match moving {
                true => frames(session, &spec, 5),
                false => batch(session, &spec, 5).unwrap(),
            };
            let (kept, stored) =
                (ran(with_states("per-step", &spec), alpha, make), ran(of("stbp", &spec), alpha, make));
            assert_eq!(kept, stored, "{grid:?}, moving: {moving}");
        }
    }
}

#[test]
fn unknown_settings_are_refused() {
    let build = |key: &str, value| {
        let settings = Settings::new([(key.to_string(), value)]);
        (registry::find("temporal-rev").unwrap().build)(&settings).err().map(|error| error.to_string())
    };
    assert_eq!(build("states", Setting::Text("last".into())), None);
    let error = build("states", Setting::Text("all".into())).unwrap();
    assert!(error.contains("method.states") && error.contains("\"all\""), "{error}");
    assert!(build("states", Setting::Integer(3)).is_some());
    assert!(build("kept", Setting::Text("last".into())).unwrap().contains("states"));
}

#[test]
fn a_state_that_leaves_the_grid_is_an_error_that_names_the_level() {
    for method in ["stbp", "temporal-rev", "sltt"] {
        let spec = levels(4, Some(Grid { bits: 20, range: -6 }));
        let mut trainer = of(method, &spec);
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
        assert!(error.contains("level0.carry") && error.contains("0.015625"), "{method}: {error}");
    }
    // States that grow by 1.5 a step leave any range.
    let spec = levels(16, GRID);
    let mut trainer = of("temporal-rev", &spec);
    assign_alpha(&trainer.network().params, 1.5);
    let batch = batch(trainer.session(), &spec, 5).unwrap();
    let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
    assert!(error.contains(".carry: the reversible stream reached") && error.contains("< 16"), "{error}");
}

/// `(part, step, whether norms move their statistics)` of every call.
type Calls = RefCell<Vec<(String, Option<usize>, bool)>>;

/// Levels that note each call.
struct Noted {
    inner: Rc<dyn Levels>,
    calls: Rc<Calls>,
}

impl Noted {
    fn note(&self, part: String, pass: &Pass<'_>) {
        self.calls.borrow_mut().push((part, pass.step(), pass.norm_updates() == NormUpdates::Move));
    }
}

impl Levels for Noted {
    fn stem(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> engine::Result<Value> {
        self.note("stem".into(), pass);
        self.inner.stem(pass, port, x)
    }

    fn sites(&self) -> &[Site] {
        self.inner.sites()
    }

    fn level(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        level: usize,
        below: &Value,
        deeper: &[Value],
    ) -> engine::Result<Value> {
        self.note(format!("level{level}"), pass);
        self.inner.level(pass, port, level, below, deeper)
    }

    fn skip(&self, level: usize, step: usize) -> ParamId {
        self.inner.skip(level, step)
    }

    fn grid(&self) -> Option<Grid> {
        self.inner.grid()
    }

    fn head(&self, pass: &Pass<'_>, port: &mut dyn Unroll, top: &Value) -> engine::Result<Value> {
        self.note("head".into(), pass);
        self.inner.head(pass, port, top)
    }
}

#[test]
fn every_part_is_rebuilt_once_a_step_and_moves_its_statistics_once() {
    for moving in [false, true] {
        let spec = levels(3, GRID);
        let calls = Rc::new(Calls::default());
        let mut network = network(&spec);
        let Wiring::Levels(inner) = network.wiring.clone() else { unreachable!() };
        network.wiring = Wiring::Levels(Rc::new(Noted { inner, calls: Rc::clone(&calls) }));
        let run = RunSpec::new(3, per_step(), Key::new(7));
        let method = (registry::find("temporal-rev").unwrap().build)(&Settings::default()).unwrap();
        let mut trainer = method.trainer(network, run).unwrap();
        let batch = if moving {
            frames(trainer.session(), &spec, 5)
        } else {
            batch(trainer.session(), &spec, 5).unwrap()
        };
        trainer.step(&batch, &mut tests::Hold).unwrap();
        let mut found = calls.take();
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for step in 0..3 {
            forward
                .extend(["stem", "level0", "level1", "level2", "head"].map(|part| (part, Some(step), true)));
        }
        for step in (0..3).rev() {
            backward
                .extend(["head", "level2", "level1", "stem", "level0"].map(|part| (part, Some(step), false)));
        }
        if !moving {
            // The stem of a still image runs once, for all steps, and is not rebuilt.
            assert_eq!(found.remove(0), ("stem".to_string(), None, true));
            forward.retain(|call| call.0 != "stem");
            backward.retain(|call| call.0 != "stem");
        }
        let expected: Vec<_> = forward
            .into_iter()
            .chain(backward)
            .map(|(part, step, moves)| (part.to_string(), step, moves))
            .collect();
        assert_eq!(found, expected, "moving: {moving}");
    }
}

/// What came back of the states of all steps.
#[derive(Debug, Default)]
struct Return {
    states: usize,
    /// Spikes of the states (threshold 1/2) that came back otherwise.
    flips: usize,
    /// States whose bits came back otherwise.
    changed: usize,
    largest_error: f32,
}

/// Bits an element and step that a network's levels write at every factor, streams' places and lengths included. `cargo
/// test -p tests --test parity cost_of_every_factor -- --nocapture` prints the table.
#[test]
fn the_cost_of_every_factor_on_a_networks_states_is_under_the_bound() {
    println!("|n| bits an element and step, -log2|alpha| + 0.5");
    for n in 1..=96 {
        let alpha = f64::from(n) / 64.0;
        let spec =
            ModelSpec { image: [2, 16, 16], width: 1.0, ..levels(4, if n <= 48 { GRID } else { WIDE }) };
        let network = network(&spec);
        assign_alpha(&network.params, alpha);
        let session = Rc::clone(network.params.session());
        let Wiring::Levels(levels) = &network.wiring else { unreachable!() };
        let (mut statistics, off) = (Statistics::default(), Tape::off());
        let mut port = Through::new(&mut statistics, TimeGradient::Cut);
        let pass = Pass::new(&session, &network.params, &off, Mode::Train, spec.steps, Key::new(0));
        let images = batch(&session, &spec, 16).unwrap().images;
        let stem = Stem::new(&pass, &mut port, &**levels, &images).unwrap();
        let mut past = Past::new(KeptStates::Last, &**levels, spec.steps);
        let held = || session.ledger().held()[Category::State as usize];
        let mut one_step = 0;
        for step in 0..spec.steps {
            let at = pass.at(step);
            let feature = stem.at(&at, &mut port).unwrap();
            drive::level_step_leaving(&at, &mut port, &**levels, &feature, &mut past).unwrap();
            if step == 0 {
                one_step = held();
            }
        }
        let elements = one_step / 4 * (spec.steps - 1);
        let bits = 8.0 * (held() - one_step) as f64 / elements as f64;
        let bound = (-alpha.log2()).max(0.0) + 0.5;
        println!("{n:3} {bits:.4} {bound:.4}");
        assert!(bits <= bound, "n = {n}: {bits} bits");
        assert!(n < 64 || bits == 0.0, "n = {n}: {bits} bits");
        assert!(n >= 64 || bits > 0.0, "n = {n}: nothing was written");
    }
}

/// Walks forward and back and compares every state.
fn walk(spec: &ModelSpec, alpha: f64) -> Return {
    let network = network(spec);
    assign_alpha(&network.params, alpha);
    let session = Rc::clone(network.params.session());
    let Wiring::Levels(levels) = &network.wiring else { unreachable!() };
    let levels: &dyn Levels = &**levels;
    let (mut statistics, off) = (Statistics::default(), Tape::off());
    let mut port = Through::new(&mut statistics, TimeGradient::Cut);
    let pass = Pass::new(&session, &network.params, &off, Mode::Train, spec.steps, Key::new(0));
    let images = batch(&session, spec, 5).unwrap().images;
    let stem = Stem::new(&pass, &mut port, levels, &images).unwrap();
    let mut past = Past::new(KeptStates::Last, levels, spec.steps);
    let numbers =
        |value: &Value| -> Vec<f32> { value.tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap() };
    let mut stored: Vec<Vec<Vec<f32>>> = Vec::new();
    for step in 0..spec.steps {
        let at = pass.at(step);
        let feature = stem.at(&at, &mut port).unwrap();
        drive::level_step_leaving(&at, &mut port, levels, &feature, &mut past).unwrap();
        let states = levels.sites().iter().map(|site| port.carry(&at, site).unwrap().unwrap());
        stored.push(states.map(|state| numbers(&state)).collect());
    }
    let last = levels.sites().iter().map(|site| port.take_carried(site).unwrap()).collect();
    let mut carried = Carried::last(&pass, levels, stem, past, last).unwrap();
    let mut found = Return::default();
    for step in (1..spec.steps).rev() {
        carried.step_back(&pass.at(step), &mut port).unwrap();
        for (back, stored) in carried.states().iter().zip(&stored[step - 1]) {
            for (a, b) in numbers(back).iter().zip(stored) {
                found.states += 1;
                found.flips += usize::from((*a >= 0.5) != (*b >= 0.5));
                found.changed += usize::from(a.to_bits() != b.to_bits());
                found.largest_error = found.largest_error.max((a - b).abs());
            }
        }
    }
    found
}

/// The largest relative difference of a gradient from that of stored activations, and how many tensors are off by more
/// than 1e-4.
fn gradient_error(spec: &ModelSpec, alpha: f64) -> (f64, usize) {
    let (rebuilt, stored) =
        (ran(of("temporal-rev", spec), alpha, still(spec)), ran(of("stbp", spec), alpha, still(spec)));
    let off: Vec<f64> =
        rebuilt.1.iter().zip(&stored.1).map(|(a, b)| relative_difference(&a.1, &b.1)).collect();
    (off.iter().copied().fold(0.0, f64::max), off.iter().filter(|off| **off > 1e-4).count())
}

/// `cargo test -p tests --test parity states_come_back -- --nocapture` prints the table.
#[test]
fn states_come_back_to_the_bit_on_the_grid_and_not_without() {
    println!(
        "grid |alpha| T: states, changed, flips, largest error; gradients: largest difference, tensors off > 1e-4"
    );
    for alpha in [1.25, 1.0, 0.75, 0.5, 0.25, 0.1, 1.0 / 64.0, 1e-3] {
        for steps in [2, 4, 8, 16] {
            for grid in [if alpha < 0.6 { GRID } else { WIDE }, None] {
                if alpha > 1.0 && steps > 8 {
                    // States grow past 2^8.
                    continue;
                }
                let spec = ModelSpec { image: [2, 16, 16], width: 1.0, ..levels(steps, grid) };
                let (found, (difference, off)) = (walk(&spec, alpha), gradient_error(&spec, alpha));
                println!(
                    "{:5} {alpha:.4} {steps:2}: {:6} {:6} {:5} {:.1e}; {difference:.1e} {off}",
                    grid.map_or("plain".into(), |grid| format!("2^-{}", grid.bits)),
                    found.states,
                    found.changed,
                    found.flips,
                    found.largest_error,
                );
                match grid {
                    Some(_) => {
                        assert_eq!((found.changed, found.flips), (0, 0), "|alpha| = {alpha}, T = {steps}");
                        assert_eq!((difference, off), (0.0, 0), "|alpha| = {alpha}, T = {steps}");
                    }
                    // Dividing by a power of two loses nothing, but what the sum rounded away is lost.
                    None if alpha <= 0.1 => {
                        assert!(found.largest_error > 0.0 && difference > 0.0, "plain is exact: {found:?}");
                    }
                    None => {}
                }
                let far_back = alpha <= 0.25 && steps == 16;
                if grid.is_none() && (alpha <= 1e-3 && steps >= 4 || far_back) {
                    assert!(found.flips > 0 && off > 0, "no spike flips at {alpha}, T = {steps}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn plain_reversal_is_exact_to_rounding_in_f64() {
    for steps in [1, 2, 4, 8] {
        let spec = ModelSpec { steps, grid: None, ..spec() };
        let run = |method: &str| {
            let mut trainer = trainer(method, "tiny-trev", &spec, DType::F64, per_step()).unwrap();
            let batch = batch(trainer.session(), &spec, 5).unwrap();
            gradients(&mut *trainer, &batch).unwrap()
        };
        let (rebuilt, stored) = (run("temporal-rev"), run("stbp"));
        assert!((rebuilt.0.loss - stored.0.loss).abs() < 1e-9);
        for ((name, a), (_, b)) in rebuilt.1.iter().zip(&stored.1) {
            let off = relative_difference(a, b);
            assert!(off <= 1e-9, "T = {steps}, {name}: {off:e}");
        }
    }
}

#[test]
fn a_plain_shortcut_of_zero_is_kept_away_from_zero() {
    let spec = ModelSpec { grid: None, ..spec() };
    let run = |method: &str| {
        let mut trainer = trainer(method, "tiny-trev", &spec, DType::F64, per_step()).unwrap();
        let name = "step2.level1.alpha";
        let zeros =
            trainer.network().params.find(name).unwrap().value().tensor().unwrap().zeros_like().unwrap();
        trainer.network().params.assign(name, &zeros).unwrap();
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap()
    };
    let (rebuilt, stored) = (run("temporal-rev"), run("stbp"));
    for ((name, a), (_, b)) in rebuilt.1.iter().zip(&stored.1) {
        assert!(a.iter().all(|x| x.is_finite()), "{name}");
        let off = relative_difference(a, b);
        // The inversion multiplies rounding by 1000 there.
        assert!(off <= 1e-6, "{name}: {off:e}");
    }
}
