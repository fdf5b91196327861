//! The command line.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::quantity;
use crate::select::Selection;
use crate::suite::{MOST_COUNTED, MOST_STEPS};
use crate::trial;
use crate::verb::{self, list::Kind, measure::Command};

/// Names methods and models, and is therefore no code.
const EXAMPLES: &str = include_str!("examples.txt");

const START: &str = "\
Compares ways of training spiking neural networks on one model zoo: accuracy, memory, time.

  harness --suite smoke    run every method on pictures that ship with the program, a few minutes
  harness list             what else there is: suites, methods, models, datasets, recipes

  harness --help           all flags, with examples
";

/// Compares ways of training spiking neural networks on one model zoo: accuracy, memory, time.
#[derive(Debug, Parser)]
#[command(name = "harness", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what can be named: suites, methods, models, datasets, recipes.
    List {
        /// Only this kind.
        kind: Option<Kind>,
    },
    /// Write tables, charts and a page from a folder of records.
    Report {
        /// Folder of records, such as results/records/smoke.
        dir: PathBuf,
        /// Folder to write to; DIR/report without it.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Write this paper's tables instead: each published number beside what DIR has of the same, with a verdict. A cell
        /// that nothing fills says what is missing and the command that measures it; run those with `--out DIR`, and several
        /// suites fill one report. `--suite paper-<ID>` is a first one, some minutes.
        #[arg(long, value_name = "ID", value_parser = papers())]
        paper: Option<String>,
    },
    /// Write the tables and charts of documents anew, from the records that their markers name.
    ///
    /// A marker is a line `<!-- begin table ID of DIR -->` or `<!-- begin chart ID of DIR in FOLDER -->`, and its block goes to
    /// the next line `<!-- end -->`. ID is that of a file of `harness report`, such as comparison; DIR is a folder of records
    /// and FOLDER that of the chart's file, both relative to the document.
    Splice {
        /// The documents, such as README.md.
        #[arg(required = true, value_name = "FILE.md")]
        documents: Vec<PathBuf>,
        /// Write nothing; name every block that is not what its records say, and exit 1 where there is one.
        #[arg(long)]
        check: bool,
    },
    /// Carry records of an older version of the format over to this one.
    #[command(disable_help_subcommand = true)]
    Records {
        #[command(subcommand)]
        asked: verb::records::Asked,
    },
    /// Print a recipe as the program understood it.
    Recipe {
        /// Recipe id, or the path of a TOML file.
        name: String,
    },
    /// Print a network's layers, shapes, parameters, neurons and operations, and which methods can train it.
    Model {
        /// Model id, as in `harness list models`.
        name: String,
        #[command(flatten)]
        changes: verb::model::Changes,
    },
    /// Print what a training step of a network will hold, method by method, without running it.
    Plan {
        /// Model id, as in `harness list models`.
        name: String,
        #[command(flatten)]
        changes: verb::model::Changes,
        #[command(flatten)]
        asked: verb::plan::Asked,
    },
    /// Run training steps of a network, each method in a process of its own, and print what they held and how long they
    /// took, beside the plan.
    Measure {
        /// Model id, as in `harness list models`.
        name: String,
        #[command(flatten)]
        changes: verb::model::Changes,
        #[command(flatten)]
        asked: verb::measure::Asked,
    },
    /// Replay golden cases of the authors' code and compare every tensor; exit 1 where one differs.
    Probe {
        /// Folders of cases, each with a case.json and safetensors files.
        #[arg(required = true, value_name = "CASE_DIR")]
        cases: Vec<PathBuf>,
        /// Print every tensor, not only groups and what differs.
        #[arg(long)]
        each: bool,
        /// Print what an evaluation of each case computes, as rows of ops.csv, and compare nothing.
        #[arg(long, conflicts_with = "each")]
        operations: bool,
        /// Device to replay on.
        #[arg(long, value_enum, default_value_t)]
        device: DeviceKind,
    },
    /// Run every kind of kernel on a device and on the processor and compare; exit 1 where one differs.
    SelfTest {
        /// Device to compare with the processor.
        #[arg(long, value_enum, default_value_t)]
        device: DeviceKind,
    },
    /// Measure the memory of training steps and compare it with the laws and a baseline; exit 1 where one is broken.
    Regress {
        #[command(flatten)]
        request: verb::regress::Request,
    },
    /// Print a sample's memory and time of the points that a file names; exit 1 where one breaks the file's bound.
    Gates {
        /// The bounds, such as scripts/gpu-gates.toml.
        file: PathBuf,
        /// Folder of records.
        dir: PathBuf,
    },
    /// Verify, show, pack and explain data sets.
    #[command(disable_help_subcommand = true)]
    Data {
        #[command(subcommand)]
        asked: verb::data::Data,
    },
    /// Run one trial: assignment on standard input, events on standard output, one JSON object a line.
    #[command(hide = true)]
    Trial,
}

/// Flags of the plain form.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Suite to run: an id from `harness list suites`, or the path of a TOML file.
    #[arg(long, value_name = "ID|FILE", help_heading = "What to run")]
    pub(crate) suite: Option<String>,
    /// Run only these methods; one that no selected case lists is tried on all of them.
    #[arg(long, value_name = "ID,..", value_delimiter = ',', help_heading = "What to run")]
    method: Vec<String>,
    /// Run only cases of these models.
    #[arg(long, value_name = "ID,..", value_delimiter = ',', help_heading = "What to run")]
    model: Vec<String>,
    /// Run only cases of these data sets.
    #[arg(long, value_name = "ID,..", value_delimiter = ',', help_heading = "What to run")]
    dataset: Vec<String>,
    /// Run only trials whose key <suite>/<case>/<method>/t<T>/s<seed> holds this text, or matches this pattern of * and ?.
    #[arg(long, value_name = "TEXT", help_heading = "What to run")]
    filter: Option<String>,
    /// Print what would run and what is on file, and run nothing.
    #[arg(long, help_heading = "What to run")]
    pub(crate) dry_run: bool,
    /// Run trials again that are on file.
    #[arg(long, help_heading = "What to run")]
    pub(crate) again: bool,

    /// Number of time steps T, in place of the cases' own.
    #[arg(long, value_name = "T,..", value_delimiter = ',', value_parser = steps, allow_negative_numbers = true, help_heading = "What to change")]
    steps_t: Vec<usize>,
    /// Passes over the training set, in place of the cases' own; 0 with --weights evaluates and trains nothing.
    #[arg(long, value_name = "N", value_parser = epochs, allow_negative_numbers = true, help_heading = "What to change")]
    epochs: Option<usize>,
    /// Samples in a training batch, in place of the cases' own.
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true, help_heading = "What to change")]
    batch: Option<usize>,
    /// With a suite of sweeps, in place of a batch size: the largest power of two up to N whose planned step fits.
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true, conflicts_with = "batch", help_heading = "What to change")]
    batch_up_to: Option<usize>,
    /// Memory that --batch-up-to fits into, such as 64GiB; four fifths of what is free on the device without it.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, requires = "batch_up_to", help_heading = "What to change")]
    fits: Option<usize>,
    /// Train on the first N samples, class-balanced; the test set is cut in the same proportion.
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true, help_heading = "What to change")]
    limit: Option<usize>,
    /// Seeds of all randomness, one trial a method for each, in place of the cases' own.
    #[arg(
        long,
        alias = "seed",
        value_name = "N,..",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "What to change"
    )]
    seeds: Vec<u64>,
    /// Bytes that a training step may hold, such as 512MiB: methods that choose what they rebuild choose within it, and a
    /// method that holds more is a row that says how much.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, help_heading = "What to change")]
    memory_budget: Option<usize>,
    /// Begin every selected trial with these weights: a state dictionary by the names of the authors' code.
    #[arg(long, value_name = "FILE.safetensors", help_heading = "What to change")]
    weights: Option<PathBuf>,

    /// Device to compute on.
    #[arg(long, value_enum, default_value_t, help_heading = "Where and how")]
    device: DeviceKind,
    /// Number type; of another than f32, the names of cases and the keys of points end with it.
    #[arg(long, value_enum, default_value_t, help_heading = "Where and how")]
    dtype: Precision,
    /// With a suite of sweeps: where the device is missing, write a row with the reason for each point and end well.
    #[arg(long, help_heading = "Where and how")]
    rows_without_device: bool,
    /// Threads to compute on; all processors without it. The numbers do not depend on it.
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Where and how")]
    pub(crate) threads: Option<usize>,
    /// Folder of a data set that does not ship.
    #[arg(long, value_name = "DIR", help_heading = "Where and how")]
    data: Option<PathBuf>,
    /// Folder for records and report; results/records/<suite> without it.
    #[arg(long, value_name = "DIR", help_heading = "Where and how")]
    pub(crate) out: Option<PathBuf>,
    /// Save each trained network as DIR/<key, with / as __>.safetensors; trials on file are not trained again for it.
    #[arg(long, value_name = "DIR", help_heading = "Where and how")]
    pub(crate) save_weights: Option<PathBuf>,
    /// Stop a trial after so many seconds and go on with the next.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, help_heading = "Where and how")]
    pub(crate) timeout: Option<Duration>,
    /// End a trial that would hold more heap than this, such as 512MiB, and go on with the next.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, help_heading = "Where and how")]
    pub(crate) memory_limit: Option<usize>,
    /// Program to start as `PROGRAM trial`, in place of this one.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub(crate) trial_program: Option<PathBuf>,
}

impl RunArguments {
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            methods: self.method.clone(),
            models: self.model.clone(),
            datasets: self.dataset.clone(),
            filter: self.filter.clone(),
            steps: self.steps_t.clone(),
            epochs: self.epochs,
            batch: self.batch,
            batch_up_to: self.batch_up_to,
            fits: self.fits,
            limit: self.limit,
            seeds: self.seeds.clone(),
            memory_budget: self.memory_budget,
            device: self.device,
            dtype: self.dtype,
            rows_without_device: self.rows_without_device,
            data: self.data.clone(),
            weights: self.weights.clone(),
        }
    }
}

/// Ids of the papers whose values are on file.
fn papers() -> PossibleValuesParser {
    PossibleValuesParser::new(results::PAPERS.iter().map(|paper| paper.id))
}

/// More threads than any machine that this program can fill.
const MOST_THREADS: usize = 1024;

fn whole(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!("must be a whole number of at least 1 and at most {most}")),
    }
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    whole(text, MOST_COUNTED)
}

fn epochs(text: &str) -> Result<usize, String> {
    if text == "0" {
        Ok(0)
    } else {
        at_least_one(text).map_err(|rule| format!("{rule}, or 0 with --weights"))
    }
}

fn steps(text: &str) -> Result<usize, String> {
    whole(text, MOST_STEPS)
}

pub(crate) fn threads(text: &str) -> Result<usize, String> {
    whole(text, MOST_THREADS)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "must be a positive number of seconds".to_owned())
}

/// Serves a command line, the program's own name first, and returns the exit code.
///
/// The program's name is what trials are started with.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut output = std::io::stdout();
    match serve(&arguments, &mut output) {
        Ok(code) => code,
        // The reader has seen enough: `harness list | head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// What trials and measurements are started with.
fn program(arguments: &[OsString]) -> OsString {
    arguments.first().cloned().unwrap_or_else(|| Arguments::command().get_name().into())
}

fn serve(arguments: &[OsString], output: &mut (dyn Write + Send)) -> Result<ExitCode> {
    if arguments.len() < 2 {
        write!(output, "{START}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            error.print()?;
            return Ok(ExitCode::from(error.exit_code() as u8));
        }
    };
    match parsed.verb {
        None => verb::run::run(&parsed.run, program(arguments), output),
        Some(Verb::List { kind }) => verb::list::list(kind, output).map(|()| ExitCode::SUCCESS),
        Some(Verb::Report { dir, to, paper }) => {
            verb::report::report(&dir, to.as_deref(), paper.as_deref(), output).map(|()| ExitCode::SUCCESS)
        }
        Some(Verb::Splice { documents, check }) => verb::splice::splice(&documents, check, output),
        Some(Verb::Records { asked }) => verb::records::records(&asked, output).map(|()| ExitCode::SUCCESS),
        Some(Verb::Recipe { name }) => verb::recipe::recipe(&name, output).map(|()| ExitCode::SUCCESS),
        Some(Verb::Model { name, changes }) => {
            verb::model::model(&name, &changes, output).map(|()| ExitCode::SUCCESS)
        }
        Some(Verb::Plan { name, changes, asked }) => {
            verb::plan::plan(&name, &changes, &asked, output).map(|()| ExitCode::SUCCESS)
        }
        Some(Verb::Measure { name, changes, asked }) => {
            // The verb is the first word: no flag can stand before it.
            let own =
                Command { program: program(arguments), flags: arguments.iter().skip(2).cloned().collect() };
            verb::measure::measure(&name, &changes, &asked, &own, output)
        }
        Some(Verb::Probe { cases, each, operations, device }) => {
            verb::probe::probe(&cases, each, operations, device, output)
        }
        Some(Verb::SelfTest { device }) => verb::selftest::selftest(device, output),
        Some(Verb::Regress { request }) => verb::regress::regress(&request, output),
        Some(Verb::Gates { file, dir }) => verb::gates::gates(&file, &dir, output),
        Some(Verb::Data { asked }) => verb::data::data(&asked, output),
        Some(Verb::Trial) => Ok(trial::run(std::io::stdin().lock(), output)),
    }
}
