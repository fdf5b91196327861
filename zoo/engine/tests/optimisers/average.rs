//! The moving average of parameters and running statistics.

use candle_core::{DType, Device, Tensor};
use engine::layer::Builder;
use engine::ledger::Category;
use engine::norm::{Norm, NormOver};
use engine::optim::AverageSpec;
use engine::param::{ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::site::Role;
use engine::unroll::{Statistics, Through, TimeGradient, Unroll};
use keys::Key;

use crate::setup::{DTYPES, Declared, Setup, assert_close, draw, numbers};

const DECLARED: [Declared; 3] = [
    ("norm.weight", ParamKind::Norm, &[2]),
    ("norm.bias", ParamKind::Norm, &[2]),
    ("weight", ParamKind::Weight, &[3, 5]),
];

/// Moves the running statistics of a norm by one batch.
pub(crate) fn normalise(setup: &Setup, statistics: &mut Statistics, step: usize) {
    let channels = setup.params.get(setup.ids[0]).shape()[0];
    let norm = Norm {
        channels,
        gamma: setup.ids[0],
        beta: setup.ids[1],
        eps: 1e-5,
        momentum: 0.1,
        over: NormOver::Step,
        gain: 1.0,
        repeated: false,
    };
    let tape = setup.session.tape();
    let pass = Pass::new(&setup.session, &setup.params, &tape, Mode::Train, 1, Key::new(0));
    let shape = [1, 3, channels, 2, 2];
    let x = Tensor::from_vec(draw("x", step, 12 * channels, 1.0), &shape, &Device::Cpu).unwrap();
    let x = setup.session.constant(Category::Input, &shape, &x).unwrap();
    // The second of two sites: the first has no norm.
    let mut builder = Builder::new(Params::new(std::rc::Rc::clone(&setup.session), Key::new(0)));
    let [_, site] = ["conv", "norm"].map(|name| builder.site(name, Role::Norm));
    Through::new(statistics, TimeGradient::Kept).norm(&pass, &site, &norm, &x).unwrap();
}

fn all(setup: &Setup, statistics: &Statistics) -> Vec<Vec<f64>> {
    let mut all = setup.numbers();
    for (_, mean, var, _) in statistics.iter() {
        all.extend([mean, var].map(|value| numbers(value.tensor().unwrap())));
    }
    all
}

#[test]
fn parameters_and_statistics_are_averaged_and_exchanged() {
    const DECAY: f64 = 0.7;
    for (dtype, tolerance) in DTYPES {
        let setup = Setup::new(dtype, &DECLARED);
        let mut statistics = Statistics::default();
        let mut average = AverageSpec { decay: DECAY }.build(&setup.params, &statistics).unwrap();
        // A network that was never run has means of 0 and variances of 1.
        let mut expected = setup.numbers();
        expected.extend([vec![0.0; 2], vec![1.0; 2]]);
        for step in 0..4 {
            for (name, _, shape) in DECLARED {
                setup.assign(name, &draw(name, step, shape.iter().product(), 1.0));
            }
            normalise(&setup, &mut statistics, step);
            average.update(&setup.params, &statistics).unwrap();
            for (average, now) in expected.iter_mut().zip(all(&setup, &statistics)) {
                for (average, now) in average.iter_mut().zip(now) {
                    *average = DECAY * *average + (1.0 - DECAY) * now;
                }
            }
        }
        let raw = all(&setup, &statistics);
        assert_eq!(raw.len(), 5);
        average.exchange(&setup.params, &statistics).unwrap();
        for (found, expected) in all(&setup, &statistics).iter().zip(&expected) {
            assert_close(&format!("{dtype:?}"), found, expected, tolerance);
        }
        average.exchange(&setup.params, &statistics).unwrap();
        assert_eq!(all(&setup, &statistics), raw, "exchanged twice");
    }
}

#[test]
fn an_average_is_booked_apart_in_a_plan_as_in_a_run() {
    let held = |session: Session| {
        let setup = Setup::on(session, &DECLARED);
        let mut statistics = Statistics::default();
        let mut average = AverageSpec { decay: 0.9 }.build(&setup.params, &statistics).unwrap();
        normalise(&setup, &mut statistics, 0);
        average.update(&setup.params, &statistics).unwrap();
        average.exchange(&setup.params, &statistics).unwrap();
        setup.session.ledger().held()
    };
    let (planned, run) = (held(Session::plan(DType::F32)), held(Session::new(Device::Cpu, DType::F32)));
    assert_eq!(planned[Category::Average as usize], 4 * (2 + 2 + 15 + 2 + 2));
    assert_eq!(planned, run);
    assert!(!Category::Average.in_laws());
}

#[test]
fn a_decay_out_of_range_is_refused_by_name() {
    for decay in [1.0, -0.1, f64::NAN] {
        let error = AverageSpec { decay }.check().unwrap_err().to_string();
        assert!(error.contains("average.decay must be in [0, 1)"), "{error}");
    }
}
