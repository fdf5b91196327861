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
use crate::suite::Suite;
use crate::sweep::{self, PlannedPoint};
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
    let suite = shelf::suite(name)?;
    if let Some(folder) = arguments.save_weights.as_ref().filter(|_| suite.cases.is_none()) {
        return Err(Error::value("--save-weights", sweep::no_use(suite.id()), folder.display()));
    }
    let pool = planning_pool(arguments)?;
    let (trials, points) = pool.install(|| plans(&suite, &selection))?;
    drop(pool);
    let out = arguments.out.clone().unwrap_or_else(|| default_out(suite.id()));
    if arguments.dry_run {
        if !points.is_empty() {
            super::sweep::dry_run(&points, &out, arguments.again, output)?;
        }
        if !points.is_empty() && !trials.is_empty() {
            writeln!(output)?;
        }
        if !trials.is_empty() {
            dry_run(&trials, &out, arguments.again, output)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &arguments.save_weights {
        weights::open_folder(folder)?;
    }
    let setup = setup(arguments, &selection, program);
    // Both are opened before either runs: an unwritable place is told at once.
    let mut store = (!trials.is_empty()).then(|| open(&out, &setup)).transpose()?;
    let mut points_store = (!points.is_empty()).then(|| super::sweep::open(&out, &setup)).transpose()?;
    let interrupt = Interrupt::listen()?;
    let mut tally = Tally::default();
    if let Some(store) = &mut points_store {
        tally = super::sweep::measure(suite.title(), &points, (store, &out), &setup, &interrupt)?;
    }
    if let Some(store) = store.as_mut().filter(|_| !tally.interrupted) {
        tally = tally.and(train(suite.title(), &trials, (store, &out), &setup, &interrupt)?);
    }
    drop((store, points_store));
    let noun = match (trials.is_empty(), points.is_empty()) {
        (false, false) => "points and trials",
        (false, true) => "trials",
        (true, _) => "points",
    };
    ended(&tally, noun, trials.len() + points.len(), &out, output)
}

/// Trials and points of a suite that are asked for, at least one of them.
fn plans(suite: &AnySuite, selection: &Selection) -> Result<(Vec<Planned>, Vec<PlannedPoint>)> {
    let (cases, sweeps) = match (&suite.cases, &suite.sweeps) {
        (Some(cases), Some(sweeps)) => (cases, sweeps),
        (Some(cases), None) => {
            refuse_flags_of_sweeps(cases, selection)?;
            return Ok((plan(cases, selection)?, Vec::new()));
        }
        (None, Some(sweeps)) => return Ok((Vec::new(), sweep::plan(sweeps, selection)?)),
        (None, None) => return Ok((Vec::new(), Vec::new())),
    };
    // Each half has a use for flags that the other has none for.
    let trials = selection.of_trials().map_or(Ok(Vec::new()), |selection| plan(cases, &selection));
    let points = selection.of_points().map_or(Ok(Vec::new()), |selection| sweep::plan(sweeps, &selection));
    match (trials, points) {
        (Ok(trials), Ok(points)) if trials.is_empty() && points.is_empty() => {
            let flags = "--dataset chooses trials alone, and they have no rows without the device";
            Err(Error::Nothing(format!("nothing of suite {} is left: {flags}", suite.id())))
        }
        (Ok(trials), Ok(points)) => Ok((trials, points)),
        (Ok(trials), Err(Error::Nothing(_))) if !trials.is_empty() => Ok((trials, Vec::new())),
        (Err(Error::Nothing(_)), Ok(points)) if !points.is_empty() => Ok((Vec::new(), points)),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn refuse_flags_of_sweeps(suite: &Suite, selection: &Selection) -> Result<()> {
    for (flag, given) in [
        ("--batch-up-to", selection.batch_up_to.is_some()),
        ("--rows-without-device", selection.rows_without_device),
    ] {
        if given {
            let rule = format!("left out with suite {}: it is for suites of sweeps", suite.id);
            return Err(Error::value(flag, rule, "given"));
        }
    }
    Ok(())
}

fn open(out: &Path, setup: &Setup) -> Result<Campaign> {
    let store = Campaign::open(out).map_err(Error::Out)?;
    store.set_environment(&setup.environment).map_err(Error::Out)?;
    Ok(store)
}

/// Runs the trials that are not on file, and says how many there are.
fn train(
    title: &str,
    plan: &[Planned],
    (store, out): (&mut Campaign, &Path),
    setup: &Setup,
    interrupt: &Interrupt,
) -> Result<Tally> {
    let on_file = |planned: &Planned| store.finished(&planned.key, &planned.hash);
    let left = campaign::todo(plan, on_file, setup.again).len();
    tell(&match (plan.len() - left, left) {
        (0, _) => format!("{title}: {} trials, records in {}", plan.len(), out.display()),
        (done, 0) => format!("{done} of {} trials done already; --again runs them once more", plan.len()),
        (done, left) => {
            format!("{done} of {} trials done already, {left} to run; --again runs all", plan.len())
        }
    });
    campaign::run(plan, store, setup, interrupt)
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
