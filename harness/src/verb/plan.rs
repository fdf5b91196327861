//! `plan MODEL`: what a training step of a network will hold by each method, and what fits into a given memory.

use std::io::Write;

use engine::ledger::Category;

use super::model::Changes;
use super::step::{self, COLUMNS, Step, built, mib, table};
use crate::error::Result;
use crate::forecast::Forecast;
use crate::quantity;
use crate::suite::{MOST_COUNTED, MOST_STEPS};

/// Stack of the threads that plan.
const STACK_BYTES: usize = 16 << 20;

/// What to plan.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    step: step::Asked,
    /// Look for the largest batch and the largest T that fit into so much memory, such as 8GiB.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    fits: Option<usize>,
}

/// Prints the table, and with `--fits` what fits.
pub(crate) fn plan(name: &str, changes: &Changes, asked: &Asked, output: &mut dyn Write) -> Result<()> {
    let step = Step::find(name, changes, &asked.step)?;
    let text = step.on_threads(STACK_BYTES, |step| -> Result<Vec<u8>> {
        let mut text = Vec::new();
        step.heading(&mut text)?;
        steps(step, &mut text)?;
        if let Some(bytes) = asked.fits {
            fits(step, bytes, &mut text)?;
        }
        Ok(text)
    })?;
    output.write_all(&text)?;
    Ok(())
}

/// One line a method: what a step holds when it holds most.
fn steps(step: &Step, output: &mut dyn Write) -> Result<()> {
    let mut lines: Vec<Vec<String>> =
        vec![std::iter::once("MiB").chain(COLUMNS.map(|(_, name)| name)).map(str::to_owned).collect()];
    lines[0].extend(["peak", "a sample"].map(str::to_owned));
    let (mut refused, mut kept) = (Vec::new(), None);
    for entry in &step.methods {
        let method = built(entry)?;
        match step.setup.forecast(&*method, method.steps(step.setup.network.steps), step.batch) {
            Ok(forecast) => {
                lines.push(line(entry.id, &forecast, step.batch));
                if entry.id == registry::exact().id {
                    kept = Some((forecast.kept_by_autograd(), forecast.of(Category::Saved)));
                }
            }
            Err(reason) => refused.push((entry.id, format!("can't: {reason}"))),
        }
    }
    table(&lines, output)?;
    step::reasons(&refused, output)?;
    if let Some((kept, saved)) = kept.filter(|(_, saved)| *saved > 0) {
        writeln!(
            output,
            "\nkeeping every value of the forward pass, as candle's own differentiation does, would save {} MiB: {:.1} \
             times as much as {}",
            mib(kept as f64),
            kept as f64 / saved as f64,
            registry::exact().id
        )?;
    }
    Ok(())
}

fn line(id: &str, forecast: &Forecast, batch: usize) -> Vec<String> {
    let mut cells = vec![id.to_owned()];
    cells.extend(COLUMNS.map(|(category, _)| mib(forecast.of(category) as f64)));
    let whole = forecast.whole() as f64;
    cells.extend([mib(whole), mib(whole / batch as f64)]);
    cells
}

/// What fits into a memory: the largest batch at the given T, and the largest T at the given batch.
fn fits(step: &Step, bytes: usize, output: &mut dyn Write) -> Result<()> {
    let (setup, batch, asked) = (&step.setup, step.batch, step.setup.network.steps);
    let (limit, most) = (quantity::limit(bytes), MOST_STEPS.to_string());
    let mut lines = vec![vec![
        format!("in {limit}"),
        format!("largest batch at T = {asked}"),
        format!("largest T at a batch of {batch}"),
    ]];
    let mut batches = Vec::new();
    for entry in &step.methods {
        let method = built(entry)?;
        let own = method.steps(asked);
        if setup.forecast(&*method, own, 1).is_err() {
            continue;
        }
        let fits =
            |steps, batch| setup.forecast(&*method, steps, batch).is_ok_and(|held| held.whole() <= bytes);
        let samples = largest(batch, MOST_COUNTED, |batch| fits(own, batch));
        // A method without time has a T of its own, whatever is asked for.
        let timed = method.steps(1) != method.steps(2);
        let steps = if timed { largest(asked, MOST_STEPS, |steps| fits(steps, batch)) } else { None };
        let told = |found: Option<usize>| found.map_or_else(|| "none".to_owned(), |found| found.to_string());
        lines.push(vec![
            entry.id.to_owned(),
            told(samples),
            match steps {
                _ if !timed => "no time".to_owned(),
                Some(MOST_STEPS) => format!("{most} or more"),
                steps => told(steps),
            },
        ]);
        if let (true, Some(samples)) = (timed, samples) {
            batches.push((entry.id, samples));
        }
    }
    writeln!(output)?;
    table(&lines, output)?;
    let Some(&(_, largest)) = batches.iter().max_by_key(|(_, samples)| *samples) else {
        writeln!(output, "\nwith {limit}: not one sample at T = {asked}")?;
        return Ok(());
    };
    let best: Vec<&str> =
        batches.iter().filter(|(_, samples)| *samples == largest).map(|&(id, _)| id).collect();
    writeln!(
        output,
        "\nwith {limit}: {} {} the largest batch at T = {asked}, {largest}",
        best.join(", "),
        if best.len() == 1 { "trains" } else { "train" },
    )?;
    Ok(())
}

/// The largest number up to `most` that fits, looked for from `first` on: by doubling, then by halving the gap.
fn largest(first: usize, most: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, first.min(most));
    while fits(high) {
        if high == most {
            return Some(most);
        }
        (low, high) = (high, (2 * high).min(most));
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    (low > 0).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_largest_that_fits_is_found_from_below_and_from_above() {
        for limit in [1, 2, 3, 31, 32, 33, 100, 1000] {
            for first in [1, 7, 32, 5000] {
                assert_eq!(largest(first, 1 << 20, |n| n <= limit), Some(limit), "from {first}");
            }
        }
        assert_eq!(largest(32, 1 << 20, |_| false), None);
        assert_eq!(largest(32, 100, |_| true), Some(100));
    }
}
