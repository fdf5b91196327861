//! What every method and every model promises, walked over the tables: a new entry is under test without a new test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::ledger::Category;
use engine::method::{RunSpec, Settings};
use engine::model::{ModelSpec, Network};
use engine::norm::NormOver;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::Session;
use keys::Key;
use tests::{batch, gradients, per_step, small, spec, trainer};

mod pairs;
mod readings;

fn network(model: &engine::model::ModelEntry, spec: &ModelSpec, session: Session) -> Network {
    model.network(spec, Params::new(Rc::new(session), Key::new(3).fork("init"))).unwrap()
}

#[test]
fn evaluation_leaves_parameters_and_statistics_alone() {
    for model in models::all() {
        let spec = small(model, 2);
        let mut trainer = trainer("stbp", model.id, &spec, DType::F32, per_step()).unwrap();
        let batch = batch(trainer.session(), &spec, 4).unwrap();
        // A few batches, so that running statistics have left where they start.
        for _ in 0..30 {
            trainer.step(&batch, &mut tests::Hold).unwrap();
        }
        let first = trainer.evaluate(&batch).unwrap();
        assert_eq!(first, trainer.evaluate(&batch).unwrap(), "{}", model.id);
        assert!(first.spikes > 0 && first.spikes < first.neuron_steps, "{}: {first:?}", model.id);
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_for_any_number_of_threads() {
    for (model, method) in [
        ("tiny-conv", "stbp"),
        ("tiny-conv", "ottt-o"),
        ("tiny-conv", "sltt-k"),
        ("tiny-rev", "spatial-rev"),
        ("tiny-trev", "temporal-rev"),
    ] {
        let run = |threads: usize| {
            kernels::threads::pool(threads, 16 << 20).unwrap().install(|| {
                let spec = ModelSpec { image: [2, 16, 16], width: 1.0, ..spec() };
                let mut trainer = trainer(method, model, &spec, DType::F32, per_step()).unwrap();
                let batch = batch(trainer.session(), &spec, 24).unwrap();
                let mut optimizer = OptimSpec::adam_w(0.01).build(&trainer.network().params).unwrap();
                optimizer.set_learning_rate(0.01);
                for _ in 0..3 {
                    trainer.step(&batch, &mut *optimizer).unwrap();
                }
                gradients(&mut *trainer, &batch).unwrap()
            })
        };
        let one = run(1);
        assert_eq!(one, run(1), "{method} on {model}: twice the same");
        assert_eq!(one, run(2), "{method} on {model}: 1 and 2 threads");
        assert_eq!(one, run(3), "{method} on {model}: 1 and 3 threads");
    }
}

#[test]
fn a_plan_holds_what_the_run_holds() {
    pairs::on_every_pair(pairs::supported(), |pair| {
        let peak = |planned: bool| {
            let method = (pair.method.build)(&Settings::default()).unwrap();
            let spec = small(pair.model, method.steps(3));
            let session =
                if planned { Session::plan(DType::F32) } else { Session::new(Device::Cpu, DType::F32) };
            let network = network(pair.model, &spec, session);
            let run = RunSpec::new(spec.steps, per_step(), Key::new(1));
            let mut trainer = method.trainer(network, run).unwrap();
            let batch = batch(trainer.session(), &spec, 2).unwrap();
            trainer.step(&batch, &mut tests::Hold).unwrap();
            let ledger = Rc::clone(trainer.session().ledger());
            ledger.restart();
            trainer.step(&batch, &mut tests::Hold).unwrap();
            let held = Category::ALL.map(|category| ledger.most(category));
            (ledger.peak_in_laws(), held)
        };
        let (plan, run) = (peak(true), peak(false));
        if plan == run { Ok(()) } else { Err(format!("planned {plan:?}, ran {run:?}")) }
    });
}

#[test]
fn norms_over_time_are_refused_by_stepwise_methods_with_a_reason() {
    let spec = ModelSpec { norm: NormOver::Time, ..spec() };
    let error = trainer("sltt", "tiny-conv", &spec, DType::F32, per_step()).err().unwrap().to_string();
    assert!(error.contains("step by step"), "{error}");
}

#[test]
fn frames_that_are_not_t_are_refused_by_every_method() {
    for pair in pairs::supported() {
        if pair.method.id == "ann" {
            continue;
        }
        let spec = small(pair.model, 2);
        let [c, h, w] = spec.image;
        let mut trainer = trainer(pair.method.id, pair.model.id, &spec, DType::F32, per_step()).unwrap();
        let images = trainer.session().input(&[5, 2, c, h, w], vec![0.5; 5 * 2 * c * h * w]).unwrap();
        let batch = engine::method::Batch { images, labels: vec![0, 1].into() };
        let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
        assert!(error.contains("expected shape"), "{}: {error}", pair.name());
    }
}

#[test]
fn a_grid_wider_than_a_significand_is_refused() {
    let spec = ModelSpec { grid: Some(engine::region::Grid { bits: 20, range: 8 }), ..spec() };
    let error = trainer("spatial-rev", "tiny-rev", &spec, DType::F32, per_step()).err().unwrap().to_string();
    assert!(error.contains("grid.range must be at most 4"), "{error}");
}
