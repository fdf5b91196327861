//! Every planned point in a process of its own, one row each, whatever happens to it.

use std::time::Instant;

use results::{Points, Records, Status};

use super::plan::PlannedPoint;
use super::point::{PointFound, Task};
use super::row::{self, Ended};
use crate::campaign::{Setup, Tally};
use crate::child::{self, Verdict};
use crate::error::{Error, Result};
use crate::event::PointAssignment;
use crate::forecast;
use crate::interrupt::Interrupt;
use crate::progress::{Job, Progress};
use crate::quantity::{duration, mib};
use crate::utc;

/// Whether a folder's records hold a point with this configuration, measured or ruled out.
pub(crate) fn is_on_file(records: &Records, planned: &PlannedPoint) -> bool {
    let settled = |hash: &str, status: Status| hash == planned.hash && status.is_settled();
    let mut scaling = records.scaling.iter().filter(|row| row.point == planned.key);
    let mut inference = records.inference.iter().filter(|row| row.point == planned.key);
    scaling.any(|row| settled(&row.config_hash, row.status))
        || inference.any(|row| settled(&row.config_hash, row.status))
}

/// Runs what is not on file yet and appends a row for each point as it ends.
///
/// # Errors
/// When a record can't be written. A point that goes wrong is a row, not an error.
pub(crate) fn run(
    plan: &[PlannedPoint],
    store: &mut Points,
    setup: &Setup,
    interrupt: &Interrupt,
) -> Result<Tally> {
    let is_done = |planned: &&PlannedPoint| !setup.again && store.finished(&planned.key, &planned.hash);
    let todo: Vec<&PlannedPoint> = plan.iter().filter(|planned| !is_done(planned)).collect();
    let mut tally = Tally { earlier: plan.len() - todo.len(), ..Tally::default() };
    let work = todo.iter().map(|planned| planned.work()).sum();
    let mut progress = Progress::new("points", plan.len(), todo.len(), work);
    for planned in todo {
        if interrupt.is_asked() {
            tally.interrupted = true;
            break;
        }
        let (began, started_utc) = (Instant::now(), utc::now());
        let ruled_out = |status, note: &String| Verdict { status, note: note.clone(), measured: None };
        let verdict = match (&planned.unsupported, &planned.missing) {
            (Some(reason), _) => ruled_out(Status::Unsupported, reason),
            // Not settled: where the device is, the same campaign measures it.
            (None, Some(reason)) => ruled_out(Status::Failed, reason),
            (None, None) => attempt(planned, setup, interrupt, &mut progress),
        };
        let ran = planned.unsupported.is_none() && planned.missing.is_none();
        let wall_seconds = ran.then(|| began.elapsed().as_secs_f64());
        let ended = Ended { status: verdict.status, note: &verdict.note, started_utc, wall_seconds };
        file(planned, store, setup, &ended, verdict.measured.as_ref())?;
        progress.finish(planned.work(), &summary(&planned.key, &ended, verdict.measured.as_ref()));
        match verdict.status {
            Status::Ok | Status::Unsupported => tally.settled += 1,
            Status::Interrupted => tally.interrupted = true,
            // Asked for, and told.
            Status::Failed if planned.missing.is_some() => tally.settled += 1,
            _ => tally.failed += 1,
        }
    }
    progress.close();
    Ok(tally)
}

fn attempt(
    planned: &PlannedPoint,
    setup: &Setup,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Verdict<PointFound> {
    let assignment = PointAssignment {
        point: planned.point.clone(),
        threads: setup.threads,
        memory_limit: setup.memory_limit,
    };
    progress.start(Job { key: planned.key.clone(), work: planned.work(), epochs: 0, batches: 0 });
    let started = child::Started { program: &setup.program, memory_limit: setup.memory_limit };
    let mut verdict =
        child::run(&started, &assignment, setup.timeout, interrupt, |event| progress.hear(event));
    if let (Status::OutOfMemory, Task::Train(training)) = (verdict.status, &planned.point.task) {
        forecast::explain(&mut verdict.note, setup.threads, || training.forecast(&planned.point));
    }
    verdict
}

fn file(
    planned: &PlannedPoint,
    store: &mut Points,
    setup: &Setup,
    ended: &Ended<'_>,
    found: Option<&PointFound>,
) -> Result<()> {
    let filed = match &planned.point.task {
        Task::Train(training) => {
            let found = found.and_then(|found| match found {
                PointFound::Train(found) => Some(found),
                PointFound::Infer(_) => None,
            });
            store.append_scaling(&row::scaling(planned, training, setup, ended, found))
        }
        Task::Infer(inference) => {
            let found = found.and_then(|found| match found {
                PointFound::Infer(found) => Some(found),
                PointFound::Train(_) => None,
            });
            store.append_inference(&row::inference(planned, inference, setup, ended, found))
        }
    };
    filed.map(|_| ()).map_err(Error::Store)
}

/// A point's result in one line.
fn summary(key: &str, ended: &Ended<'_>, found: Option<&PointFound>) -> String {
    let took = ended.wall_seconds.map(|seconds| format!("  {}", duration(seconds))).unwrap_or_default();
    let Some(found) = found else { return format!("{key}  {}: {}{took}", ended.status, ended.note) };
    let (law, seconds, what) = match found {
        PointFound::Train(found) => (found.law_bytes, found.seconds, "step"),
        PointFound::Infer(found) => (found.law_bytes, found.seconds, "batch"),
    };
    let median = seconds.median.map(|s| format!("  {:.1} ms/{what}", 1e3 * s)).unwrap_or_default();
    format!("{key}  {}{median}  {}{took}", ended.status, mib(law))
}
