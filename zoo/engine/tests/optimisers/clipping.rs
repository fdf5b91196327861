//! Gradient clipping against its equations.

use candle_core::DType;
use engine::ledger::{Category, Phase};
use engine::optim::{Clip, OptimSpec};
use engine::param::ParamKind;
use engine::pass::Session;

use crate::setup::{DTYPES, Declared, Setup, assert_close, length};

const DECLARED: [Declared; 5] = [
    ("conv", ParamKind::Weight, &[4, 3, 2, 2]),
    ("linear", ParamKind::Weight, &[3, 5]),
    ("bias", ParamKind::Bias, &[6]),
    ("scalar", ParamKind::Gain, &[]),
    ("alpha", ParamKind::Skip, &[1, 5, 1, 1]),
];

#[test]
fn all_gradients_together_are_shortened_to_a_norm() {
    for (dtype, tolerance) in DTYPES {
        for (at, shortened) in [(0.7, true), (1e3, false)] {
            let setup = Setup::new(dtype, &DECLARED);
            let drawn = setup.draw_gradients(0, 1.0);
            let norm = length(&drawn.concat());
            Clip::Norm { at }.apply(&setup.params).unwrap();
            let factor = (at / (norm + 1e-6)).min(1.0);
            assert_eq!(factor < 1.0, shortened);
            for (found, drawn) in setup.gradients().iter().zip(&drawn) {
                let expected: Vec<f64> = drawn.iter().map(|g| g * factor).collect();
                assert_close(&format!("{dtype:?} at {at}"), found, &expected, tolerance);
            }
        }
    }
}

/// Each output's gradient against its own weight; whole tensors of at most one axis, and of one row.
#[test]
fn each_unit_is_shortened_to_a_share_of_its_weight() {
    for (dtype, tolerance) in DTYPES {
        let setup = Setup::new(dtype, &DECLARED);
        // A unit whose weight is zero counts as 1e-3 long.
        let mut conv = setup.numbers()[0].clone();
        conv[..12].fill(0.0);
        setup.assign("conv", &conv);
        let weights = setup.numbers();
        let drawn = setup.draw_gradients(0, 0.02);
        Clip::Adaptive { factor: 0.05 }.apply(&setup.params).unwrap();
        let (mut shortened, mut left) = (0, 0);
        for (which, found) in setup.gradients().iter().enumerate() {
            let (name, _, shape) = DECLARED[which];
            let each = if shape.len() <= 1 { found.len() } else { found.len() / shape[0] };
            let mut expected = Vec::new();
            for (w, g) in weights[which].chunks(each).zip(drawn[which].chunks(each)) {
                let most = 0.05 * length(w).max(1e-3);
                let factor = if length(g) < most { 1.0 } else { most / length(g) };
                if factor < 1.0 {
                    shortened += 1
                } else {
                    left += 1
                }
                expected.extend(g.iter().map(|g| g * factor));
            }
            assert_close(&format!("{dtype:?} {name}"), found, &expected, tolerance);
        }
        assert!(shortened > 1 && left > 1, "{shortened} shortened, {left} left");
    }
}

#[test]
fn clipping_comes_before_the_update_and_keeps_nothing() {
    let setup = Setup::new(DType::F64, &DECLARED);
    let sgd = OptimSpec::sgd(0.0, 0.0).build(&setup.params).unwrap();
    let mut optimizer = Clip::Norm { at: 0.5 }.before(sgd);
    optimizer.set_learning_rate(1.0);
    let (before, drawn) = (setup.numbers(), setup.draw_gradients(0, 1.0));
    let ledger = setup.session.ledger();
    let held = ledger.held();
    ledger.restart();
    ledger.enter(Phase::Update);
    optimizer.update(&setup.params).unwrap();
    assert_eq!(ledger.peak(Phase::Update).held, held);
    let factor = 0.5 / (length(&drawn.concat()) + 1e-6);
    for ((before, after), g) in before.iter().zip(setup.numbers()).zip(&drawn) {
        let expected: Vec<f64> = before.iter().zip(g).map(|(p, g)| p - factor * g).collect();
        assert_close("p", &after, &expected, 1e-12);
    }
}

#[test]
fn a_plan_can_be_clipped() {
    for clip in [Clip::Norm { at: 1.0 }, Clip::Adaptive { factor: 0.02 }] {
        let setup = Setup::on(Session::plan(DType::F32), &DECLARED);
        let mut optimizer = clip.before(OptimSpec::sgd(0.9, 0.0).build(&setup.params).unwrap());
        optimizer.update(&setup.params).unwrap();
        assert_eq!(setup.session.ledger().held()[Category::Optimiser as usize], 4 * setup.params.count());
    }
}

#[test]
fn bounds_out_of_range_are_refused_by_name() {
    for (clip, place) in [
        (Clip::Norm { at: 0.0 }, "clip.at must be positive, got 0"),
        (Clip::Norm { at: f64::INFINITY }, "clip.at"),
        (Clip::Adaptive { factor: -0.02 }, "clip.factor must be positive, got -0.02"),
        (Clip::Adaptive { factor: f64::NAN }, "clip.factor"),
    ] {
        let error = clip.check().unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
}
