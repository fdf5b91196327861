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
use tests::{batch, gradients, per_step, spec, trainer};

fn network(model: &engine::model::ModelEntry, spec: &ModelSpec, session: Session) -> Network {
    model.network(spec, Params::new(Rc::new(session), Key::new(3).fork("init"))).unwrap()
}

/// Why each pair is refused, or nothing.
fn refusals() -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for model in models::all() {
        for entry in registry::all() {
            let method = (entry.build)(&Settings::default()).unwrap();
            let spec = ModelSpec { steps: method.steps(4), ..spec() };
            let network = network(model, &spec, Session::plan(DType::F32));
            let run = RunSpec::new(spec.steps, per_step(), Key::new(0));
            let reason = method.supports(&network, &run).err().map(|reason| reason.to_string());
            all.push((format!("{} x {}", model.id, entry.id), reason));
        }
    }
    all
}

#[test]
fn refused_pairs_are_known_and_say_why() {
    let list: String = refusals()
        .into_iter()
        .filter_map(|(pair, reason)| reason.map(|reason| format!("{pair}: {reason}\n")))
        .collect();
    insta::assert_snapshot!(list);
}

#[test]
fn every_supported_pair_learns_one_batch_and_moves_every_parameter() {
    for (pair, reason) in refusals() {
        if reason.is_some() {
            continue;
        }
        let (model, method) = pair.split_once(" x ").unwrap();
        let spec = spec();
        let mut trainer = trainer(method, model, &spec, DType::F32, per_step()).unwrap();
        let batch = batch(trainer.session(), &spec, 8).unwrap();
        let sgd = OptimSpec::sgd(0.9, 0.0);
        let mut optimizer = sgd.build(&trainer.network().params).unwrap();
        optimizer.set_learning_rate(0.05);
        let numbers = |trainer: &dyn engine::method::Trainer| -> Vec<(String, Vec<f32>)> {
            let all = trainer.network().params.iter();
            all.map(|p| {
                (p.name().into(), p.value().tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap())
            })
            .collect()
        };
        let before = numbers(&*trainer);
        let first = trainer.step(&batch, &mut *optimizer).unwrap().loss;
        let mut last = first;
        // Enough for a method that goes backward at one random step of four.
        for _ in 1..40 {
            last = trainer.step(&batch, &mut *optimizer).unwrap().loss;
        }
        assert!(last < 0.98 * first, "{pair}: the loss went from {first} to {last}");
        let moved = before.iter().zip(numbers(&*trainer)).filter(|(a, b)| a.1 != b.1).count();
        let still: Vec<_> = before
            .iter()
            .zip(numbers(&*trainer))
            .filter(|(a, b)| a.1 == b.1)
            .map(|(a, _)| a.0.clone())
            .collect();
        if method == "frozen" {
            assert!(
                moved > 0 && still.iter().all(|name| !name.contains("readout")),
                "{pair}: {still:?} stood still"
            );
        } else {
            // The first step has no previous value for its shortcut to scale, so that shortcut has no gradient.
            let first = |name: &String| name.starts_with("step0.") || name.starts_with("subnet0.");
            let expected = |name: &String| first(name) && name.contains(".alpha");
            assert!(still.iter().all(expected), "{pair}: {still:?} stood still");
        }
    }
}

#[test]
fn evaluation_leaves_parameters_and_statistics_alone() {
    for model in models::all() {
        let spec = spec();
        let mut trainer = trainer("stbp", model.id, &spec, DType::F32, per_step()).unwrap();
        let batch = batch(trainer.session(), &spec, 8).unwrap();
        trainer.step(&batch, &mut tests::Hold).unwrap();
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
    for (pair, reason) in refusals() {
        if reason.is_some() {
            continue;
        }
        let (model, id) = pair.split_once(" x ").unwrap();
        let peak = |planned: bool| {
            let method = (registry::find(id).unwrap().build)(&Settings::default()).unwrap();
            let spec = ModelSpec { steps: method.steps(3), ..spec() };
            let session =
                if planned { Session::plan(DType::F32) } else { Session::new(Device::Cpu, DType::F32) };
            let network = network(models::find(model).unwrap(), &spec, session);
            let run = RunSpec::new(spec.steps, per_step(), Key::new(1));
            let mut trainer = method.trainer(network, run).unwrap();
            let batch = batch(trainer.session(), &spec, 6).unwrap();
            trainer.step(&batch, &mut tests::Hold).unwrap();
            let ledger = Rc::clone(trainer.session().ledger());
            ledger.restart();
            trainer.step(&batch, &mut tests::Hold).unwrap();
            let held = Category::ALL.map(|category| ledger.most(category));
            (ledger.peak_in_laws(), held)
        };
        assert_eq!(peak(true), peak(false), "{pair}: planned against run");
    }
}

#[test]
fn norms_over_time_are_refused_by_stepwise_methods_with_a_reason() {
    let spec = ModelSpec { norm: NormOver::Time, ..spec() };
    let error = trainer("sltt", "tiny-conv", &spec, DType::F32, per_step()).err().unwrap().to_string();
    assert!(error.contains("step by step"), "{error}");
}

#[test]
fn frames_that_are_not_t_are_refused_by_every_method() {
    for (pair, reason) in refusals() {
        let (model, method) = pair.split_once(" x ").unwrap();
        if reason.is_some() || method == "ann" {
            continue;
        }
        let spec = spec();
        let mut trainer = trainer(method, model, &spec, DType::F32, per_step()).unwrap();
        let images = trainer.session().input(&[6, 2, 2, 8, 8], vec![0.5; 6 * 2 * 2 * 8 * 8]).unwrap();
        let batch = engine::method::Batch { images, labels: vec![0, 1].into() };
        let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
        assert!(error.contains("expected shape"), "{pair}: {error}");
    }
}

#[test]
fn a_grid_wider_than_a_significand_is_refused() {
    let spec = ModelSpec { grid: Some(engine::region::Grid { bits: 20, range: 8 }), ..spec() };
    let error = trainer("spatial-rev", "tiny-rev", &spec, DType::F32, per_step()).err().unwrap().to_string();
    assert!(error.contains("grid.range must be at most 4"), "{error}");
}
