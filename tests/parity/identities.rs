//! Where methods must coincide.

use candle_core::DType;
use tests::{batch, gradients, per_step, relative_difference, spec, trainer};

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
