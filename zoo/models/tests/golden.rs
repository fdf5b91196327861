//! One step of the zoo's networks against the authors' PyTorch code: scores, gradients and running statistics.
//!
//! The cases hold the authors' parameters by their own names, an input, and what their code computed from it in f64.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the lint spares test functions, not what they share")]

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::Result;
use engine::drive::Regions;
use engine::journal::snapshot;
use engine::ledger::Category;
use engine::loss::{Loss, MseTarget};
use engine::method::{Batch, RunSpec};
use engine::model::{ModelSpec, Sizes};
use engine::optim::Optimizer;
use engine::param::Params;
use engine::pass::{NormUpdates, Session};
use engine::run::Run;
use engine::site::Role;
use engine::unroll::{Through, TimeGradient};
use engine::weights;
use keys::Key;

/// Changes nothing: gradients are read after the step.
struct Hold;

impl Optimizer for Hold {
    fn update(&mut self, _params: &Params) -> Result<()> {
        Ok(())
    }

    fn set_learning_rate(&mut self, _rate: f64) {}
}

type Tensors = BTreeMap<String, Tensor>;

/// Tensors whose names start with `prefix`, without it.
fn part(case: &Tensors, prefix: &str) -> Tensors {
    let named = case.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
    named.map(|(name, tensor)| (name.to_string(), tensor.clone())).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest difference, as a part of the largest number of the reference; gradients that are mathematically zero, but
/// for rounding, are compared absolutely.
fn off(ours: &Tensor, theirs: &Tensor) -> f64 {
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len());
    let scale = theirs.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let most = ours.iter().zip(&theirs).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    assert!(ours.iter().all(|x| x.is_finite()));
    if scale < 1e-9 { most } else { most / scale }
}

/// What a case needs beside the model's published set-up.
struct Case {
    name: &'static str,
    model: &'static str,
    steps: usize,
    sizes: Sizes,
    loss: Loss,
    /// Whether there are blocks that the authors' code inverts, whose running statistics it moves twice.
    reversible: bool,
}

fn check(case: &Case) {
    step(case, Regions::default(), NormUpdates::Keep);
    step(case, Regions { coupled: true, checkpoint: true }, NormUpdates::Keep);
    if case.reversible {
        step(case, Regions { coupled: true, checkpoint: false }, NormUpdates::Move);
    }
}

fn step(case: &Case, regions: Regions, rebuilt_norms: NormUpdates) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case.name);
    let file = folder.join(format!("{}_f64.safetensors", case.name));
    let tensors: Tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap().into_iter().collect();
    let entry = models::find(case.model).unwrap();
    // Frames come as [B, T, ...].
    let x = match tensors["x"].rank() {
        5 => tensors["x"].transpose(0, 1).unwrap().contiguous().unwrap(),
        _ => tensors["x"].unsqueeze(0).unwrap(),
    };
    let &[_, _, channels, height, width] = x.dims() else { panic!("{}: x is no image", case.name) };
    let classes = tensors["logits"].dims().last().copied().unwrap();
    let spec = ModelSpec {
        image: [channels, height, width],
        classes,
        steps: case.steps,
        sizes: case.sizes.clone(),
        ..(entry.published)()
    };
    let session = Rc::new(Session::new(Device::Cpu, DType::F64));
    let params = Params::new(Rc::clone(&session), Key::new(1));
    let network = entry.network(&spec, params).unwrap();
    let spec = RunSpec { rebuilt_norms, ..RunSpec::new(case.steps, case.loss, Key::new(2)) };
    let mut run = Run::new(network, spec);
    let mut given = part(&tensors, "param/");
    given.extend(part(&tensors, "buffer/"));
    weights::load(&run.network, &mut run.statistics, &given).unwrap();

    let labels: Vec<u32> = numbers(&tensors["y"]).into_iter().map(|label| label as u32).collect();
    let images = session.constant(Category::Input, x.dims(), &x).unwrap();
    let batch = Batch { images, labels: labels.into() };
    session.watch();
    run.evaluate(&batch, |statistics| Through::new(statistics, TimeGradient::Cut)).unwrap();
    let evaluated = session.take_journal().unwrap().scores.remove(0).values;
    session.watch();
    let outcome = run
        .through_time(&batch, &mut Hold, regions, |statistics| Through::new(statistics, TimeGradient::Kept))
        .unwrap();
    let journal = session.take_journal().unwrap();

    let compare = |name: &str, ours: &Tensor, theirs: &Tensor| {
        let off = off(ours, theirs);
        assert!(off <= 1e-9, "{} {regions:?}: {name} is off by {off:e}", case.name);
    };
    // Some authors take the mean over time in front of the read-out, and have no scores of a step.
    for (name, ours) in [("logits", &journal.scores[0].values), ("eval_logits", &evaluated)] {
        match tensors[name].rank() {
            3 => compare(name, ours, &tensors[name]),
            _ => compare(name, &ours.mean(0).unwrap(), &tensors[name]),
        }
    }
    for (site, spikes) in part(&tensors, "spikes/") {
        let noted = journal.spikes.get(&site).unwrap_or_else(|| panic!("{}: no site {site}", case.name));
        compare(&site, &noted[0].values, &spikes);
    }
    let loss = Tensor::new(outcome.loss, &Device::Cpu).unwrap();
    compare("loss", &loss, &tensors["loss"]);
    let dx = journal.input_gradient.unwrap();
    let dx = if tensors["x"].rank() == 5 { dx.transpose(0, 1).unwrap() } else { dx };
    compare("grad_x", &dx, &tensors["grad_x"]);
    for (name, ours) in snapshot(&run.network.params, true).unwrap() {
        match tensors.get(&format!("grad/{name}")) {
            Some(theirs) => compare(&name, &ours, theirs),
            None => assert!(numbers(&ours).iter().all(|&x| x == 0.0), "{}: {name} got a gradient", case.name),
        }
    }
    let sites = &run.network.sites;
    for (index, mean, variance, _) in run.statistics.iter() {
        let name =
            sites.iter().find(|site| site.index() == index && site.role() == Role::Norm).unwrap().name();
        if case.reversible && rebuilt_norms == NormUpdates::Keep && name.contains("reversible_blocks") {
            continue;
        }
        for (what, ours) in [("running_mean", mean), ("running_var", variance)] {
            let name = format!("{name}.{what}");
            compare(&name, ours.tensor().unwrap(), &tensors[&format!("buffer_after/{name}")]);
        }
    }
}

fn sizes(widths: &[usize], blocks: &[usize]) -> Sizes {
    Sizes { widths: Some(widths.to_vec()), blocks: Some(blocks.to_vec()), ..Sizes::default() }
}

/// Two blocks of 16 channels.
fn transformer(heads: usize) -> Sizes {
    Sizes { heads: Some(heads), ..sizes(&[16], &[2]) }
}

fn mean_scores(smoothing: f64) -> Loss {
    Loss::MeanScores { smoothing }
}

fn case(name: &'static str, model: &'static str, steps: usize, sizes: Sizes) -> Case {
    Case { name, model, steps, sizes, loss: mean_scores(0.0), reversible: false }
}

#[test]
fn ms_resnet_is_that_of_the_authors() {
    check(&case("revsnn_msresnet", "ms-resnet18", 4, sizes(&[4, 6, 8, 10], &[1, 2, 1, 1])));
}

#[test]
fn ms_resnet_on_events_is_that_of_the_authors() {
    let sizes = sizes(&[4, 6, 8], &[1, 2, 1]);
    check(&Case { loss: mean_scores(0.1), ..case("msresnet_dvs", "ms-resnet20", 4, sizes) });
}

#[test]
fn rev_resnet_is_that_of_the_authors() {
    let sizes = sizes(&[4, 6, 8, 10], &[1, 2, 1, 1]);
    check(&Case { reversible: true, ..case("revsnn_revsresnet", "rev-resnet21", 4, sizes) });
}

#[test]
fn rev_resnet_on_events_is_that_of_the_authors() {
    let sizes = sizes(&[4, 6, 8], &[1, 2, 2]);
    check(&Case {
        loss: mean_scores(0.1),
        reversible: true,
        ..case("revsnn_revsresnet_dvs", "rev-resnet24", 5, sizes)
    });
}

#[test]
fn sew_resnet_is_that_of_the_authors() {
    check(&case("sew_resnet18", "sew-resnet18", 4, sizes(&[4, 6, 8, 10], &[2, 2, 2, 2])));
    check(&case("sew_resnet50", "sew-resnet50", 3, sizes(&[4, 4, 6, 6], &[1, 2, 1, 1])));
}

#[test]
fn spikingformer_is_that_of_the_authors() {
    check(&Case {
        loss: mean_scores(0.1),
        ..case("spikingformer", "spikingformer-2-384", 2, transformer(2))
    });
}

#[test]
fn revsformer_is_that_of_the_authors() {
    let case = case("revsformer", "revsformer-2-384", 2, transformer(2));
    check(&Case { loss: mean_scores(0.1), reversible: true, ..case });
}

#[test]
fn spike_driven_transformer_is_that_of_the_authors() {
    let model = "spike-driven-transformer-2-512";
    check(&Case { loss: mean_scores(0.1), ..case("sdt", model, 2, transformer(2)) });
    let pooled = Sizes { pools: Some(vec![1, 2, 3, 4]), ..transformer(4) };
    check(&Case { loss: mean_scores(0.1), ..case("sdt_imagenet", model, 3, pooled) });
}

#[test]
fn transformers_on_events_are_those_of_the_authors() {
    let smoothed = |name, model| Case { loss: mean_scores(0.1), ..case(name, model, 2, transformer(2)) };
    check(&smoothed("spikingformer_dvs", "spikingformer-2-256"));
    check(&Case { reversible: true, ..smoothed("revsformer_dvs", "revsformer-2-256") });
}

#[test]
fn spike_driven_transformer_on_events_is_that_of_the_authors() {
    let loss = Loss::PerStep { mse: 0.001, target: MseTarget::Constant(1.0), smoothing: 0.1 };
    let sizes = Sizes { pools: Some(vec![3, 4]), ..transformer(2) };
    check(&Case { loss, ..case("sdt_dvs", "spike-driven-transformer-2-256", 3, sizes) });
}
