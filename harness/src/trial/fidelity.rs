//! The probe lane, last: the method's parameter gradients beside those of the exact method.
//!
//! Each method steps once on a network of its own, as training began with it or as the method's training left it, with the
//! same first training batch; no parameter moves. One trainer is gone before the other is made. The memory of a step
//! has been measured by then, and trained networks are gone: trained weights come back from a file.

use std::io::Write;
use std::path::Path;

use candle_core::Tensor;
use engine::fidelity::{self, Agreement};
use engine::ledger::{Category, Phase};
use engine::method::{Method, Settings};
use kernels::heap;
use results::FidelityRow;
use tempfile::TempDir;

use super::Failure;
use super::learner;
use super::report::Reporter;
use crate::configuration::Configuration;
use crate::device;
use crate::environment::available_bytes;
use crate::event::{Assignment, Event, Measured};
use crate::source::Feed;
use crate::suite::GradientWeights;
use crate::weights::{self, WeightsFile};

/// A folder for the trained weights, where gradients are compared at those; it goes with the value.
pub(super) fn folder(configuration: &Configuration) -> Result<Option<TempDir>, Failure> {
    let asked = configuration.gradient_weights == GradientWeights::Trained && configuration.budget.epochs > 0;
    asked.then(TempDir::new).transpose().map_err(|error| {
        Failure::because(format!("no folder for the weights that gradients are compared at: {error}"))
    })
}

/// Fills in the cells of the gradient, or says in the note why they stay empty: by now the trial is measured, and
/// nothing that goes wrong here is a reason to lose it.
pub(super) fn compare<W: Write>(
    assignment: &Assignment,
    loader: &Feed,
    trained: Option<&Path>,
    reporter: &mut Reporter<W>,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let Some(batch) = loader.epoch(0).next().transpose()? else { return Ok(()) };
    reporter.tell(&Event::Fidelity)?;
    if trained.is_some() {
        measured.add_note("gradients compared at the trained weights");
    }
    match compared(assignment, loader, trained, &batch) {
        Ok(found) => {
            let Agreement { cosine, norm_ratio } = found.overall;
            (measured.gradient_cosine, measured.gradient_norm_ratio) = (cosine, norm_ratio);
            if cosine.is_none() {
                measured.add_note("no gradient to compare: it is zero or not finite");
            }
            measured.fidelity = found.layers.into_iter().map(row).collect();
        }
        Err(Failure { note, .. }) => measured.add_note(&format!("no gradient to compare: {note}")),
    }
    Ok(())
}

fn row((layer, Agreement { cosine, norm_ratio }): (String, Agreement)) -> FidelityRow {
    FidelityRow { layer, gradient_cosine: cosine, gradient_norm_ratio: norm_ratio, ..FidelityRow::default() }
}

fn compared(
    assignment: &Assignment,
    loader: &Feed,
    trained: Option<&Path>,
    batch: &datasets::Batch,
) -> Result<fidelity::Fidelity, Failure> {
    let configuration = &assignment.configuration;
    let (own, steps) = (configuration.method()?, configuration.network.steps);
    // Whatever T it is asked for, a method without time runs at its own.
    if own.steps(steps + 1) != steps + 1 {
        return Err(Failure::because("the method has no time"));
    }
    let exact = (registry::exact().build)(&Settings::default())?;
    let needed = needed_bytes(configuration, &*exact, loader, batch);
    let free = free_bytes(assignment.memory_limit);
    if let Some((needed, free)) = needed.zip(free).filter(|(needed, free)| needed > free) {
        return Err(Failure::because(format!(
            "exact backpropagation through time would need {needed} bytes, and {free} are free"
        )));
    }
    let own = gradients(assignment, &*own, loader, trained, batch)?;
    let exact = gradients(assignment, &*exact, loader, trained, batch)?;
    Ok(fidelity::compare(&own, &exact)?)
}

/// The parameter gradients of one step at the trial's own T: of the first one, as random draws go by its number. Where a loss
/// scale was too large for it, it is taken anew.
fn gradients(
    assignment: &Assignment,
    method: &dyn Method,
    loader: &Feed,
    trained: Option<&Path>,
    batch: &datasets::Batch,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let configuration = &assignment.configuration;
    let (initial, steps) = (assignment.weights.as_deref(), configuration.network.steps);
    let mut factor = None;
    loop {
        let session = device::session(&configuration.device, configuration.dtype)?;
        if let Some(factor) = factor {
            session.loss_scale().begin_at(factor);
        }
        let mut trainer = learner::trainer(configuration, method, session, steps, initial)?;
        if let Some(folder) = trained {
            let path = weights::saved_path(folder, &configuration.key());
            WeightsFile::read(&path)?.load(trainer.run_mut())?;
        }
        let batch = learner::to_device(trainer.session(), loader, batch.clone())?;
        let found = fidelity::gradients(&mut *trainer, &batch)?;
        let scale = trainer.session().loss_scale();
        if scale.left_out() == 0 {
            return Ok(found);
        }
        factor = Some(scale.factor());
    }
}

/// What a plan of the method's step holds at most, with a quarter on top for what no plan sees; nothing where it
/// can't be planned.
fn needed_bytes(
    configuration: &Configuration,
    method: &dyn Method,
    loader: &Feed,
    batch: &datasets::Batch,
) -> Option<usize> {
    let steps = configuration.network.steps;
    let mut trainer =
        learner::trainer(configuration, method, device::planning(configuration.dtype), steps, None).ok()?;
    let batch = learner::to_device(trainer.session(), loader, batch.clone()).ok()?;
    trainer.step(&batch, &mut engine::optim::Hold).ok()?;
    let ledger = trainer.session().ledger();
    let held = Phase::ALL.map(|phase| ledger.peak(phase).total).into_iter().max().unwrap_or(0);
    let planned = held + ledger.most(Category::Workspace);
    Some(planned + planned / 4)
}

/// Bytes that this process may still take.
fn free_bytes(limit: Option<usize>) -> Option<usize> {
    let below_the_limit = limit.map(|limit| limit.saturating_sub(heap::live_bytes()));
    [below_the_limit, available_bytes()].into_iter().flatten().min()
}
