//! A trial in its own process: reads an [`Assignment`], trains, probes, and tells what it found.

mod clock;
mod fidelity;
mod frames;
mod learner;
pub(crate) mod operations;
mod probe;
mod report;
mod train;

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use results::Status;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::error::Error;
use crate::event::{Assignment, Event, Measured};
use crate::plan;
use crate::source::{Entry, Source};
use crate::sweep;
pub(crate) use report::Reporter;

/// Stack of the threads that compute. Training runs on one of them, so that the work inside a kernel never has to
/// wait for a thread outside the pool.
pub(crate) const STACK_BYTES: usize = 64 << 20;

/// Why a trial ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    note: String,
}

impl Failure {
    pub(crate) fn because(note: impl ToString) -> Self {
        Self { status: Status::Failed, note: note.to_string() }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        let note = error.to_string();
        let status = match &error {
            engine::Error::Unsupported(_) => Status::Unsupported,
            // Accelerators report it as an error; the heap of the host ends the process instead.
            _ if error.refused_bytes().is_some() => Status::OutOfMemory,
            // candle's own allocations there.
            _ if note.to_lowercase().contains("out of memory") => Status::OutOfMemory,
            _ => Status::Failed,
        };
        Self { status, note }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Setting { source, .. } => source.into(),
            Error::Data { source, .. } => source.into(),
            other => Self::because(other),
        }
    }
}

impl From<datasets::DataError> for Failure {
    fn from(error: datasets::DataError) -> Self {
        let status = if error.is_out_of_memory() { Status::OutOfMemory } else { Status::Failed };
        Self { status, note: error.to_string() }
    }
}

/// Runs the trial or the point that `input` assigns and writes its events to `output`.
pub fn run(mut input: impl Read, output: impl Write + Send) -> ExitCode {
    let mut reporter = Reporter::new(output);
    let mut text = String::new();
    let ended = input.read_to_string(&mut text).map_err(Failure::because).and_then(|_| {
        // What a point is asked for stands below a key that no trial has.
        let is_point = serde_json::from_str::<serde_json::Value>(&text)
            .is_ok_and(|assignment| assignment.get("point").is_some());
        if is_point {
            let found = sweep::serve(&assigned(&text)?, &mut reporter)?;
            return Ok(Event::Measured(Box::new(found)));
        }
        let measured = serve(&assigned(&text)?, &mut reporter)?;
        Ok(Event::Finished(Box::new(measured)))
    });
    let (event, code) = match ended {
        Ok(event) => (event, ExitCode::SUCCESS),
        Err(Failure { status, note }) => (Event::Failed { status, note }, ExitCode::FAILURE),
    };
    // If nobody listens any more, nobody minds the exit code either.
    reporter.tell(&event).map_or(ExitCode::FAILURE, |()| code)
}

fn assigned<A: DeserializeOwned>(text: &str) -> Result<A, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::because(format!("the assignment on standard input: {error}")))
}

/// The trial's set; frames are made for T = `steps`.
fn opened(entry: Entry, assignment: &Assignment, steps: usize) -> Result<Source, Failure> {
    Ok(entry.open(&assignment.configuration.data, assignment.data.as_deref(), steps)?)
}

fn serve<W: Write + Send>(assignment: &Assignment, reporter: &mut Reporter<W>) -> Result<Measured, Failure> {
    kernels::heap::keep_pages();
    if let Some(bytes) = assignment.memory_limit {
        kernels::heap::set_limit(bytes);
    }
    let configuration = &assignment.configuration;
    let entry = Entry::find(&configuration.dataset)?;
    let source = opened(entry, assignment, configuration.network.steps)?;
    let manifest = source.manifest()?;
    if manifest != configuration.dataset_manifest {
        return Err(Failure::because(format!(
            "data set {} changed since the campaign began: manifest {} was planned with, {manifest} is there",
            configuration.dataset, configuration.dataset_manifest,
        )));
    }
    let (train, test) = plan::feeds(configuration, &source)?;
    let pool = kernels::threads::pool(assignment.threads, STACK_BYTES).map_err(Failure::because)?;
    pool.install(|| {
        train.prepare()?;
        test.prepare()?;
        let for_gradients = fidelity::folder(configuration)?;
        let for_gradients = for_gradients.as_ref().map(TempDir::path);
        let left_in: Vec<&Path> =
            for_gradients.into_iter().chain(assignment.save_weights.as_deref()).collect();
        let mut measured = train::train(assignment, &train, &test, &left_in, reporter)?;
        if let (Source::Frames(set), true) = (&source, assignment.frames) {
            measured.frames = frames::of(set.as_ref())?;
        }
        if configuration.budget.epochs == 0 {
            return Ok(measured);
        }
        // The trained network is gone by now: the two lanes never share a step.
        probe::probe(assignment, &train, reporter, &mut measured)?;
        fidelity::compare(assignment, &train, for_gradients, reporter, &mut measured)?;
        Ok(measured)
    })
}

#[cfg(test)]
mod tests {
    use super::{Failure, Status};

    #[test]
    fn memory_that_a_device_refuses_ends_a_trial_as_out_of_memory_with_its_bytes() {
        let refused = || kernels::Error::OutOfMemory { op: "conv::forward", bytes: 123_456 };
        for error in [
            engine::Error::from(refused()),
            engine::Error::Backward { op: "conv", source: refused() },
            engine::Error::Candle(candle_core::Error::Msg("CUDA_ERROR_OUT_OF_MEMORY, out of memory".into())),
        ] {
            let known = error.refused_bytes();
            let Failure { status, note } = error.into();
            assert_eq!(status, Status::OutOfMemory, "{note}");
            assert!(known.is_none_or(|bytes| note.contains(&bytes.to_string())), "{note}");
        }
        let other = kernels::Error::Driver { op: "conv::forward", message: "launch failed".to_owned() };
        assert_eq!(Failure::from(engine::Error::from(other)).status, Status::Failed);
    }
}
