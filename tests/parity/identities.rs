//! Where methods must coincide.

use candle_core::DType;
use engine::method::{Outcome, Setting, Settings};
use engine::model::ModelSpec;
use engine::neuron::{InputDecay, Neuron, ResetGradient};
use engine::site::Role;
use tests::{Gradients, batch, gradients, per_step, relative_difference, small, spec, trainer, trainer_with};

fn compare(model: &str, steps: usize, methods: [&str; 2], tolerance: f64) {
    let mut spec = spec();
    spec.steps = steps;
    let all: Vec<_> = methods
        .iter()
        .map(|method| {
            let mut trainer = trainer(method, model, &spec, DType::F64, per_step()).unwrap();
            let batch = batch(trainer.session(), &spec, 5).unwrap();
            gradients(&mut *trainer, &batch).unwrap()
        })
        .collect();
    let (first, second) = (&all[0], &all[1]);
    assert!(
        (first.0.loss - second.0.loss).abs() <= 1e-12 * second.0.loss.abs(),
        "loss of {methods:?} on {model}"
    );
    assert!(second.1.iter().any(|(_, g)| g.iter().any(|x| *x != 0.0)), "no gradient at all on {model}");
    for ((name, a), (_, b)) in first.1.iter().zip(&second.1) {
        let off = relative_difference(a, b);
        assert!(off <= tolerance, "{model} {methods:?} {name}: relative difference {off:e}");
    }
}

#[test]
fn at_one_step_all_methods_coincide() {
    for model in ["tiny-conv", "tiny-rev"] {
        compare(model, 1, ["sltt", "stbp"], 1e-11);
        compare(model, 1, ["ottt-a", "stbp"], 1e-11);
        compare(model, 1, ["ottt-o", "stbp"], 1e-11);
    }
    compare("tiny-trev", 1, ["sltt", "stbp"], 1e-11);
}

#[test]
fn sltt_k_at_every_step_is_sltt() {
    use engine::method::{Setting, Settings};
    let spec = spec();
    let run = |settings: Settings, id: &str| {
        let method = (registry::find(id).unwrap().build)(&settings).unwrap();
        let session = std::rc::Rc::new(engine::pass::Session::new(candle_core::Device::Cpu, DType::F64));
        let params = engine::param::Params::new(session, keys::Key::new(7).fork("init"));
        let network = models::find("tiny-conv").unwrap().network(&spec, params).unwrap();
        let run = engine::method::RunSpec::new(spec.steps, per_step(), keys::Key::new(7).fork("run"));
        let mut trainer = method.trainer(network, run).unwrap();
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap()
    };
    let whole = run(Settings::default(), "sltt");
    let k = |k: i64| run(Settings::new([("k".to_string(), Setting::Integer(k))]), "sltt-k");
    assert_eq!(whole, k(4));
    // Fewer steps: another gradient, the same forward pass and so the same loss.
    let two = k(2);
    assert_eq!(whole.0.loss, two.0.loss);
    assert_ne!(whole.1, two.1);
}

#[test]
fn methods_differ_where_they_should() {
    // A test that could not tell the methods apart would prove nothing.
    let spec = spec();
    let gradient = |method: &str| {
        let mut trainer = trainer(method, "tiny-conv", &spec, DType::F64, per_step()).unwrap();
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap().1
    };
    let (stbp, sltt, ottt) = (gradient("stbp"), gradient("sltt"), gradient("ottt-a"));
    assert_ne!(stbp, sltt);
    assert_ne!(sltt, ottt);
    assert_ne!(stbp, ottt);
}

fn run(
    model: &str,
    spec: &ModelSpec,
    method: &str,
    settings: &Settings,
) -> engine::Result<(Outcome, Gradients)> {
    let entry = models::find(model).unwrap();
    let mut trainer = trainer_with((method, settings), entry, spec, DType::F64, per_step())?;
    let batch = batch(trainer.session(), spec, 3)?;
    gradients(&mut *trainer, &batch)
}

fn text(key: &str, choice: &str) -> (String, Setting) {
    (key.to_string(), Setting::Text(choice.to_string()))
}

fn sites(names: Vec<String>) -> (String, Setting) {
    ("temporal-gradient-sites".to_string(), Setting::Texts(names))
}

/// Names of the sites that gradients can be cut at.
fn stateful(model: &str, spec: &ModelSpec) -> Vec<String> {
    let trainer = trainer("stbp", model, spec, DType::F64, per_step()).unwrap();
    let sites = trainer.network().sites.iter();
    let stateful = sites.filter(|site| matches!(site.role(), Role::Neuron | Role::Carry));
    stateful.map(|site| site.name().to_string()).collect()
}

fn assert_close(ours: &(Outcome, Gradients), theirs: &(Outcome, Gradients), place: &str) {
    assert!((ours.0.loss - theirs.0.loss).abs() <= 1e-12 * theirs.0.loss.abs(), "{place}: loss");
    for ((name, a), (_, b)) in ours.1.iter().zip(&theirs.1) {
        // A bias in front of a norm has no gradient but rounding noise.
        let noise = a.iter().chain(b).all(|x| x.abs() < 1e-14);
        let off = relative_difference(a, b);
        assert!(noise || off <= 1e-10, "{place}, {name}: {off:e}");
    }
}

/// Time-free, recurrent and stepwise wirings.
const FORMS: [&str; 4] = ["tiny-conv", "vgg11-ws-f", "preact-resnet18", "tiny-trev"];

#[test]
fn stbp_without_any_gradient_in_time_is_sltt() {
    for model in FORMS {
        let spec = ModelSpec { grid: None, ..small(models::find(model).unwrap(), 3) };
        let none = Settings::new([text("temporal-gradient", "none")]);
        let cut = run(model, &spec, "stbp", &none).unwrap();
        assert_close(&cut, &run(model, &spec, "sltt", &Settings::default()).unwrap(), model);
        let all = run(model, &spec, "stbp", &Settings::default()).unwrap();
        assert_eq!(cut.0.loss, all.0.loss, "{model}: the forward pass is the same");
        assert_ne!(cut.1, all.1, "{model}: time has a gradient to cut");
    }
}

#[test]
fn gradients_in_time_can_be_kept_or_cut_at_named_sites() {
    for model in FORMS {
        let spec = ModelSpec { grid: None, ..small(models::find(model).unwrap(), 3) };
        let names = stateful(model, &spec);
        let with = |kind: &str, names: &[String]| {
            run(
                model,
                &spec,
                "stbp",
                &Settings::new([text("temporal-gradient", kind), sites(names.to_vec())]),
            )
            .unwrap()
        };
        let all = run(model, &spec, "stbp", &Settings::default()).unwrap();
        assert_close(&with("only", &names), &all, model);
        let none = run(model, &spec, "stbp", &Settings::new([text("temporal-gradient", "none")])).unwrap();
        assert_close(&with("except", &names), &none, model);
        // The first site alone, and all others alone, are neither.
        let (only, except) = (with("only", &names[..1]), with("except", &names[..1]));
        for part in [&only, &except] {
            assert_eq!(part.0.loss, all.0.loss, "{model}");
        }
        assert_ne!(only.1, except.1, "{model}");
    }
    let unknown = Settings::new([text("temporal-gradient", "only"), sites(vec!["nowhere".into()])]);
    let refused = run("tiny-conv", &spec(), "stbp", &unknown).unwrap_err().to_string();
    assert!(refused.contains("nowhere") && refused.contains("tiny-conv"), "{refused}");
}

#[test]
fn the_gradient_of_the_reset_is_a_setting_of_stbp() {
    let (spec, settings) = (spec(), |rule: &str| Settings::new([text("reset-gradient", rule)]));
    let as_the_neuron_says = |rule: ResetGradient| {
        let spec = ModelSpec { neuron: spec.neuron.with_reset_gradient(rule), ..spec.clone() };
        run("tiny-conv", &spec, "stbp", &Settings::default()).unwrap()
    };
    let through = run("tiny-conv", &spec, "stbp", &settings("through")).unwrap();
    assert_eq!(through, as_the_neuron_says(ResetGradient::Through));
    let detached = run("tiny-conv", &spec, "stbp", &settings("detached")).unwrap();
    assert_eq!(detached, as_the_neuron_says(ResetGradient::Detached));
    assert_ne!(through.1, detached.1);
}

#[test]
fn a_memoryless_network_sees_each_step_alone() {
    // The gain on currents is one that a leak of 0 must not take along.
    let Neuron::Lif { decay, threshold, reset, reset_gradient, surrogate, firing, smooth, .. } =
        spec().neuron
    else {
        unreachable!("the specification's neuron leaks")
    };
    let input_decay = InputDecay::On;
    let neuron =
        Neuron::Lif { decay, input_decay, threshold, reset, reset_gradient, surrogate, firing, smooth };
    let run = |method: &str, steps: usize| {
        let spec = ModelSpec { neuron, steps, ..spec() };
        let mut trainer = trainer(method, "tiny-conv", &spec, DType::F64, per_step()).unwrap();
        // One image for all steps.
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap()
    };
    let exact = run("stbp", 1);
    for steps in [1, 4] {
        let (outcome, found) = run("memoryless", steps);
        assert!((outcome.loss - exact.0.loss).abs() <= 1e-12, "loss at T = {steps}");
        for ((name, a), (_, b)) in found.iter().zip(&exact.1) {
            assert!(relative_difference(a, b) <= 1e-11, "{name} at T = {steps}");
        }
    }
    assert!((run("stbp", 4).0.loss - exact.0.loss).abs() > 1e-6, "with a membrane, steps differ");
}
