//! T-RevSNN's published counts, its widths for other T, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::drive::{self, Regions};
use engine::model::{Encoding, Fusion, LevelChoices, ModelSpec, Network, Residual, Sizes, StepWidth};
use engine::param::Params;
use engine::pass::{Mode, Pass, Session};
use engine::tape::Tape;
use engine::unroll::{Statistics, Survey, Surveyed, Through, TimeGradient};
use keys::Key;

fn build(model: &str, spec: &ModelSpec, session: Session) -> engine::Result<Network> {
    models::find(model).unwrap().network(spec, Params::new(Rc::new(session), Key::new(5).fork("init")))
}

fn planned(model: &str, spec: &ModelSpec) -> Network {
    build(model, spec, Session::plan(DType::F32)).unwrap()
}

fn published(model: &str) -> ModelSpec {
    (models::find(model).unwrap().published)()
}

/// The calls of one image through all steps, in a plan.
fn survey(network: &Network) -> Vec<Surveyed> {
    let session = network.params.session();
    let [c, h, w] = network.spec.image;
    let images = session.input(&[1, 1, c, h, w], Vec::new()).unwrap();
    let tape = Tape::off();
    let pass = Pass::new(session, &network.params, &tape, Mode::Train, network.spec.steps, Key::new(0));
    let mut statistics = Statistics::default();
    let mut port = Through::new(&mut statistics, TimeGradient::Kept);
    let mut survey = Survey::of(&mut port);
    drive::all_steps(&pass, &mut survey, &network.wiring, Regions::default(), &images).unwrap();
    survey.into_calls()
}

#[test]
fn parameters_are_those_of_the_released_log_and_of_the_paper() {
    for (model, trained, used) in
        [("trevsnn-tiny", 17_376_912, 15_216_912), ("trevsnn-small", 32_331_312, 29_787_312)]
    {
        let network = planned(model, &published(model));
        assert_eq!((network.params.count(), network.params.count_in_use()), (trained, used), "{model}");
    }
}

/// Parameters of all sub-networks, and MACs of one image through them.
fn cost(network: &Network) -> (f64, f64) {
    let params = network.params.iter().filter(|param| param.name().starts_with("subnet"));
    let params: usize = params.map(|param| param.value().len()).sum();
    let macs: u64 = survey(network)
        .iter()
        .filter(|call| call.site.name().starts_with("subnet"))
        .map(|call| call.macs)
        .sum();
    (params as f64, macs as f64)
}

#[test]
fn divided_sub_networks_cost_together_what_they_cost_at_the_published_steps() {
    for model in ["trevsnn-tiny", "trevsnn-small", "trevsnn-dvs"] {
        let at = |steps: usize| {
            let levels = LevelChoices { width: StepWidth::Divided, ..LevelChoices::default() };
            let spec = ModelSpec { steps, levels, ..published(model) };
            let network = planned(model, &spec);
            (network.params.find("subnet0.alpha3").unwrap().value().len(), cost(&network))
        };
        let steps = published(model).steps;
        let (_, (params, macs)) = at(steps);
        for steps in [1, 2, 4, 8, 16] {
            let (width, cost) = at(steps);
            let off = (cost.0 / params - 1.0, cost.1 / macs - 1.0);
            println!("{model} T = {steps}: c3 {width} params {:+.4} macs {:+.4}", off.0, off.1);
            assert!(off.0.abs() < 0.05 && off.1.abs() < 0.05, "{model}, T = {steps}: {off:?}");
        }
    }
}
