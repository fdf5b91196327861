//! T-RevSNN's published counts, its widths for other T, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::drive;
use engine::loss::Loss;
use engine::model::{Encoding, Fusion, LevelChoices, ModelSpec, Network, StepWidth};
use engine::param::Params;
use engine::pass::{Mode, Pass, Session};
use engine::run;
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
    drive::all_steps(&pass, &mut survey, &network.wiring, &images).unwrap();
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
            cost(&network)
        };
        let steps = published(model).steps;
        let (params, macs) = at(steps);
        for steps in [1, 2, 4, 8, 16] {
            let cost = at(steps);
            let off = (cost.0 / params - 1.0, cost.1 / macs - 1.0);
            assert!(off.0.abs() < 0.05 && off.1.abs() < 0.05, "{model}, T = {steps}: {off:?}");
        }
    }
}

#[test]
fn an_untrained_network_guesses_on_every_head() {
    for (batch, side) in [(2, 64), (1, 224)] {
        let spec = ModelSpec { image: [3, side, side], ..published("trevsnn-small") };
        let network = build("trevsnn-small", &spec, Session::new(Device::Cpu, DType::F32)).unwrap();
        let session = network.params.session();
        let mut stream = Key::new(9).stream();
        let pixels = (0..batch * 3 * side * side).map(|_| stream.normal() as f32).collect();
        let images = session.input(&[1, batch, 3, side, side], pixels).unwrap();
        let tape = Tape::off();
        let pass = Pass::new(session, &network.params, &tape, Mode::Train, spec.steps, Key::new(0));
        let mut statistics = Statistics::default();
        let mut port = Through::new(&mut statistics, TimeGradient::Kept);
        let scores = drive::all_steps(&pass, &mut port, &network.wiring, &images).unwrap();
        let loss = Loss::DeepSupervision { smoothing: 0.1, last: 1.0 };
        let labels = vec![3, 141][..batch].to_vec();
        let (found, _) = run::score(&pass, &loss, &scores, &labels.into()).unwrap();
        let outcome = found.read().unwrap();
        // Weights 1/4 + 2/4 + 3/4 + 1 + 1; the released log begins at 24.24.
        let guess = 3.5 * 1000.0_f64.ln();
        println!("{side} pixels: first loss {:.4}, a guess {guess:.4}", outcome.loss);
        assert!((outcome.loss / guess - 1.0).abs() < 0.01, "{} for {guess}", outcome.loss);
    }
}

fn refusal(model: &str, spec: &ModelSpec) -> String {
    build(model, spec, Session::plan(DType::F32)).err().unwrap().to_string()
}

#[test]
fn images_are_taken_where_the_levels_above_fit_what_is_fed_back() {
    for side in [32, 64, 224] {
        let network =
            planned("trevsnn-tiny", &ModelSpec { image: [3, side, side], ..published("trevsnn-tiny") });
        assert!(!survey(&network).is_empty(), "{side}");
    }
    let odd = ModelSpec { image: [3, 28, 28], ..published("trevsnn-tiny") };
    assert!(refusal("trevsnn-tiny", &odd).contains("model.image"));
    let fusion = LevelChoices { fusion: Fusion::None, ..odd.levels };
    survey(&planned("trevsnn-tiny", &ModelSpec { levels: fusion, ..odd }));
}

#[test]
fn choices_without_a_meaning_are_refused() {
    let grouped = LevelChoices { encoding: Encoding::Grouped, ..LevelChoices::default() };
    let divided = LevelChoices { width: StepWidth::Divided, ..LevelChoices::default() };
    let with = |model: &str, levels| refusal(model, &ModelSpec { levels, ..published(model) });
    assert!(with("trevsnn-dvs", grouped).contains("model.levels.encoding"));
    assert!(with("ms-resnet34-trev", grouped).contains("model.levels.encoding"));
    assert!(with("ms-resnet34-trev", divided).contains("model.levels.width"));
    let five = ModelSpec { steps: 5, levels: grouped, ..published("trevsnn-tiny") };
    assert!(refusal("trevsnn-tiny", &five).contains("T = 5 groups"));
}

#[test]
fn events_and_the_shared_network_have_the_parameters_that_are_known() {
    // 10.2 M at 10 classes.
    let dvs = planned("trevsnn-dvs", &published("trevsnn-dvs")).params.count_in_use();
    assert!((10_150_000..10_250_000).contains(&dvs), "{dvs}");
    let spec = published("ms-resnet34-trev");
    let levels = LevelChoices { fusion: Fusion::None, ..spec.levels };
    let alone = planned("ms-resnet34-trev", &ModelSpec { levels, ..spec.clone() });
    let stem = alone.params.find("conv1.weight").unwrap().shape().to_vec();
    assert_eq!(stem, [64, 3, 7, 7]);
    // MS-ResNet-34 of 21.8 M, and one factor a channel and stage.
    let baseline = alone.params.count() - (64 + 128 + 256 + 512);
    assert!((21_750_000..21_850_000).contains(&baseline), "{baseline}");
    assert!(planned("ms-resnet34-trev", &spec).params.count() > alone.params.count());
}
