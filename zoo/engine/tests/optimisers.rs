//! Optimisers against their equations, written out in f64, and schedules at their edges.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::ledger::Category;
use engine::ops;
use engine::optim::{OptimSpec, Schedule};
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::unroll::{Statistics, Through, TimeGradient};
use keys::Key;

/// A weight, a bias, and a parameter that never gets a gradient.
const SHAPES: [(&str, &[usize]); 3] = [("weight", &[3, 5]), ("bias", &[3]), ("idle", &[4])];
const STEPS: usize = 3;
const RATE: f64 = 0.03;

struct Setup {
    session: Rc<Session>,
    params: Params,
    ids: Vec<ParamId>,
}

fn setup(dtype: DType) -> Setup {
    let session = Rc::new(Session::new(Device::Cpu, dtype));
    let mut params = Params::new(Rc::clone(&session), Key::new(8));
    let ids = SHAPES
        .iter()
        .map(|(name, shape)| params.declare(name, ParamKind::Weight, shape, Init::Normal(0.5)).unwrap())
        .collect();
    Setup { session, params, ids }
}

impl Setup {
    fn numbers(&self) -> Vec<Vec<f64>> {
        let read = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
        self.params.iter().map(|param| read(param.value().tensor().unwrap()).unwrap()).collect()
    }

    /// Makes `gradient` the gradient of a parameter: that of `sum(gradient * 1.0 * p)`.
    fn set_gradient(&self, which: usize, gradient: &[f64]) {
        let tape = self.session.tape();
        let pass = Pass::new(&self.session, &self.params, &tape, Mode::Train, 1, Key::new(0));
        let y = ops::scale(&pass, &pass.param(self.ids[which]), 1.0).unwrap();
        let shape = SHAPES[which].1;
        let seed = Tensor::from_vec(gradient.to_vec(), shape, &Device::Cpu).unwrap();
        let seed = self.session.constant(Category::ActivationGradients, shape, &seed).unwrap();
        let mut statistics = Statistics::default();
        let mut port = Through::new(&mut statistics, TimeGradient::Kept);
        tape.backward(&pass, &mut port, [(y, seed)]).unwrap();
    }
}

/// The gradient of a parameter at a step, exact in f32.
fn gradient(which: usize, step: usize) -> Vec<f64> {
    let mut stream = Key::new(9).fork(SHAPES[which].0).index(step as u64).stream();
    let count = SHAPES[which].1.iter().product();
    (0..count).map(|_| f64::from(stream.normal() as f32)).collect()
}

/// One parameter under the equations of an optimiser: `update(p, g, state, step from 1)`, with two moments a number.
type Equation<'a> = &'a dyn Fn(&mut [f64], &[f64], &mut [Vec<f64>; 2], i32);

/// Runs three updates and compares every parameter after each.
fn compare(spec: OptimSpec, equation: Equation<'_>) {
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 2e-6)] {
        let setup = setup(dtype);
        let mut optimizer = spec.build(&setup.params).unwrap();
        optimizer.set_learning_rate(RATE);
        let mut expected = setup.numbers();
        let idle = expected[2].clone();
        let mut state: Vec<[Vec<f64>; 2]> =
            expected.iter().map(|p| [vec![0.0; p.len()], vec![0.0; p.len()]]).collect();
        for step in 0..STEPS {
            setup.params.clear_gradients();
            for which in 0..2 {
                let gradient = gradient(which, step);
                setup.set_gradient(which, &gradient);
                equation(&mut expected[which], &gradient, &mut state[which], step as i32 + 1);
            }
            let before = setup.numbers();
            optimizer.update(&setup.params).unwrap();
            let found = setup.numbers();
            for which in 0..2 {
                assert_ne!(before[which], found[which], "{spec:?}: {} stood still", SHAPES[which].0);
                for (a, b) in found[which].iter().zip(&expected[which]) {
                    assert!(
                        (a - b).abs() <= tolerance * (1.0 + b.abs()),
                        "{spec:?} {dtype:?} step {step} {}: {a} against {b}",
                        SHAPES[which].0
                    );
                }
            }
            assert_eq!(found[2], idle, "{spec:?}: a parameter without a gradient moved");
        }
    }
}

#[test]
fn sgd() {
    for momentum in [0.0, 0.9] {
        for weight_decay in [0.0, 0.1] {
            for nesterov in [false, true] {
                if nesterov && momentum == 0.0 {
                    continue;
                }
                compare(OptimSpec::Sgd { momentum, weight_decay, nesterov }, &|p, g, [velocity, _], _| {
                    for i in 0..p.len() {
                        let g = g[i] + weight_decay * p[i];
                        velocity[i] = momentum * velocity[i] + g;
                        p[i] -= RATE * if nesterov { g + momentum * velocity[i] } else { velocity[i] };
                    }
                });
            }
        }
    }
}

/// The bias-corrected direction `m^ / (sqrt(v^) + eps)` of one number, moments moved.
fn adaptive(g: f64, m: &mut f64, v: &mut f64, step: i32, eps: f64) -> f64 {
    *m = 0.9 * *m + (1.0 - 0.9) * g;
    *v = 0.999 * *v + (1.0 - 0.999) * g * g;
    let (mean, square) = (*m / (1.0 - 0.9_f64.powi(step)), *v / (1.0 - 0.999_f64.powi(step)));
    mean / (square.sqrt() + eps)
}

#[test]
fn adam_with_an_l2_penalty() {
    for weight_decay in [0.0, 0.1] {
        compare(OptimSpec::Adam { weight_decay }, &|p, g, [m, v], step| {
            for i in 0..p.len() {
                p[i] -= RATE * adaptive(g[i] + weight_decay * p[i], &mut m[i], &mut v[i], step, 1e-8);
            }
        });
    }
}

#[test]
fn adam_with_decoupled_decay() {
    for weight_decay in [0.0, 0.1] {
        compare(OptimSpec::AdamW { weight_decay }, &|p, g, [m, v], step| {
            for i in 0..p.len() {
                let direction = adaptive(g[i], &mut m[i], &mut v[i], step, 1e-8);
                p[i] -= RATE * weight_decay * p[i];
                p[i] -= RATE * direction;
            }
        });
    }
}

fn length(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// `p -= rate * r * u` with `u = m^ / (sqrt(v^) + eps) + decay * p` and the trust ratio `r = |p| / |u|`, which adapts
/// only where there is decay and is at most 1 when clipped.
fn lamb(weight_decay: f64, trust_clip: bool, ratios: &std::cell::RefCell<Vec<f64>>) {
    compare(OptimSpec::Lamb { weight_decay, trust_clip }, &|p, g, [m, v], step| {
        let direction: Vec<f64> = (0..p.len())
            .map(|i| adaptive(g[i], &mut m[i], &mut v[i], step, 1e-6) + weight_decay * p[i])
            .collect();
        let mut ratio = if weight_decay == 0.0 { 1.0 } else { length(p) / length(&direction) };
        ratios.borrow_mut().push(ratio);
        if trust_clip {
            ratio = ratio.min(1.0);
        }
        for (p, u) in p.iter_mut().zip(direction) {
            *p -= RATE * ratio * u;
        }
    });
}

#[test]
fn lamb_with_and_without_trust_clip() {
    let ratios = std::cell::RefCell::new(Vec::new());
    for weight_decay in [0.0, 0.1, 3.0] {
        for trust_clip in [false, true] {
            lamb(weight_decay, trust_clip, &ratios);
        }
    }
    assert!(ratios.borrow().iter().any(|ratio| *ratio < 1.0), "no trust ratio below 1: {ratios:?}");
}

/// A parameter much longer than its direction, so that the clip bites.
#[test]
fn trust_clip_bounds_the_ratio_at_one() {
    let moved = |trust_clip: bool| {
        let setup = setup(DType::F64);
        let long = Tensor::from_vec(vec![50.0; 15], (3, 5), &Device::Cpu).unwrap();
        setup.params.assign("weight", &long).unwrap();
        setup.set_gradient(0, &[1.0; 15]);
        let mut optimizer = OptimSpec::Lamb { weight_decay: 0.001, trust_clip }.build(&setup.params).unwrap();
        optimizer.set_learning_rate(RATE);
        optimizer.update(&setup.params).unwrap();
        50.0 - setup.numbers()[0][0]
    };
    // The first direction is g / (|g| + eps) = 1, plus decay 0.05: clipped it is taken once, else 50 / 1.05 times.
    let direction = 1.0 / (1.0 + 1e-6) + 0.05;
    assert!((moved(true) - RATE * direction).abs() < 1e-9, "{}", moved(true));
    assert!((moved(false) - RATE * 50.0).abs() < 1e-9, "{}", moved(false));
}

#[test]
fn the_learning_rate_is_that_of_the_last_setting() {
    let setup = setup(DType::F64);
    let spec = OptimSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let mut optimizer = spec.build(&setup.params).unwrap();
    let start = setup.numbers();
    let mut total = 0.0;
    for rate in [0.5, 0.25, 0.0] {
        optimizer.set_learning_rate(rate);
        setup.params.clear_gradients();
        setup.set_gradient(1, &[1.0; 3]);
        optimizer.update(&setup.params).unwrap();
        total += rate;
        assert!((start[1][0] - setup.numbers()[1][0] - total).abs() < 1e-12, "after rate {rate}");
    }
}

#[test]
fn gradients_add_up_until_they_are_cleared() {
    let setup = setup(DType::F64);
    let spec = OptimSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let mut optimizer = spec.build(&setup.params).unwrap();
    optimizer.set_learning_rate(1.0);
    let start = setup.numbers();
    setup.set_gradient(1, &[1.0; 3]);
    setup.set_gradient(1, &[0.5; 3]);
    optimizer.update(&setup.params).unwrap();
    assert!((start[1][0] - setup.numbers()[1][0] - 1.5).abs() < 1e-12);
    setup.params.clear_gradients();
    assert!(setup.params.get(setup.ids[1]).gradient().is_none());
    optimizer.update(&setup.params).unwrap();
    assert!(
        (start[1][0] - setup.numbers()[1][0] - 1.5).abs() < 1e-12,
        "a cleared gradient moved a parameter"
    );
}

#[test]
fn state_is_booked_and_depends_on_the_optimiser() {
    for (spec, moments) in [
        (OptimSpec::Sgd { momentum: 0.0, weight_decay: 0.1, nesterov: false }, 0),
        (OptimSpec::Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false }, 1),
        (OptimSpec::Adam { weight_decay: 0.0 }, 2),
        (OptimSpec::AdamW { weight_decay: 0.0 }, 2),
        (OptimSpec::Lamb { weight_decay: 0.0, trust_clip: true }, 2),
    ] {
        let setup = setup(DType::F32);
        let held = || setup.session.ledger().held()[Category::Optimiser as usize];
        let optimizer = spec.build(&setup.params).unwrap();
        assert_eq!(held(), moments * 4 * setup.params.count(), "{spec:?}");
        drop(optimizer);
        assert_eq!(held(), 0, "{spec:?}");
    }
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let setup = setup(DType::F32);
    for (spec, place) in [
        (OptimSpec::Sgd { momentum: 1.0, weight_decay: 0.0, nesterov: false }, "momentum"),
        (OptimSpec::Sgd { momentum: -0.1, weight_decay: 0.0, nesterov: false }, "momentum"),
        (OptimSpec::Sgd { momentum: f64::NAN, weight_decay: 0.0, nesterov: false }, "momentum"),
        (OptimSpec::Adam { weight_decay: -1.0 }, "weight-decay"),
        (OptimSpec::AdamW { weight_decay: f64::INFINITY }, "weight-decay"),
        (OptimSpec::Lamb { weight_decay: f64::NAN, trust_clip: false }, "weight-decay"),
    ] {
        let error = spec.build(&setup.params).err().unwrap().to_string();
        assert!(error.contains(place), "{spec:?}: {error}");
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "{found} against {expected}");
}

#[test]
fn a_constant_rate_is_constant() {
    let schedule = Schedule::Constant { rate: 0.2 };
    for epoch in [0.0, 0.5, 3.0, 100.0] {
        assert_eq!(schedule.rate(epoch, 3.0), 0.2);
    }
}

#[test]
fn cosine_without_warm_up() {
    let schedule = Schedule::Cosine { rate: 0.4, floor: 0.0, warmup_epochs: 0.0 };
    close(schedule.rate(0.0, 8.0), 0.4);
    close(schedule.rate(2.0, 8.0), 0.2 * (1.0 + std::f64::consts::FRAC_1_SQRT_2));
    close(schedule.rate(4.0, 8.0), 0.2);
    close(schedule.rate(8.0, 8.0), 0.0);
    // Past its end it stays at its floor.
    close(schedule.rate(9.5, 8.0), 0.0);
}

#[test]
fn cosine_with_warm_up_is_continuous_and_never_above_its_rate() {
    let schedule = Schedule::Cosine { rate: 0.4, floor: 0.01, warmup_epochs: 2.5 };
    close(schedule.rate(0.0, 10.0), 0.01);
    close(schedule.rate(1.25, 10.0), 0.205);
    close(schedule.rate(2.5, 10.0), 0.4);
    assert!((schedule.rate(2.5 - 1e-9, 10.0) - schedule.rate(2.5 + 1e-9, 10.0)).abs() < 1e-8);
    let rates: Vec<f64> = (0..=1000).map(|i| schedule.rate(f64::from(i) / 100.0, 10.0)).collect();
    assert!(rates.iter().all(|rate| (0.01 - 1e-15..=0.4 + 1e-15).contains(rate)));
    assert!(rates[..250].is_sorted(), "the warm-up falls");
    assert!(rates[250..].iter().rev().is_sorted(), "the cosine rises");
}

#[test]
fn a_warm_up_as_long_as_the_run_ends_at_the_rate() {
    let schedule = Schedule::Cosine { rate: 0.4, floor: 0.0, warmup_epochs: 4.0 };
    close(schedule.rate(2.0, 4.0), 0.2);
    close(schedule.rate(4.0, 4.0), 0.4);
    // A run that ends within the warm-up only warms up.
    close(schedule.rate(1.0, 2.0), 0.1);
    assert!(schedule.rate(5.0, 4.0).is_finite());
}

#[test]
fn milestones_apply_from_their_epoch_on() {
    let schedule = Schedule::Steps { rate: 0.1, factor: 0.1, milestones: vec![100.0, 150.0] };
    close(schedule.rate(0.0, 200.0), 0.1);
    close(schedule.rate(99.999, 200.0), 0.1);
    close(schedule.rate(100.0, 200.0), 0.01);
    close(schedule.rate(150.0, 200.0), 0.001);
    close(schedule.rate(400.0, 200.0), 0.001);
    let none = Schedule::Steps { rate: 0.1, factor: 0.5, milestones: Vec::new() };
    assert_eq!(none.rate(7.0, 9.0), 0.1);
    // Two at one epoch multiply twice.
    let twice = Schedule::Steps { rate: 1.0, factor: 0.5, milestones: vec![2.0, 2.0] };
    close(twice.rate(2.0, 3.0), 0.25);
}

#[test]
fn schedules_out_of_range_are_refused_by_name() {
    let cosine = |rate, floor, warmup_epochs| Schedule::Cosine { rate, floor, warmup_epochs };
    for (schedule, place) in [
        (Schedule::Constant { rate: 0.0 }, "schedule.rate"),
        (Schedule::Constant { rate: f64::NAN }, "schedule.rate"),
        (cosine(-0.1, 0.0, 0.0), "schedule.rate"),
        (cosine(0.1, 0.2, 0.0), "schedule.floor"),
        (cosine(0.1, -0.1, 0.0), "schedule.floor"),
        (cosine(0.1, f64::NAN, 0.0), "schedule.floor"),
        (cosine(0.1, 0.0, -1.0), "schedule.warmup-epochs"),
        (cosine(0.1, 0.0, f64::NAN), "schedule.warmup-epochs"),
        (Schedule::Steps { rate: 0.1, factor: 0.1, milestones: vec![2.0, 1.0] }, "schedule.milestones"),
    ] {
        let error = schedule.check().unwrap_err().to_string();
        assert!(error.contains(place), "{schedule:?}: {error}");
    }
    for schedule in [
        Schedule::Constant { rate: 0.1 },
        cosine(0.1, 0.1, 0.0),
        cosine(0.1, 0.0, 20.0),
        Schedule::Steps { rate: 0.1, factor: 0.1, milestones: Vec::new() },
    ] {
        schedule.check().unwrap();
    }
}
