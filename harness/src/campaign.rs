//! A campaign: every planned trial in a process of its own, one row each, whatever happens to it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use results::{Campaign, CurvePoint, Details, Environment, Status, Trial};

use crate::child::{self, Verdict};
use crate::error::{Error, Result};
use crate::event::{Assignment, Event, Measured};
use crate::forecast;
use crate::interrupt::Interrupt;
use crate::plan::Planned;
use crate::progress::{Job, Progress, percent};
use crate::quantity::{duration, mib};
use crate::setup::Setup as Step;
use crate::utc;

/// How trials are run, none of which decides their numbers.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program that is started as `program trial`; an argument, so that a test or another language can stand in.
    pub program: OsString,
    /// Threads of a trial.
    pub threads: usize,
    /// How long a trial may take.
    pub timeout: Option<Duration>,
    /// Bytes of heap that a trial may hold.
    pub memory_limit: Option<usize>,
    /// Folder of data sets that do not ship.
    pub data: Option<PathBuf>,
    /// Weights file that trials begin with.
    pub weights: Option<PathBuf>,
    /// Folder for the weights of each trained network.
    pub save_weights: Option<PathBuf>,
    /// Whether finished trials are run again.
    pub again: bool,
    /// What the campaign runs on.
    pub environment: Environment,
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Trials that were on file already.
    pub earlier: usize,
    /// Trials that were measured, or ruled out by their method.
    pub settled: usize,
    /// Trials that failed, crashed, took too long or ran out of memory.
    pub failed: usize,
    /// Whether a person stopped it.
    pub interrupted: bool,
}

impl Tally {
    /// Both, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            earlier: self.earlier + other.earlier,
            settled: self.settled + other.settled,
            failed: self.failed + other.failed,
            interrupted: self.interrupted || other.interrupted,
        }
    }
}

/// The trials that are not on file yet; all of them with `again`.
#[must_use]
pub fn todo(plan: &[Planned], on_file: impl Fn(&Planned) -> bool, again: bool) -> Vec<&Planned> {
    plan.iter().filter(|planned| again || !on_file(planned)).collect()
}

/// Runs what is not on file yet and appends a row for each trial as it ends.
///
/// # Errors
/// When a record can't be written. A trial that goes wrong is a row, not an error.
pub fn run(plan: &[Planned], store: &mut Campaign, setup: &Setup, interrupt: &Interrupt) -> Result<Tally> {
    let todo = todo(plan, |planned| store.finished(&planned.key, &planned.hash), setup.again);
    let mut tally = Tally { earlier: plan.len() - todo.len(), ..Tally::default() };
    let work = todo.iter().map(|planned| planned.work()).sum();
    let mut progress = Progress::new("trials", plan.len(), todo.len(), work);
    for planned in todo {
        if interrupt.is_asked() {
            tally.interrupted = true;
            break;
        }
        let (began, started_utc) = (Instant::now(), utc::now());
        let mut curve = Vec::new();
        let verdict = match &planned.unsupported {
            Some(reason) => Verdict { status: Status::Unsupported, note: reason.clone(), measured: None },
            None => attempt(planned, setup, interrupt, &mut progress, &mut curve),
        };
        let wall_seconds = planned.unsupported.is_none().then(|| began.elapsed().as_secs_f64());
        let trial = Trial { started_utc, wall_seconds, ..row(planned, setup, &verdict, &curve) };
        let Measured { ledger, ops, fidelity, meter, frames, .. } = verdict.measured.unwrap_or_default();
        let details = Details {
            curve: &curve,
            ledger: &ledger,
            ops: &ops,
            fidelity: &fidelity,
            meter: &meter,
            frames: &frames,
        };
        store.append_trial(&trial, &details).map_err(Error::Store)?;
        progress.finish(planned.work(), &summary(&trial));
        match trial.status {
            Status::Ok | Status::Unsupported => tally.settled += 1,
            Status::Interrupted => tally.interrupted = true,
            _ => tally.failed += 1,
        }
    }
    progress.close();
    Ok(tally)
}

fn attempt(
    planned: &Planned,
    setup: &Setup,
    interrupt: &Interrupt,
    progress: &mut Progress,
    curve: &mut Vec<CurvePoint>,
) -> Verdict {
    let assignment = Assignment {
        configuration: planned.configuration.clone(),
        data: setup.data.clone(),
        weights: setup.weights.clone(),
        save_weights: setup.save_weights.clone(),
        frames: planned.baseline,
        threads: setup.threads,
        memory_limit: setup.memory_limit,
    };
    let configuration = &planned.configuration;
    progress.start(Job {
        key: planned.key.clone(),
        work: planned.work(),
        epochs: configuration.budget.epochs,
        batches: planned.batches,
    });
    let started = child::Started { program: &setup.program, memory_limit: setup.memory_limit };
    let mut verdict = child::run(&started, &assignment, setup.timeout, interrupt, |event| {
        progress.hear(event);
        if let Event::Epoch { point, .. } = event {
            curve.push(point.clone());
        }
    });
    if verdict.status == Status::OutOfMemory {
        forecast::explain(&mut verdict.note, setup.threads, || {
            let (steps, batch) = (configuration.network.steps, configuration.budget.batch);
            let planned = Step::of(configuration)?.forecast(&*configuration.method()?, steps, batch);
            planned.map_err(|source| Error::Setting { place: configuration.key(), source })
        });
    }
    verdict
}

/// The trial's row: what was planned, how it ended, and whatever was measured until then.
fn row(planned: &Planned, setup: &Setup, verdict: &Verdict, curve: &[CurvePoint]) -> Trial {
    let configuration = &planned.configuration;
    let measured = verdict.measured.clone().unwrap_or_default();
    let clock = measured.clock.unwrap_or_default();
    // Nothing was timed where nothing was trained, and nothing is not 0.
    let timed = measured.clock.is_some();
    let finished = verdict.measured.is_some();
    let best = curve.iter().filter_map(|point| point.test_top1).max_by(f64::total_cmp);
    let last = curve.last();
    Trial {
        trial: planned.key.clone(),
        suite: configuration.suite.clone(),
        case: configuration.case.clone(),
        case_rev: configuration.case_rev,
        method: configuration.method.clone(),
        model: configuration.model.clone(),
        dataset: configuration.dataset.clone(),
        status: verdict.status,
        note: verdict.note.clone(),
        baseline: planned.baseline,
        seed: configuration.seed,
        steps_t: configuration.network.steps as u32,
        epochs: configuration.budget.epochs as u32,
        batch: configuration.budget.batch as u32,
        train_samples: planned.train_samples as u64,
        test_samples: planned.test_samples as u64,
        parameters: (planned.parameters > 0).then_some(planned.parameters as u64),
        // The accuracy of an unfinished budget would be read as the method's: the curve keeps it.
        top1_last: last.filter(|_| finished).and_then(|point| point.test_top1),
        top1_best: best.filter(|_| finished),
        train_loss_last: last.filter(|_| finished).and_then(|point| point.train_loss),
        train_step_seconds_median: clock.step_seconds_median,
        train_step_seconds_mad: clock.step_seconds_mad,
        train_step_seconds_min: clock.step_seconds_min,
        timed_steps: timed.then_some(clock.timed_steps),
        train_samples_per_second: clock.step_seconds_median.map(|s| configuration.budget.batch as f64 / s),
        train_seconds_total: timed.then_some(clock.train_seconds),
        eval_seconds_total: timed.then_some(clock.eval_seconds),
        peak_host_bytes: measured.peak_host_bytes,
        peak_step_bytes: measured.peak_step_bytes,
        saved_bytes_peak: measured.saved_bytes_peak,
        planned_step_bytes: measured.planned_step_bytes,
        peak_device_bytes: measured.peak_device_bytes,
        spikes_per_sample: measured.spikes_per_sample,
        firing_rate: measured.firing_rate,
        gradient_cosine: measured.gradient_cosine,
        gradient_norm_ratio: measured.gradient_norm_ratio,
        device: configuration.device.clone(),
        threads: setup.threads as u32,
        config_hash: planned.hash.clone(),
        recipe: planned.recipe.clone(),
        weights: configuration.weights.as_deref().map(short).unwrap_or_default().to_owned(),
        dataset_manifest: configuration.dataset_manifest.clone(),
        stand_in: Some(planned.stand_in),
        protocol: configuration.protocol.clone(),
        protocol_hash: configuration.protocol_hash.clone(),
        git_rev: setup.environment.git_rev.clone(),
        dirty: setup.environment.dirty,
        ..Trial::default()
    }
}

/// The beginning of a hash, as records hold it.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A trial's result in one line.
fn summary(trial: &Trial) -> String {
    let took = trial.wall_seconds.map(|seconds| format!("  {}", duration(seconds))).unwrap_or_default();
    if trial.status != Status::Ok {
        return format!("{}  {}: {}{took}", trial.trial, trial.status, trial.note);
    }
    let step =
        trial.train_step_seconds_median.map(|s| format!("  {:.1} ms/step", 1e3 * s)).unwrap_or_default();
    let peak = trial.peak_step_bytes.map(|bytes| format!("  {}/step", mib(bytes))).unwrap_or_default();
    format!("{}  ok  {}{step}{peak}{took}", trial.trial, percent(trial.top1_last))
}
