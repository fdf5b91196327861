//! Optimisers against their equations.

use std::cell::RefCell;

use candle_core::{DType, Device};
use engine::ledger::Category;
use engine::optim::{OptimSpec, Undecayed};
use engine::param::ParamKind;
use engine::pass::Session;

use crate::setup::{DTYPES, Declared, Setup, assert_close, draw, length};

/// A weight, a bias, and a parameter that never gets a gradient.
const DECLARED: [Declared; 3] = [
    ("weight", ParamKind::Weight, &[3, 5]),
    ("bias", ParamKind::Bias, &[3]),
    ("idle", ParamKind::Weight, &[4]),
];
const STEPS: usize = 3;
const RATE: f64 = 0.03;

fn setup(dtype: DType) -> Setup {
    Setup::new(dtype, &DECLARED)
}

/// The gradient of a parameter at a step, exact in f32.
fn gradient(which: usize, step: usize) -> Vec<f64> {
    let (name, _, shape) = DECLARED[which];
    draw(name, step, shape.iter().product(), 1.0)
}

/// One parameter under the equations of an optimiser: `update(p, g, state, step from 1)`, with two moments a number.
type Equation<'a> = &'a dyn Fn(&mut [f64], &[f64], &mut [Vec<f64>; 2], i32);

/// Runs three updates and compares every parameter after each.
fn compare(spec: OptimSpec, equation: Equation<'_>) {
    for (dtype, tolerance) in DTYPES {
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
                let place = format!("{spec:?} {dtype:?} step {step} {}", DECLARED[which].0);
                assert_ne!(before[which], found[which], "{place} stood still");
                assert_close(&place, &found[which], &expected[which], tolerance);
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
                let spec = OptimSpec::Sgd { momentum, weight_decay, nesterov, undecayed: Undecayed::Nothing };
                compare(spec, &|p, g, [velocity, _], _| {
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
        compare(OptimSpec::adam(weight_decay), &|p, g, [m, v], step| {
            for i in 0..p.len() {
                p[i] -= RATE * adaptive(g[i] + weight_decay * p[i], &mut m[i], &mut v[i], step, 1e-8);
            }
        });
    }
}

#[test]
fn adam_with_decoupled_decay() {
    for weight_decay in [0.0, 0.1] {
        compare(OptimSpec::adam_w(weight_decay), &|p, g, [m, v], step| {
            for i in 0..p.len() {
                let direction = adaptive(g[i], &mut m[i], &mut v[i], step, 1e-8);
                p[i] -= RATE * weight_decay * p[i];
                p[i] -= RATE * direction;
            }
        });
    }
}

fn lamb_of(weight_decay: f64, trust_clip: bool) -> OptimSpec {
    OptimSpec::Lamb {
        weight_decay,
        betas: [0.9, 0.999],
        eps: 1e-6,
        undecayed: Undecayed::Nothing,
        trust_clip,
        always_adapt: false,
        max_grad_norm: None,
    }
}

/// `p -= rate * r * u` with `u = m^ / (sqrt(v^) + eps) + decay * p` and the trust ratio `r = |p| / |u|`, which adapts
/// only where there is decay and is at most 1 when clipped.
fn lamb(weight_decay: f64, trust_clip: bool, ratios: &RefCell<Vec<f64>>) {
    compare(lamb_of(weight_decay, trust_clip), &|p, g, [m, v], step| {
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
    let ratios = RefCell::new(Vec::new());
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
        setup.assign("weight", &[50.0; 15]);
        setup.set_gradient(0, &[1.0; 15]);
        let mut optimizer = lamb_of(0.001, trust_clip).build(&setup.params).unwrap();
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
    let spec = OptimSpec::sgd(0.0, 0.0);
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
    let spec = OptimSpec::sgd(0.0, 0.0);
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
        (OptimSpec::sgd(0.0, 0.1), 0),
        (OptimSpec::sgd(0.9, 0.0), 1),
        (OptimSpec::adam(0.0), 2),
        (OptimSpec::adam_w(0.0), 2),
        (OptimSpec::lamb(0.0), 2),
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
    let adam = |betas, eps| OptimSpec::Adam { weight_decay: 0.0, betas, eps, undecayed: Undecayed::Nothing };
    let pre_clipped = |most| match lamb_of(0.0, false) {
        OptimSpec::Lamb { weight_decay, betas, eps, undecayed, trust_clip, always_adapt, .. } => {
            OptimSpec::Lamb {
                weight_decay,
                betas,
                eps,
                undecayed,
                trust_clip,
                always_adapt,
                max_grad_norm: Some(most),
            }
        }
        other => other,
    };
    let nesterov =
        OptimSpec::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: true, undecayed: Undecayed::Nothing };
    for (spec, place) in [
        (OptimSpec::sgd(1.0, 0.0), "optimizer.momentum"),
        (OptimSpec::sgd(-0.1, 0.0), "optimizer.momentum"),
        (OptimSpec::sgd(f64::NAN, 0.0), "optimizer.momentum"),
        (nesterov, "optimizer.momentum"),
        (OptimSpec::adam(-1.0), "optimizer.weight-decay"),
        (OptimSpec::adam_w(f64::INFINITY), "optimizer.weight-decay"),
        (lamb_of(f64::NAN, false), "optimizer.weight-decay"),
        (adam([1.0, 0.999], 1e-8), "optimizer.betas"),
        (adam([0.9, -0.1], 1e-8), "optimizer.betas"),
        (adam([0.9, 0.999], 0.0), "optimizer.eps"),
        (pre_clipped(0.0), "optimizer.max-grad-norm"),
        (pre_clipped(f64::NAN), "optimizer.max-grad-norm"),
    ] {
        let error = spec.build(&setup.params).err().unwrap().to_string();
        assert!(error.contains(place), "{spec:?}: {error}");
    }
}

#[test]
fn betas_and_eps_are_those_of_the_recipe() {
    let (b1, b2, eps) = (0.7, 0.95, 1e-3);
    let betas = [b1, b2];
    compare(
        OptimSpec::AdamW { weight_decay: 0.1, betas, eps, undecayed: Undecayed::Nothing },
        &|p, g, [m, v], step| {
            for i in 0..p.len() {
                m[i] = b1 * m[i] + (1.0 - b1) * g[i];
                v[i] = b2 * v[i] + (1.0 - b2) * g[i] * g[i];
                let mean = m[i] / (1.0 - b1.powi(step));
                let root = (v[i] / (1.0 - b2.powi(step))).sqrt();
                p[i] -= RATE * 0.1 * p[i];
                p[i] -= RATE * mean / (root + eps);
            }
        },
    );
}

/// What decay alone does to each parameter in one update: gradients are zero.
fn decayed(undecayed: Undecayed) -> Vec<(&'static str, bool)> {
    const KINDS: [Declared; 8] = [
        ("conv.weight", ParamKind::Weight, &[2, 3, 1, 1]),
        ("vector.weight", ParamKind::Weight, &[4]),
        ("scalar", ParamKind::Weight, &[]),
        ("conv.bias", ParamKind::Bias, &[2]),
        ("norm.weight", ParamKind::Norm, &[2]),
        ("conv.gain", ParamKind::Gain, &[2]),
        ("level.alpha", ParamKind::Skip, &[2]),
        ("skip", ParamKind::Gain, &[]),
    ];
    let setup = Setup::new(DType::F64, &KINDS);
    let spec = OptimSpec::AdamW { weight_decay: 0.5, betas: [0.9, 0.999], eps: 1e-8, undecayed };
    let mut optimizer = spec.build(&setup.params).unwrap();
    optimizer.set_learning_rate(0.1);
    let before = setup.numbers();
    setup.draw_gradients(0, 0.0);
    optimizer.update(&setup.params).unwrap();
    KINDS
        .iter()
        .zip(before.iter().zip(setup.numbers()))
        .map(|((name, ..), (a, b))| (*name, *a != b))
        .collect()
}

#[test]
fn vectors_and_biases_are_spared_from_decay_and_gains_are_not() {
    assert!(decayed(Undecayed::Nothing).iter().all(|(_, decayed)| *decayed));
    let moved = decayed(Undecayed::VectorsAndBiases);
    let names: Vec<_> = moved.iter().filter(|(_, decayed)| *decayed).map(|(name, _)| *name).collect();
    assert_eq!(names, ["conv.weight", "conv.gain", "level.alpha"]);
}

/// timm takes plain steps for parameters without decay, unless told to adapt them as well.
#[test]
fn lamb_adapts_undecayed_parameters_only_when_told() {
    for always_adapt in [false, true] {
        let spec = OptimSpec::Lamb {
            weight_decay: 0.1,
            betas: [0.9, 0.999],
            eps: 1e-8,
            undecayed: Undecayed::VectorsAndBiases,
            trust_clip: false,
            always_adapt,
            max_grad_norm: None,
        };
        compare(spec, &|p, g, [m, v], step| {
            let decay = if p.len() == 15 { 0.1 } else { 0.0 };
            let direction: Vec<f64> = (0..p.len())
                .map(|i| adaptive(g[i], &mut m[i], &mut v[i], step, 1e-8) + decay * p[i])
                .collect();
            let ratio = if decay > 0.0 || always_adapt { length(p) / length(&direction) } else { 1.0 };
            for (p, u) in p.iter_mut().zip(direction) {
                *p -= RATE * ratio * u;
            }
        });
    }
}

#[test]
fn lamb_scales_all_gradients_to_its_norm_first() {
    for (dtype, tolerance) in DTYPES {
        let spec = OptimSpec::Lamb {
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-2,
            undecayed: Undecayed::Nothing,
            trust_clip: false,
            always_adapt: false,
            max_grad_norm: Some(1.0),
        };
        for (deviation, shortened) in [(3.0, true), (1e-2, false)] {
            let setup = setup(dtype);
            let mut optimizer = spec.build(&setup.params).unwrap();
            optimizer.set_learning_rate(RATE);
            let drawn = setup.draw_gradients(0, deviation);
            let norm = length(&drawn.concat());
            assert_eq!(norm > 1.0, shortened);
            let scale = 1.0 / norm.max(1.0);
            let mut expected = setup.numbers();
            for (p, g) in expected.iter_mut().zip(&drawn) {
                for (p, g) in p.iter_mut().zip(g) {
                    *p -= RATE * adaptive(g * scale, &mut 0.0, &mut 0.0, 1, 1e-2);
                }
            }
            optimizer.update(&setup.params).unwrap();
            for (found, expected) in setup.numbers().iter().zip(&expected) {
                assert_close(&format!("{dtype:?} {deviation}"), found, expected, tolerance);
            }
        }
    }
}

#[test]
fn a_plan_updates_nothing_and_books_the_same() {
    let held = |session: Session| {
        let setup = Setup::on(session, &DECLARED);
        let mut optimizer = OptimSpec::lamb(0.1).build(&setup.params).unwrap();
        optimizer.update(&setup.params).unwrap();
        setup.session.ledger().held()[Category::Optimiser as usize]
    };
    assert_eq!(held(Session::plan(DType::F32)), held(Session::new(Device::Cpu, DType::F32)));
}
