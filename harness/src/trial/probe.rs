//! The probe lane: the memory of one training step, at each T asked for.
//!
//! Each T gets a network of its own, one step to warm up (kernel scratch and the optimiser's state are then in
//! place) and one step that is measured twice at once: by the device's allocator (the counting heap, or an accelerator's
//! pool), and by the engine's ledger.

use std::collections::BTreeSet;
use std::io::Write;

use candle_core::Tensor;
use engine::ledger::{Category, Ledger, Phase};
use engine::pass::Session;
use results::LedgerRow;

use super::Failure;
use super::learner::Learner;
use super::operations;
use super::report::Reporter;
use crate::configuration::Configuration;
use crate::device;
use crate::event::{Assignment, Event, Measured};
use crate::gauge::{Gauge, Reading};
use crate::plan;
use crate::source::{Entry, Feed};

/// The name under which a whole step stands beside its phases.
const WHOLE_STEP: &str = "step";

/// The largest sum over the categories that the memory laws are stated on.
const IN_LAWS: &str = "law";

/// Measures the memory of a step at the trial's own T and at each other T that the case asks for.
pub(super) fn probe<W: Write>(
    assignment: &Assignment,
    loader: &Feed,
    reporter: &mut Reporter<W>,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let configuration = &assignment.configuration;
    let Some(batch) = loader.epoch(0).next().transpose()? else { return Ok(()) };
    let (own, method) = (configuration.network.steps, configuration.method()?);
    // A method without time runs at a T of its own, whatever is asked for.
    let asked: BTreeSet<usize> =
        configuration.memory_probe.iter().map(|&steps| method.steps(steps)).collect();
    for &steps in std::iter::once(&own).chain(asked.iter().filter(|&&steps| steps != own)) {
        reporter.tell(&Event::Probe { steps })?;
        let other = if steps == own { None } else { at(assignment, steps)? };
        let (loader, batch) = other.as_ref().map_or((loader, &batch), |(loader, batch)| (loader, batch));
        let found = match step(configuration, loader, batch, steps) {
            Ok(found) => found,
            // A setting such as "backward at 2 of T steps" may rule out a small T, and that alone.
            Err(failure) if steps != own && failure.status == results::Status::Unsupported => continue,
            Err(failure) => return Err(failure),
        };
        if steps == own {
            measured.peak_step_bytes = found.reading.peak;
            measured.saved_bytes_peak = Some(found.saved_bytes);
            measured.planned_step_bytes = planned(configuration, loader, batch, steps);
            operations::plan(configuration, loader, batch, measured);
        }
        measured.ledger.extend(found.rows);
    }
    measured.ledger.sort_by_key(|row| row.probe_t);
    Ok(())
}

/// The training feed at another T with its first batch, where the data have a T of their own; `None` of images.
fn at(assignment: &Assignment, steps: usize) -> Result<Option<(Feed, datasets::Batch)>, Failure> {
    let entry = Entry::find(&assignment.configuration.dataset)?;
    let Entry::Frames(_) = entry else { return Ok(None) };
    let source = super::opened(entry, assignment, steps)?;
    let (feed, _) = plan::feeds(&assignment.configuration, &source)?;
    let first = feed.epoch(0).next().transpose()?;
    Ok(first.map(|batch| (feed, batch)))
}

/// What one step held.
struct Found {
    reading: Reading,
    saved_bytes: u64,
    rows: Vec<LedgerRow>,
}

fn step(
    configuration: &Configuration,
    loader: &Feed,
    batch: &datasets::Batch,
    steps: usize,
) -> Result<Found, Failure> {
    let session = device::session(&configuration.device, configuration.dtype)?;
    let mut learner = learn_once(configuration, session, loader, batch, steps)?;
    let again = learner.batch(loader, batch.clone())?;
    let ledger = std::rc::Rc::clone(learner.session.ledger());
    warm_products(configuration)?;
    ledger.restart();
    let (between, scratch) = (ledger.peak_of_all().total, kept_scratch());
    let gauge = Gauge::set(&learner.session)?;
    learner.step(&again)?;
    let reading = gauge.read()?;
    let booked = ledger.peak_of_all().total - between + kept_scratch().saturating_sub(scratch);
    Ok(Found {
        reading,
        saved_bytes: ledger.most(Category::Saved) as u64,
        rows: rows(&ledger, steps, reading, booked as u64),
    })
}

/// Rows and columns of matrices whose product packs one of them in the room that a thread keeps, and is computed where
/// it is called.
const PACKED: [usize; 2] = [16, 32];

/// Runs a matrix product on every thread. The first one of some shapes takes room to pack in, of the size of the
/// second-level cache, and keeps it for the run; whether each thread had its first one while the learner warmed up is
/// left to chance.
fn warm_products(configuration: &Configuration) -> Result<(), Failure> {
    let session = device::session(&configuration.device, configuration.dtype)?;
    if !session.device().is_cpu() {
        return Ok(());
    }
    let [rows, side] = PACKED;
    let ones = |rows: usize| Tensor::ones((rows, side), session.dtype(), session.device());
    let (few, square) = (ones(rows).map_err(engine::Error::from)?, ones(side).map_err(engine::Error::from)?);
    let product = |_: rayon::BroadcastContext<'_>| kernels::linear::backward_input(&few, &square).map(|_| ());
    rayon::broadcast(product).into_iter().collect::<kernels::Result<()>>().map_err(engine::Error::from)?;
    Ok(())
}

/// Bytes of scratch that the kernels' threads keep: what a thread adds to it in a step is workspace.
fn kept_scratch() -> usize {
    rayon::broadcast(|_| kernels::scratch::kept_bytes()).into_iter().sum()
}

/// A learner that has taken one step. It begins with the seed's values whatever the trial begins with: bytes depend on
/// shapes, and a plan has no values.
fn learn_once(
    configuration: &Configuration,
    session: Session,
    loader: &Feed,
    batch: &datasets::Batch,
    steps: usize,
) -> Result<Learner, Failure> {
    let mut learner = Learner::new(configuration, session, steps, None)?;
    learner.optimizer.set_learning_rate(configuration.schedule.rate(0.0, configuration.budget.epochs as f64));
    let first = learner.batch(loader, batch.clone())?;
    learner.step(&first)?;
    Ok(learner)
}

fn rows(ledger: &Ledger, steps: usize, reading: Reading, booked: u64) -> Vec<LedgerRow> {
    let row = |phase: &str, category: &str, bytes: u64| LedgerRow {
        probe_t: steps as u32,
        phase: phase.to_owned(),
        category: category.to_owned(),
        bytes,
        ..LedgerRow::default()
    };
    let mut rows = Vec::new();
    for phase in [Phase::Forward, Phase::Backward, Phase::Update] {
        let held = ledger.peak(phase).held;
        for category in Category::ALL {
            // Scratch is kept for the whole run: it belongs to no phase.
            if category != Category::Workspace {
                rows.push(row(phase.id(), category.id(), held[category as usize] as u64));
            }
        }
    }
    if let Some(bytes) = reading.peak {
        rows.push(row(WHOLE_STEP, LedgerRow::TOTAL, bytes));
        rows.push(row(WHOLE_STEP, LedgerRow::UNATTRIBUTED, bytes.saturating_sub(booked)));
    }
    if let Some(held) = reading.accelerator {
        rows.push(row(WHOLE_STEP, LedgerRow::POOL, held.spare()));
        rows.push(row(WHOLE_STEP, LedgerRow::OUTSIDE, held.outside));
    }
    rows.push(row(WHOLE_STEP, IN_LAWS, ledger.peak_in_laws() as u64));
    rows.push(row(WHOLE_STEP, LedgerRow::WORKSPACE, ledger.most(Category::Workspace) as u64));
    rows
}

/// What a plan of the same step holds in the categories of the laws: nothing lives there between steps, so it
/// predicts the step's own memory. A method that can't be planned leaves the cell empty.
fn planned(
    configuration: &Configuration,
    loader: &Feed,
    batch: &datasets::Batch,
    steps: usize,
) -> Option<u64> {
    let learner =
        learn_once(configuration, device::planning(configuration.dtype), loader, batch, steps).ok()?;
    Some(learner.session.ledger().peak_in_laws() as u64)
}
