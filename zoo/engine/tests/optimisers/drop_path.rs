//! Stochastic depth: what is drawn, for what, and when.

use candle_core::{DType, Device, Tensor};
use engine::ledger::Category;
use engine::ops::{DropPer, drop_path};
use engine::param::ParamKind;
use engine::pass::{Mode, Pass};
use engine::unroll::{Statistics, Through, TimeGradient};
use engine::value::Value;
use keys::Key;

use crate::setup::{Setup, numbers};

const STEPS: usize = 6;
const BATCH: usize = 40;
const PLANE: usize = 3;
const RATE: f64 = 0.25;

struct Branch {
    setup: Setup,
}

impl Branch {
    fn new() -> Self {
        Self { setup: Setup::new(DType::F64, &[("idle", ParamKind::Weight, &[1])]) }
    }

    fn ones(&self, steps: usize) -> Value {
        let shape = [steps, BATCH, PLANE];
        let ones = Tensor::ones(&shape, DType::F64, &Device::Cpu).unwrap();
        self.setup.session.constant(Category::Passing, &shape, &ones).unwrap()
    }

    /// What is kept, and the gradient that comes back of ones, `[T * B]` each.
    fn run(
        &self,
        steps: usize,
        at: Option<usize>,
        key: u64,
        per: DropPer,
        mode: Mode,
    ) -> (Vec<f64>, Vec<f64>) {
        let session = &self.setup.session;
        let tape = session.tape();
        let mut pass = Pass::new(session, &self.setup.params, &tape, mode, STEPS, Key::new(key));
        if let Some(step) = at {
            pass = pass.at(step);
        }
        let leaf = tape.leaf(&self.ones(steps));
        let y = drop_path(&pass, "branch", &leaf, RATE, per).unwrap();
        let kept = numbers(y.tensor().unwrap());
        if mode == Mode::Eval {
            return (kept, Vec::new());
        }
        let seed = self.ones(y.steps());
        let mut statistics = Statistics::default();
        let mut port = Through::new(&mut statistics, TimeGradient::Kept);
        let gradient = tape.backward(&pass, &mut port, [(y, seed)]).unwrap().take(&leaf).unwrap();
        (row(&kept), row(&numbers(gradient.tensor().unwrap())))
    }
}

/// One number a sample and step; they must agree over the plane.
fn row(numbers: &[f64]) -> Vec<f64> {
    let rows = numbers.chunks(PLANE);
    rows.map(|row| {
        assert!(row.iter().all(|x| *x == row[0]), "a sample is dropped in parts: {row:?}");
        row[0]
    })
    .collect()
}

#[test]
fn a_sample_is_dropped_at_all_steps_and_scaled_where_kept() {
    let branch = Branch::new();
    let (kept, gradient) = branch.run(STEPS, None, 1, DropPer::Sample, Mode::Train);
    assert_eq!(kept, gradient, "backward draws the same");
    for step in kept.chunks(BATCH) {
        assert_eq!(step, &kept[..BATCH], "all steps see the same draws");
    }
    let scaled = 1.0 / (1.0 - RATE);
    assert!(kept.iter().all(|x| *x == 0.0 || *x == scaled));
    assert!(kept.contains(&0.0) && kept.contains(&scaled));
}

#[test]
fn a_step_is_dropped_for_the_whole_batch() {
    let branch = Branch::new();
    let mut seen = [0; 2];
    for key in 0..20 {
        let (kept, gradient) = branch.run(STEPS, None, key, DropPer::Step, Mode::Train);
        assert_eq!(kept, gradient);
        for step in kept.chunks(BATCH) {
            assert!(step.iter().all(|x| *x == step[0]));
            seen[usize::from(step[0] == 0.0)] += 1;
        }
    }
    // 120 draws: 30 expected to be dropped, with a deviation of 4.7.
    assert!((10..=50).contains(&seen[1]), "{seen:?}");
}

#[test]
fn going_step_by_step_sees_the_same_draws() {
    let branch = Branch::new();
    for per in [DropPer::Sample, DropPer::Step] {
        let (together, _) = branch.run(STEPS, None, 3, per, Mode::Train);
        for step in 0..STEPS {
            let (alone, _) = branch.run(1, Some(step), 3, per, Mode::Train);
            assert_eq!(alone, together[step * BATCH..][..BATCH], "{per:?} step {step}");
        }
    }
}

#[test]
fn what_is_constant_in_time_stays_so_unless_steps_differ() {
    let branch = Branch::new();
    let (samples, _) = branch.run(1, None, 3, DropPer::Sample, Mode::Train);
    assert_eq!(samples.len(), BATCH);
    let (steps, gradient) = branch.run(1, None, 3, DropPer::Step, Mode::Train);
    assert_eq!(steps.len(), STEPS * BATCH);
    let sum: f64 = steps.iter().step_by(BATCH).sum();
    assert_eq!(gradient, vec![sum; BATCH], "the gradient of a constant is summed over its steps");
}

#[test]
fn the_share_that_is_dropped_is_the_rate() {
    let branch = Branch::new();
    let dropped = |key| {
        let (kept, _) = branch.run(1, None, key, DropPer::Sample, Mode::Train);
        kept.iter().filter(|x| **x == 0.0).count()
    };
    let all: usize = (0..100).map(dropped).sum();
    // 4,000 draws: 1,000 expected, with a deviation of 27.
    assert!((865..=1135).contains(&all), "{all}");
}

#[test]
fn evaluation_and_a_rate_of_zero_change_nothing_and_a_rate_of_one_is_refused() {
    let branch = Branch::new();
    assert!(branch.run(STEPS, None, 1, DropPer::Sample, Mode::Eval).0.iter().all(|x| *x == 1.0));
    let session = &branch.setup.session;
    let tape = session.tape();
    let pass = Pass::new(session, &branch.setup.params, &tape, Mode::Train, STEPS, Key::new(1));
    let x = branch.ones(STEPS);
    let same = drop_path(&pass, "branch", &x, 0.0, DropPer::Sample).unwrap();
    assert_eq!(same.id(), x.id());
    for rate in [1.0, -0.1, f64::NAN] {
        let error = drop_path(&pass, "branch", &x, rate, DropPer::Sample).unwrap_err().to_string();
        assert!(error.contains("branch: drop-path rate must be in [0, 1)"), "{error}");
    }
}
