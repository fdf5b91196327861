//! The plain form with a suite of sweeps: plans its points, measures what is missing, and reports.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use results::{Points, Records};

use super::run::{default_out, ended, planning_pool, setup, tell};
use crate::cli::RunArguments;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::select::Selection;
use crate::sweep::{self, PlannedPoint, Sweeps};

pub(super) fn run(
    arguments: &RunArguments,
    suite: &Sweeps,
    selection: &Selection,
    program: std::ffi::OsString,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    if let Some(folder) = &arguments.save_weights {
        return Err(Error::value("--save-weights", sweep::no_use(&suite.id), folder.display()));
    }
    let pool = planning_pool(arguments)?;
    let plan = pool.install(|| sweep::plan(suite, selection))?;
    drop(pool);
    let out = arguments.out.clone().unwrap_or_else(|| default_out(&suite.id));
    if arguments.dry_run {
        return dry_run(&plan, &out, arguments.again, output).map(|()| ExitCode::SUCCESS);
    }
    let setup = setup(arguments, selection, program);
    let mut store = Points::open(&out).map_err(Error::Out)?;
    store.set_environment(&setup.environment).map_err(Error::Out)?;
    let interrupt = Interrupt::listen()?;
    let done = plan.iter().filter(|planned| store.finished(&planned.key, &planned.hash)).count();
    tell(&match (done, plan.len() - done) {
        _ if setup.again => format!("{}: {} points, records in {}", suite.title, plan.len(), out.display()),
        (0, _) => format!("{}: {} points, records in {}", suite.title, plan.len(), out.display()),
        (done, 0) => format!("{done} of {} done already; --again runs them once more", plan.len()),
        (done, left) => format!("{done} of {} done already, {left} to run; --again runs all", plan.len()),
    });
    let tally = sweep::run(&plan, &mut store, &setup, &interrupt)?;
    drop(store);
    ended(&tally, "points", plan.len(), &out, output)
}

fn dry_run(plan: &[PlannedPoint], out: &Path, again: bool, output: &mut dyn Write) -> Result<()> {
    // Read, not opened: opening a campaign creates its files, and a dry run leaves no trace.
    let records = match results::read(out) {
        Ok(records) => records,
        Err(results::Error::NoRecords { .. }) => Records::default(),
        Err(error) => return Err(Error::Out(error)),
    };
    let width = plan.iter().map(|planned| planned.key.chars().count()).max().unwrap_or(0);
    let mut left = 0;
    writeln!(output, "{:<width$}  {:>10}  would", "point", "parameters")?;
    for planned in plan {
        let on_file = !again && sweep::is_on_file(&records, planned);
        let would = match &planned.unsupported {
            _ if on_file => "be skipped: on file".to_owned(),
            Some(reason) => format!("be unsupported: {reason}"),
            None => match &planned.missing {
                Some(reason) => format!("be a row without numbers: {reason}"),
                None => "run".to_owned(),
            },
        };
        left += usize::from(!on_file);
        let parameters = planned.parameters.map(|count| count.to_string()).unwrap_or_default();
        writeln!(output, "{:<width$}  {parameters:>10}  {would}", planned.key)?;
    }
    writeln!(output, "\n{left} of {} points to run; records would go to {}", plan.len(), out.display())?;
    Ok(())
}
