//! All pairs of a method and a model: each learns, or says why it can't.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::DType;
use engine::method::{MethodEntry, RunSpec, Settings, Trainer};
use engine::model::{ModelEntry, ModelSpec};
use engine::optim::{Hold, OptimSpec};
use engine::param::{Param, ParamKind};
use engine::pass::Session;
use engine::site::Role;
use keys::Key;
use tests::{batch, per_step, small, trainer_of};

use crate::network;

/// T of the walk.
const STEPS: usize = 4;

/// Samples of the one batch.
const BATCH: usize = 4;

/// Steps that parameters get to move in, after those that lower the loss.
const MORE: usize = 80;

/// Pairs that cannot learn, with the reason: untrained, the linear layer in front of tdBN's read-out never fires, as no
/// norm stands behind it, so a read-out alone has nothing to read.
const LEARN_NOTHING: [(&str, &str); 1] = [("resnet19-tdbn", "frozen")];

/// A model, a method, and why the method can't train the model, if it can't.
pub(crate) struct Pair {
    pub(crate) model: &'static ModelEntry,
    pub(crate) method: &'static MethodEntry,
    pub(crate) reason: Option<String>,
}

impl Pair {
    pub(crate) fn name(&self) -> String {
        format!("{} x {}", self.model.id, self.method.id)
    }
}

/// Every pair, at the small size.
pub(crate) fn pairs() -> Vec<Pair> {
    let mut all = Vec::new();
    for model in models::all() {
        for entry in registry::all() {
            let method = (entry.build)(&Settings::default()).unwrap();
            let spec = small(model, method.steps(STEPS));
            let run = RunSpec::new(spec.steps, per_step(), Key::new(0));
            let network = network(model, &spec, Session::plan(DType::F32));
            let reason = method.supports(&network, &run).err().map(|reason| reason.to_string());
            all.push(Pair { model, method: entry, reason });
        }
    }
    all
}

/// Every pair that is not refused, at the small size.
pub(crate) fn supported() -> Vec<Pair> {
    pairs().into_iter().filter(|pair| pair.reason.is_none()).collect()
}

#[test]
fn refused_pairs_are_known_and_say_why() {
    let list: String = pairs()
        .into_iter()
        .filter_map(|pair| pair.reason.as_ref().map(|reason| format!("{}: {reason}\n", pair.name())))
        .collect();
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("refused_pairs", list);
    });
}

/// Runs `check` on every pair, two at a time, and lists all complaints.
pub(crate) fn on_every_pair(pairs: Vec<Pair>, check: impl Fn(&Pair) -> Result<(), String> + Sync) {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let pool = kernels::threads::pool(1, 64 << 20).unwrap();
                while let Some(pair) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(complaint) = pool.install(|| check(pair)) {
                        complaints.lock().unwrap().push(format!("{}: {complaint}", pair.name()));
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{} pairs:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn every_supported_pair_learns_one_batch_and_moves_every_parameter() {
    // On every network these have the gradients of another, to the bit, as tests/parity/sparing.rs shows.
    let twins = ["stbp-checkpoint", "stbp-bits"];
    on_every_pair(supported().into_iter().filter(|pair| !twins.contains(&pair.method.id)).collect(), learns);
}

/// Adam's rate. At 0.01 the losses of fifty layers of added spikes jump between 0.3 and 2.8 from update to update; at a tenth of
/// it they fall.
fn rate(pair: &Pair) -> f64 {
    match (pair.model.id, pair.method.id) {
        ("sew-resnet50", "memoryless") => 0.001,
        _ => 0.01,
    }
}

fn numbers(param: &Param) -> Vec<f32> {
    param.value().tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn learns(pair: &Pair) -> Result<(), String> {
    let (method, spec) = (pair.method.id, small(pair.model, STEPS));
    let mut trainer =
        trainer_of(method, pair.model, &spec, DType::F32, per_step()).map_err(|error| error.to_string())?;
    let spec = ModelSpec { steps: trainer.network().spec.steps, ..spec };
    let batch = batch(trainer.session(), &spec, BATCH).unwrap();
    let mut optimizer = OptimSpec::adam(0.0).build(&trainer.network().params).unwrap();
    optimizer.set_learning_rate(rate(pair));
    let before: Vec<Vec<f32>> = trainer.network().params.iter().map(numbers).collect();
    let mut losses = Vec::new();
    // This method learns from a few of a batch's steps: neurons that seldom fire must do so in one of them.
    let updates = if method == "sltt-k" { 40 } else { 20 };
    for _ in 0..updates {
        losses.push(trainer.step(&batch, &mut *optimizer).map_err(|error| error.to_string())?.loss);
    }
    let last = trainer.step(&batch, &mut Hold).map_err(|error| error.to_string())?.loss;
    if last >= 0.98 * losses[0] && !LEARN_NOTHING.contains(&(pair.model.id, method)) {
        return Err(format!("the loss went from {} to {last}", losses[0]));
    }
    let moved = |param: &Param, before: &Vec<f32>| numbers(param) != *before;
    let all = || trainer.network().params.iter().zip(&before);
    if method == "frozen" {
        // Only read-outs may move, and some did.
        let readouts: Vec<&str> = trainer
            .network()
            .sites
            .iter()
            .filter(|site| site.role() == Role::Readout)
            .map(|site| site.name())
            .collect();
        let is_readout = |name: &str| readouts.iter().any(|site| name.starts_with(&format!("{site}.")));
        let strayed: Vec<&str> = all()
            .filter(|(param, before)| moved(param, before) && !is_readout(param.name()))
            .map(|(param, _)| param.name())
            .collect();
        return if strayed.is_empty() { Ok(()) } else { Err(format!("{strayed:?} moved")) };
    }
    let still = |trainer: &dyn Trainer| -> Vec<String> {
        let all = trainer.network().params.iter().zip(&before);
        all.filter(|(param, before)| !moved(param, before) && !may_stand_still(method, param))
            .map(|(param, _)| param.name().to_owned())
            .collect()
    };
    // Weights that read silence have no gradient until the neurons before them fire, in a step that is drawn.
    for _ in 0..MORE {
        if still(&*trainer).is_empty() {
            break;
        }
        trainer.step(&batch, &mut *optimizer).map_err(|error| error.to_string())?;
    }
    let still = still(&*trainer);
    if still.is_empty() { Ok(()) } else { Err(format!("{still:?} stood still")) }
}

/// Parameters that have no gradient by construction.
fn may_stand_still(method: &str, param: &Param) -> bool {
    // The first step has no previous value for its shortcut to scale.
    let first_shortcut = param.kind() == ParamKind::Skip
        && param.gradient().is_none_or(|gradient| {
            let gradient = gradient.tensor().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            gradient.iter().all(|g| *g == 0.0)
        });
    // T-RevSNN's depthwise weights start so small that a block's second spikes are silent at first, and weights that read
    // silence have no gradient. A step that is drawn about ten times in 40 batches does not wake them.
    let silent = method == "sltt-k" && param.name().contains(".pwconv2") && param.kind() != ParamKind::Bias;
    param.kind() == ParamKind::Unread || first_shortcut || silent
}

#[test]
#[ignore = "minutes and gigabytes: cargo test -p tests --test contract full_size -- --ignored --nocapture"]
fn every_supported_pair_takes_a_step_at_full_size() {
    for pair in supported() {
        let published = (pair.model.published)();
        // The norm that lets every method follow; everything else as published.
        let spec = ModelSpec { norm: engine::norm::NormOver::Step, ..published };
        let mut trainer: Box<dyn Trainer> =
            trainer_of(pair.method.id, pair.model, &spec, DType::F32, per_step()).unwrap();
        let spec = ModelSpec { steps: trainer.network().spec.steps, ..spec };
        let batch = batch(trainer.session(), &spec, 1).unwrap();
        let began = std::time::Instant::now();
        let loss = trainer.step(&batch, &mut Hold).unwrap().loss;
        println!("{:<50} loss {loss:.4}, {:.1} s", pair.name(), began.elapsed().as_secs_f64());
        assert!(loss.is_finite(), "{}", pair.name());
    }
}
