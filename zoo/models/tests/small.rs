//! Every model at an eighth of its width: it trains as it is planned, and says what does not fit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::ledger::Category;
use engine::loss::Loss;
use engine::method::{Batch, RunSpec};
use engine::model::{ModelEntry, ModelSpec, Network, Sizes};
use engine::optim::{OptimSpec, Undecayed};
use engine::param::{ParamKind, Params};
use engine::pass::Session;
use engine::region::Regions;
use engine::run::Run;
use engine::unroll::{Through, TimeGradient};
use keys::Key;

/// The published network at an eighth of its width, on 32 x 32 pixels for three steps.
fn small(entry: &ModelEntry) -> ModelSpec {
    let published = (entry.published)();
    let [channels, side, _] = published.image;
    let side = side.min(32);
    ModelSpec { image: [channels, side, side], classes: 10, steps: 3, width: 0.125, ..published }
}

fn build(entry: &ModelEntry, spec: &ModelSpec) -> engine::Result<Network> {
    let session = Rc::new(Session::new(Device::Cpu, DType::F32));
    entry.network(spec, Params::new(session, Key::new(3)))
}

/// One step of the model in a session, from images that do not matter to a plan.
fn train(entry: &ModelEntry, session: Session) -> Run {
    const BATCH: usize = 2;
    let spec = small(entry);
    let network = entry.network(&spec, Params::new(Rc::new(session), Key::new(3))).unwrap();
    let [channels, height, width] = spec.image;
    let frames = if channels == 2 { spec.steps } else { 1 };
    let shape = [frames, BATCH, channels, height, width];
    let mut stream = Key::new(4).fork("images").stream();
    let pixels = (0..shape.iter().product()).map(|_| stream.normal().abs() as f32).collect();
    let images = network.params.session().input(&shape, pixels).unwrap();
    let optimizer =
        OptimSpec::Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false, undecayed: Undecayed::Nothing };
    let mut optimizer = optimizer.build(&network.params).unwrap();
    optimizer.set_learning_rate(0.01);
    let loss = Loss::MeanScores { smoothing: 0.0 };
    let mut run = Run::new(network, RunSpec::new(spec.steps, loss, Key::new(5)));
    let batch = Batch { images, labels: vec![1, 7].into() };
    let outcome = run.through_time(&batch, &mut *optimizer, &Regions::default(), |statistics| {
        Through::new(statistics, TimeGradient::Kept)
    });
    assert!(outcome.unwrap().loss.is_finite(), "{}", entry.id);
    run
}

#[test]
fn every_model_trains_at_an_eighth_of_its_width() {
    for entry in models::all() {
        let run = train(entry, Session::new(Device::Cpu, DType::F32));
        // Nothing reads these norms and these heads; the first step's shortcuts have nothing to carry.
        let unread = [".norm1.", ".norm2.", ".talking_heads."];
        for param in run.network.params.iter().filter(|param| param.kind() != ParamKind::Skip) {
            let read = !unread.iter().any(|part| param.name().contains(part));
            assert_eq!(param.gradient().is_some(), read, "{}: {}", entry.id, param.name());
        }
    }
}

#[test]
fn a_plan_of_every_model_holds_what_the_run_holds() {
    for entry in models::all() {
        let most = |session| {
            let run = train(entry, session);
            let session = run.session();
            [Category::Saved, Category::State, Category::Passing, Category::ActivationGradients]
                .map(|category| session.ledger().most(category))
        };
        let run = most(Session::new(Device::Cpu, DType::F32));
        assert_eq!(most(Session::plan(DType::F32)), run, "{}", entry.id);
    }
}

#[test]
fn a_transformer_refuses_heads_that_do_not_divide_its_channels() {
    for id in ["spikingformer-2-384", "revsformer-2-384", "spike-driven-transformer-8-384"] {
        let entry = models::find(id).unwrap();
        let sizes = Sizes { heads: Some(5), ..Sizes::default() };
        let refused = build(entry, &ModelSpec { sizes, ..small(entry) }).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("model.sizes.heads"), "{refused}");
        let refused = build(entry, &ModelSpec { width: 0.13, ..small(entry) }).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("model.width"), "{refused}");
    }
}

#[test]
fn a_residual_network_refuses_a_list_of_another_length() {
    for id in ["ms-resnet18", "rev-resnet21", "sew-resnet50", "resnet19-tdbn", "spiking-resnet18"] {
        let entry = models::find(id).unwrap();
        let sizes = Sizes { widths: Some(vec![8, 8]), ..Sizes::default() };
        let refused = build(entry, &ModelSpec { sizes, ..small(entry) }).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("model.sizes.widths"), "{refused}");
    }
}
