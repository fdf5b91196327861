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
use engine::loss::Loss;
use engine::method::{Batch, RunSpec};
use engine::model::{ModelSpec, Sizes};
use engine::optim::Optimizer;
use engine::param::Params;
use engine::pass::Session;
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
    smoothing: f64,
    /// Whether the authors' code moves the running statistics of reversible blocks twice.
    twice: bool,
}

fn check(case: &Case) {
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
    let loss = Loss::MeanScores { smoothing: case.smoothing };
    let mut run = Run::new(network, RunSpec::new(case.steps, loss, Key::new(2)));
    let mut given = part(&tensors, "param/");
    given.extend(part(&tensors, "buffer/"));
    weights::load(&run.network, &mut run.statistics, &given).unwrap();

    let labels = numbers(&tensors["y"]).into_iter().map(|label| label as u32).collect();
    let images = session.constant(Category::Input, x.dims(), &x).unwrap();
    session.watch();
    let outcome = run
        .through_time(&Batch { images, labels }, &mut Hold, Regions::default(), |statistics| {
            Through::new(statistics, TimeGradient::Kept)
        })
        .unwrap();
    let journal = session.take_journal().unwrap();

    let mut worst = (0.0, String::new());
    let mut compare = |name: &str, ours: &Tensor, theirs: &Tensor| {
        let off = off(ours, theirs);
        assert!(off <= 1e-9, "{}: {name} is off by {off:e}", case.name);
        if off > worst.0 {
            worst = (off, name.to_string());
        }
    };
    let scores = &journal.scores[0].values;
    match tensors["logits"].rank() {
        3 => compare("logits", scores, &tensors["logits"]),
        _ => compare("logits", &scores.mean(0).unwrap(), &tensors["logits"]),
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
        let name = sites.iter().find(|site| site.index() == index && site.role() == Role::Norm).unwrap().name();
        if case.twice && name.contains("reversible_blocks") {
            continue;
        }
        for (what, ours) in [("running_mean", mean), ("running_var", variance)] {
            let name = format!("{name}.{what}");
            compare(&name, ours.tensor().unwrap(), &tensors[&format!("buffer_after/{name}")]);
        }
    }
    println!("{}: worst {:e} at {}", case.name, worst.0, worst.1);
}

fn sizes(widths: &[usize], blocks: &[usize]) -> Sizes {
    Sizes { widths: Some(widths.to_vec()), blocks: Some(blocks.to_vec()), ..Sizes::default() }
}

#[test]
fn ms_resnet_is_that_of_the_authors() {
    check(&Case {
        name: "revsnn_msresnet",
        model: "ms-resnet18",
        steps: 4,
        sizes: sizes(&[4, 6, 8, 10], &[1, 2, 1, 1]),
        smoothing: 0.0,
        twice: false,
    });
}

#[test]
fn rev_resnet_is_that_of_the_authors() {
    check(&Case {
        name: "revsnn_revsresnet",
        model: "rev-resnet21",
        steps: 4,
        sizes: sizes(&[4, 6, 8, 10], &[1, 2, 1, 1]),
        smoothing: 0.0,
        twice: true,
    });
}

#[test]
fn rev_resnet_on_events_is_that_of_the_authors() {
    check(&Case {
        name: "revsnn_revsresnet_dvs",
        model: "rev-resnet24",
        steps: 5,
        sizes: sizes(&[4, 6, 8], &[1, 2, 2]),
        smoothing: 0.1,
        twice: true,
    });
}
