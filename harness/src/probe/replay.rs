//! Runs a case's step and collects every tensor that a case may hold, under the case's names.

use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{D, DType, Device, Tensor};
use engine::journal::{Journal, Noted, snapshot};
use engine::ledger::Category;
use engine::loss::Targets;
use engine::method::{Batch, RunSpec, Trainer};
use engine::operations::Counts;
use engine::optim::{Hold, OptimSpec, Optimizer, Undecayed};
use engine::param::Params;
use engine::pass::{NormUpdates, Session, Tiles};
use engine::site::Role;
use keys::Key;

use super::case::{Case, Tensors};
use super::dialect;
use crate::error::{Error, Result};

/// What the step gave, by the names of golden cases.
pub(super) type Replayed = BTreeMap<String, Tensor>;

/// Runs one step of the case with its parameters, and the evaluations before and after it.
pub(super) fn replay(case: &Case, file: &Tensors, device: &Device) -> Result<Replayed> {
    let mut replayed = Replayed::new();
    let mut trainer = trainer(case, file, device)?;
    let batch = batch(case, file, trainer.session())?;
    let engine = |source| Error::Setting { place: file.path.display().to_string(), source };
    let candle = |error: candle_core::Error| engine(engine::Error::from(error));

    trainer.session().watch();
    trainer.evaluate(&batch).map_err(engine)?;
    let before = trainer.session().take_journal().unwrap_or_default();
    replayed.insert("eval_logits".into(), over_time(&before.scores).map_err(candle)?);

    let mut optimizer = optimizer(case, file, &*trainer)?;
    trainer.session().watch();
    trainer.step(&batch, &mut *optimizer).map_err(engine)?;
    let journal = trainer.session().take_journal().unwrap_or_default();
    let params = &trainer.network().params;
    let gradients = match journal.updates.is_empty() {
        true => snapshot(params, true).map_err(engine)?,
        // What the case holds is the plain sum over the steps; no update used it.
        false => journal.summed_gradients().map_err(engine)?,
    };
    replayed.extend(named("grad/", gradients));
    replayed.extend(named("param_after/", snapshot(params, false).map_err(engine)?));
    statistics(&*trainer, &mut replayed).map_err(engine)?;
    collect(case, journal, &mut replayed).map_err(candle)?;
    add_aliases(params, &mut replayed);

    trainer.session().watch();
    trainer.evaluate(&batch).map_err(engine)?;
    let after = trainer.session().take_journal().unwrap_or_default();
    replayed.insert("eval_logits_after".into(), over_time(&after.scores).map_err(candle)?);
    Ok(replayed)
}

/// Evaluates the case's batch with its parameters and counts what is computed.
pub(super) fn count(case: &Case, file: &Tensors, device: &Device) -> Result<Option<Counts>> {
    let mut trainer = trainer(case, file, device)?;
    let batch = batch(case, file, trainer.session())?;
    let samples = batch.labels.len();
    trainer.session().count_operations();
    let counted = trainer.evaluate(&batch).and_then(|_| {
        trainer.session().end_counted(samples)?;
        trainer.session().take_counts()
    });
    counted.map_err(|source| Error::Setting { place: file.path.display().to_string(), source })
}

fn trainer(case: &Case, file: &Tensors, device: &Device) -> Result<Box<dyn Trainer>> {
    let place = || file.path.display().to_string();
    let entry = dialect::model(case)?;
    let (_, channels, height, width) = image(file)?;
    let classes = case.number(&["num_classes"]).map_or_else(
        || {
            file.get("logits")?
                .dim(D::Minus1)
                .map_err(|error| Error::Setting { place: place(), source: engine::Error::from(error) })
        },
        Ok,
    )?;
    let spec = dialect::spec(case, entry, [channels, height, width], classes)?;
    let (official, method) = dialect::method(case, has_updates(file))?;
    let method = (method.build)(&dialect::settings(case, official))
        .map_err(|source| Error::Setting { place: place(), source })?;
    let session = Rc::new(Session::new(device.clone(), file.dtype));
    let build = || -> engine::Result<Box<dyn Trainer>> {
        let mut tensors = file.under("param/");
        tensors.extend(file.under("buffer/"));
        // First in a plan: sizes that are not those of the file may be larger than any memory.
        let planned = Rc::new(Session::plan(file.dtype));
        engine::weights::check(&entry.network(&spec, Params::new(planned, Key::new(0)))?, &tensors)?;
        let network = entry.network(&spec, Params::new(session, Key::new(0)))?;
        let run = RunSpec {
            // The authors' codes of the reversible methods move the statistics twice.
            rebuilt_norms: NormUpdates::Move,
            gradient_tiles: Tiles::default(),
            ..RunSpec::new(case.steps, dialect::loss(case).map_err(misuse)?, Key::new(0))
        };
        method.supports(&network, &run)?;
        let mut trainer = method.trainer(network, run)?;
        let run = trainer.run_mut();
        engine::weights::load(&run.network, &mut run.statistics, &tensors)?;
        Ok(trainer)
    };
    // The loss's own message names the case already.
    dialect::loss(case)?;
    build().map_err(|source| Error::Setting { place: place(), source })
}

fn misuse(error: Error) -> engine::Error {
    engine::Error::Misuse(error.to_string())
}

/// Whether parameters moved inside the step.
fn has_updates(file: &Tensors) -> bool {
    file.iter().any(|(name, _)| name.starts_with("grad_step"))
}

fn optimizer(case: &Case, file: &Tensors, trainer: &dyn Trainer) -> Result<Box<dyn Optimizer>> {
    if !has_updates(file) {
        return Ok(Box::new(Hold));
    }
    let (rate, momentum) = dialect::updates(case)?;
    let undecayed = Undecayed::default();
    let mut optimizer = OptimSpec::Sgd { momentum, weight_decay: 0.0, nesterov: false, undecayed }
        .build(&trainer.network().params)
        .map_err(|source| Error::Setting { place: file.path.display().to_string(), source })?;
    optimizer.set_learning_rate(rate);
    Ok(optimizer)
}

/// `(frames, C, H, W)` of the input `[B, C, H, W]` or `[B, T, C, H, W]`.
fn image(file: &Tensors) -> Result<(Option<usize>, usize, usize, usize)> {
    match *file.get("x")?.dims() {
        [_, c, h, w] => Ok((None, c, h, w)),
        [_, t, c, h, w] => Ok((Some(t), c, h, w)),
        ref other => {
            let place = format!("{}: shape of x", file.path.display());
            Err(Error::value(place, "[B, C, H, W] or [B, T, C, H, W]", format!("{other:?}")))
        }
    }
}

fn batch(case: &Case, file: &Tensors, session: &Session) -> Result<Batch> {
    let (frames, c, h, w) = image(file)?;
    if let Some(frames) = frames.filter(|&frames| frames != case.steps) {
        let place = format!("{}: frames of x", file.path.display());
        return Err(Error::value(place, format!("T = {}", case.steps), frames));
    }
    let make = || -> engine::Result<Batch> {
        let (x, y) = (file.get("x").map_err(misuse)?, file.get("y").map_err(misuse)?);
        let x = match frames {
            Some(_) => x.transpose(0, 1)?.contiguous()?,
            None => x.unsqueeze(0)?,
        };
        let labels: Vec<i64> = y.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
        let labels = labels.into_iter().map(|label| {
            u32::try_from(label).map_err(|_| engine::Error::setting("y", "classes, counted from 0", label))
        });
        let labels: Vec<u32> = labels.collect::<engine::Result<_>>()?;
        let shape = [frames.unwrap_or(1), labels.len(), c, h, w];
        Ok(Batch { images: session.constant(Category::Input, &shape, &x)?, labels: Targets::Classes(labels) })
    };
    make().map_err(|source| Error::Setting { place: file.path.display().to_string(), source })
}

/// Everything the journal holds.
fn collect(case: &Case, journal: Journal, into: &mut Replayed) -> candle_core::Result<()> {
    let logits = over_time(&journal.scores)?;
    into.insert("logits_mean".into(), logits.mean(0)?);
    into.insert("logits".into(), logits);
    let counted = |step: Option<usize>| match (&case.selected, step) {
        (Some(selected), Some(step)) => selected.contains(&step),
        _ => true,
    };
    let mut parts: Vec<_> = journal.scores.iter().map(|scores| scores.step).zip(&journal.losses).collect();
    parts.sort_by_key(|(step, _)| *step);
    let losses: Vec<f64> =
        parts.into_iter().filter(|(step, _)| counted(*step)).map(|(_, loss)| *loss).collect();
    into.insert("loss".into(), Tensor::new(losses.iter().sum::<f64>(), &Device::Cpu)?);
    into.insert("loss_t".into(), Tensor::new(losses, &Device::Cpu)?);
    if let Some(gradient) = journal.input_gradient {
        // [1 or T, B, ...] to [B, ...] or [B, T, ...].
        let gradient = match gradient.dim(0)? {
            1 => gradient.squeeze(0)?,
            _ => gradient.transpose(0, 1)?.contiguous()?,
        };
        into.insert("grad_x".into(), gradient);
    }
    for (site, fired) in &journal.spikes {
        into.insert(format!("spikes/{site}"), over_time(fired)?);
    }
    for (prefix, states) in [("state_v/", journal.membranes), ("state_trace/", journal.traces)] {
        for (site, state) in states {
            into.insert(format!("{prefix}{site}"), state.squeeze(0)?);
        }
    }
    for (step, update) in journal.updates.into_iter().enumerate() {
        into.extend(named(&format!("grad_step{step}/"), update.gradients));
        into.extend(named(&format!("param_after_step{step}/"), update.params));
    }
    Ok(())
}

/// A shared parameter stands under each of its names.
fn add_aliases(params: &Params, into: &mut Replayed) {
    let groups: Vec<String> =
        into.keys().filter_map(|name| Some(name.split_once('/')?.0.to_owned())).collect();
    for group in std::collections::BTreeSet::from_iter(groups) {
        for (alias, own) in params.aliases() {
            if let Some(tensor) = into.get(&format!("{group}/{own}")).cloned() {
                into.insert(format!("{group}/{alias}"), tensor);
            }
        }
    }
}

fn named(prefix: &str, tensors: Vec<(String, Tensor)>) -> impl Iterator<Item = (String, Tensor)> {
    tensors.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
}

/// Calls in the order of their steps, joined along time.
fn over_time(calls: &[Noted]) -> candle_core::Result<Tensor> {
    let mut ordered: Vec<&Noted> = calls.iter().collect();
    ordered.sort_by_key(|call| call.step);
    Tensor::cat(&ordered.into_iter().map(|call| &call.values).collect::<Vec<_>>(), 0)
}

fn statistics(trainer: &dyn Trainer, into: &mut Replayed) -> engine::Result<()> {
    let run = trainer.run();
    for (index, mean, variance, updates) in run.statistics.iter() {
        let Some(site) = run.network.sites.iter().find(|s| s.index() == index && s.role() == Role::Norm)
        else {
            continue;
        };
        let name = |what: &str| format!("buffer_after/{}.{what}", site.name());
        into.insert(name("running_mean"), mean.tensor()?.copy()?);
        into.insert(name("running_var"), variance.tensor()?.copy()?);
        into.insert(name("num_batches_tracked"), Tensor::new(updates as i64, &Device::Cpu)?);
    }
    Ok(())
}
