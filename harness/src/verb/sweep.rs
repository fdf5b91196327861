//! Points of a suite's sweeps: what is on file, what is left, and where it goes.

use std::io::Write;
use std::path::Path;

use results::{Points, Records};

use super::run::tell;
use crate::campaign::{Setup, Tally};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::sweep::{self, PlannedPoint};

pub(super) fn open(out: &Path, setup: &Setup) -> Result<Points> {
    let store = Points::open(out).map_err(Error::Out)?;
    store.set_environment(&setup.environment).map_err(Error::Out)?;
    Ok(store)
}

/// Measures the points that are not on file, and says how many there are.
pub(super) fn measure(
    title: &str,
    plan: &[PlannedPoint],
    (store, out): (&mut Points, &Path),
    setup: &Setup,
    interrupt: &Interrupt,
) -> Result<Tally> {
    let done = plan.iter().filter(|planned| store.finished(&planned.key, &planned.hash)).count();
    tell(&match (done, plan.len() - done) {
        _ if setup.again => format!("{title}: {} points, records in {}", plan.len(), out.display()),
        (0, _) => format!("{title}: {} points, records in {}", plan.len(), out.display()),
        (done, 0) => format!("{done} of {} points done already; --again runs them once more", plan.len()),
        (done, left) => {
            format!("{done} of {} points done already, {left} to run; --again runs all", plan.len())
        }
    });
    sweep::run(plan, store, setup, interrupt)
}

pub(super) fn dry_run(plan: &[PlannedPoint], out: &Path, again: bool, output: &mut dyn Write) -> Result<()> {
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
