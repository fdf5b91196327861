//! `measure MODEL`: what training steps of a network held by each method and how long they took, beside the plan.
//!
//! Each method runs in a process of its own, because the peak of resident memory is a property of a process. The
//! process is this program with the same flags and a hidden one that names the method; it prints one line of JSON.

use std::ffi::OsString;
use std::io::Write;
use std::process::{ExitCode, Stdio};

use engine::method::MethodEntry;
use kernels::heap;

use super::measured::{Line, Outcome, comma_separated, for_people};
use super::model::Changes;
use super::step::{self, Step, built};
use crate::child::{describe, last_words, refused_allocation};
use crate::error::{Error, Result};
use crate::measurement::Measurement;
use crate::suite::MOST_COUNTED;
use crate::trial::STACK_BYTES;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    step: step::Asked,
    /// Training steps to run. The first one warms up: time is the median of the others.
    #[arg(long, value_name = "N", value_parser = train_steps, allow_negative_numbers = true, default_value = "3")]
    train_steps: usize,
    /// Print comma-separated values, a line a method, in bytes and seconds.
    #[arg(long)]
    csv: bool,
    /// Measure this method here and print one line of JSON.
    #[arg(long, value_name = "ID", hide = true)]
    alone: Option<String>,
}

/// The command line that is being served: the program, and what stands behind its verb.
pub(crate) struct Command {
    pub(crate) program: OsString,
    pub(crate) flags: Vec<OsString>,
}

/// One step to warm up and one to time.
const FEWEST: usize = 2;

fn train_steps(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (FEWEST..=MOST_COUNTED).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number of at least {FEWEST} and at most {MOST_COUNTED}")),
    }
}

/// Prints the tables, or with `--csv` the lines; exit code 1 where a method failed that should have run.
pub(crate) fn measure(
    name: &str,
    changes: &Changes,
    asked: &Asked,
    own: &Command,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    let step = Step::find(name, changes, &asked.step)?;
    if let Some(method) = &asked.alone {
        return alone(&step, step::method(method)?, asked.train_steps, output);
    }
    let mut lines = Vec::new();
    for entry in &step.methods {
        lines.push(line(&step, entry, own)?);
    }
    if asked.csv {
        comma_separated(&step, asked.train_steps, &lines, output)?;
    } else {
        step.heading(output)?;
        for_people(&lines, asked.train_steps, output)?;
    }
    let failed = lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(step: &Step, entry: &'static MethodEntry, own: &Command) -> Result<Line> {
    // The plan runs on the same number of threads, which are gone before the measurement begins.
    let planned = step.on_threads(STACK_BYTES, |step| {
        let method = built(entry)?;
        let steps = method.steps(step.setup.network.steps);
        let forecast = step.setup.forecast(&*method, steps, step.batch).map_err(|error| error.to_string());
        Ok((steps, forecast.map(|forecast| forecast.whole())))
    })?;
    Ok(match planned {
        (steps, Err(reason)) => Line { id: entry.id, steps, outcome: Outcome::Unsupported(reason) },
        (steps, Ok(planned)) => {
            let outcome = match in_a_process(own, entry.id) {
                Ok(measured) => Outcome::Measured { planned, measured: Box::new(measured) },
                Err(reason) => Outcome::Failed(reason),
            };
            Line { id: entry.id, steps, outcome }
        }
    })
}

/// Measures one method in a process of its own.
fn in_a_process(own: &Command, method: &str) -> Result<Measurement, String> {
    let mut command = std::process::Command::new(&own.program);
    // Ahead of the other flags: a `--` among them ends what is read as a flag.
    command.args(["measure", "--alone", method]).args(&own.flags);
    command.stdin(Stdio::null()).env("RUST_BACKTRACE", "0");
    let ended = command
        .output()
        .map_err(|error| format!("cannot start {}: {error}", own.program.to_string_lossy()))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        return Err(match refused_allocation(&said).or_else(|| last_words(&said)) {
            Some(words) => words.strip_prefix("error: ").unwrap_or(words).to_owned(),
            None => describe(ended.status),
        });
    }
    serde_json::from_slice(&ended.stdout)
        .map_err(|error| format!("its process printed something else than a measurement: {error}"))
}

/// Measures one method here.
fn alone(
    step: &Step,
    entry: &'static MethodEntry,
    train_steps: usize,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    // As trials do.
    heap::keep_pages();
    let measured = step.on_threads(STACK_BYTES, |step| {
        let method = built(entry)?;
        let steps = method.steps(step.setup.network.steps);
        let measured = step.setup.measure(&*method, steps, step.batch, train_steps);
        measured.map_err(|source| Error::Setting { place: format!("method {}", entry.id), source })
    })?;
    let text = serde_json::to_string(&measured)
        .map_err(|error| Error::Text { what: "a measurement", message: error.to_string() })?;
    writeln!(output, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::train_steps;

    #[test]
    fn a_step_to_warm_up_and_one_to_time() {
        assert_eq!(train_steps("2"), Ok(2));
        for text in ["1", "0", "-3", "two"] {
            assert!(train_steps(text).is_err_and(|rule| rule.contains("at least 2")), "{text}");
        }
    }
}
