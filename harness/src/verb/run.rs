//! The plain form: plans a suite, runs what is missing, and reports.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use results::{Campaign, Trial};

use crate::campaign::{self, Setup, Tally};
use crate::cli::RunArguments;
use crate::environment::{cores, environment};
use crate::error::{Error, Result};
use crate::interrupt::{self, Interrupt};
use crate::plan::{Planned, plan};
use crate::select::Selection;
use crate::shelf::{self, AnySuite};
use crate::trial;
use crate::weights;

use super::report::report;

pub(crate) fn run(arguments: &RunArguments, program: OsString, output: &mut dyn Write) -> Result<ExitCode> {
    let selection = arguments.selection();
    // Names first: a slip in one is told even if the suite is missing too.
    selection.check()?;
    let Some(name) = &arguments.suite else {
        let known = shelf::SUITES.iter().map(|suite| suite.id).collect::<Vec<_>>().join(", ");
        return Err(Error::value("--suite", format!("given, one of {known} or a file"), "nothing"));
    };
    // They travel to the trials inside a line of JSON.
    for (flag, path) in [
        ("--data", &selection.data),
        ("--weights", &selection.weights),
        ("--save-weights", &arguments.save_weights),
    ] {
        if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
            return Err(Error::value(flag, "a path in UTF-8", path.display()));
        }
    }
    let suite = match shelf::suite(name)? {
        AnySuite::Cases(suite) => {
            for (flag, given) in [
                ("--batch-up-to", selection.batch_up_to.is_some()),
                ("--rows-without-device", selection.rows_without_device),
            ] {
                if given {
                    let rule = format!("left out with suite {}: it is for suites of sweeps", suite.id);
                    return Err(Error::value(flag, rule, "given"));
                }
            }
            suite
        }
        AnySuite::Sweeps(suite) => return super::sweep::run(arguments, &suite, &selection, program, output),
    };
    let pool = planning_pool(arguments)?;
    let plan = pool.install(|| plan(&suite, &selection))?;
    drop(pool);
    let out = arguments.out.clone().unwrap_or_else(|| default_out(&suite.id));
    if arguments.dry_run {
        return dry_run(&plan, &out, arguments.again, output).map(|()| ExitCode::SUCCESS);
    }
    if let Some(folder) = &arguments.save_weights {
        weights::open_folder(folder)?;
    }
    let setup = setup(arguments, &selection, program);
    let mut store = Campaign::open(&out).map_err(Error::Out)?;
    store.set_environment(&setup.environment).map_err(Error::Out)?;
    let interrupt = Interrupt::listen()?;
    let left =
        campaign::todo(&plan, |planned| store.finished(&planned.key, &planned.hash), setup.again).len();
    tell(&match (plan.len() - left, left) {
        (0, _) => format!("{}: {} trials, records in {}", suite.title, plan.len(), out.display()),
        (done, 0) => format!("{done} of {} done already; --again runs them once more", plan.len()),
        (done, left) => format!("{done} of {} done already, {left} to run; --again runs all", plan.len()),
    });
    let tally = campaign::run(&plan, &mut store, &setup, &interrupt)?;
    drop(store);
    ended(&tally, "trials", plan.len(), &out, output)
}

/// Threads to plan on, as many as run: what a step holds depends on them, by its workspace.
pub(super) fn planning_pool(arguments: &RunArguments) -> Result<rayon::ThreadPool> {
    kernels::threads::pool(arguments.threads.unwrap_or_else(cores), trial::STACK_BYTES)
        .map_err(|error| Error::value("--threads", "a number that the system can start", error))
}

/// How trials or points are run.
pub(super) fn setup(arguments: &RunArguments, selection: &Selection, program: OsString) -> Setup {
    let threads = arguments.threads.unwrap_or_else(cores);
    Setup {
        program: arguments.trial_program.clone().map_or(program, PathBuf::into_os_string),
        threads,
        timeout: arguments.timeout,
        memory_limit: arguments.memory_limit,
        data: selection.data.clone(),
        weights: selection.weights.clone(),
        save_weights: arguments.save_weights.clone(),
        again: arguments.again,
        environment: environment(threads),
    }
}

/// Says what is left, or reports; `noun` is what there are `total` of.
pub(super) fn ended(
    tally: &Tally,
    noun: &str,
    total: usize,
    out: &Path,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    if tally.interrupted {
        let kept = tally.earlier + tally.settled;
        tell(&format!("Stopped: {kept} of {total} {noun} are done and kept in {}.", out.display()));
        tell("The same command runs what is missing.");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    match report(out, None, None, output) {
        // The reader has seen enough; whether a trial failed is told all the same.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        Err(Error::Report(source)) => return Err(Error::ReportAfterRun(source)),
        reported => reported?,
    }
    if tally.failed == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    tell(&format!(
        "{} of {total} {noun} did not come to their end; the status column says why",
        tally.failed
    ));
    Ok(ExitCode::FAILURE)
}

/// A line on standard error; if nobody reads it, the records still say all.
pub(super) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The folder of a suite's records: in the checkout's `results/records` when run inside one, else below the
/// working folder. It does not change from run to run, so that a campaign can be taken up again.
pub(super) fn default_out(suite: &str) -> PathBuf {
    let records = Path::new("results").join("records");
    let here = std::env::current_dir().unwrap_or_default();
    let checkout =
        here.ancestors().find(|folder| folder.join("Cargo.toml").is_file() && folder.join(&records).is_dir());
    checkout.unwrap_or(&here).join(records).join(suite)
}

fn dry_run(plan: &[Planned], out: &Path, again: bool, output: &mut dyn Write) -> Result<()> {
    // Read, not opened: opening a campaign creates its files, and a dry run leaves no trace.
    let rows = match results::read(out) {
        Ok(records) => records.trials,
        Err(results::Error::NoRecords { .. }) => Vec::new(),
        Err(error) => return Err(Error::Out(error)),
    };
    let on_file = |planned: &Planned| {
        let settled = |row: &&Trial| row.config_hash == planned.hash && row.status.is_settled();
        rows.iter().filter(|row| row.trial == planned.key).any(|row| settled(&row))
    };
    let todo = campaign::todo(plan, on_file, again);
    let width = plan.iter().map(|planned| planned.key.chars().count()).max().unwrap_or(0);
    writeln!(output, "{:<width$}  {:>10}  {:>6}  {:>7}  would", "trial", "parameters", "epochs", "updates")?;
    for planned in plan {
        let budget = planned.configuration.budget;
        let would = match &planned.unsupported {
            _ if !todo.iter().any(|other| other.key == planned.key) => "be skipped: on file".to_owned(),
            Some(reason) => format!("be unsupported: {reason}"),
            None => "run".to_owned(),
        };
        let updates = budget.epochs * planned.batches;
        writeln!(
            output,
            "{:<width$}  {:>10}  {:>6}  {updates:>7}  {would}",
            planned.key, planned.parameters, budget.epochs
        )?;
    }
    writeln!(
        output,
        "\n{} of {} trials to run; records would go to {}",
        todo.len(),
        plan.len(),
        out.display()
    )?;
    Ok(())
}
