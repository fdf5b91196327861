//! `plan MODEL`: what a training step of a network will hold by each method, and what fits into a given memory.

use std::io::Write;

use candle_core::DType;
use clap::ValueEnum;
use engine::ledger::Category;
use engine::loss::{Loss, MseTarget};
use engine::method::{Method, MethodEntry, Settings};
use engine::optim::OptimSpec;
use engine::pass::NormUpdates;

use super::model::{self, Changes};
use crate::environment::cores;
use crate::error::{Error, Result};
use crate::forecast::{Forecast, Setup};
use crate::suggest::Unknown;
use crate::suite::{MOST_COUNTED, MOST_STEPS};
use crate::{cli, quantity, shelf};

/// Stack of the threads that plan.
const STACK_BYTES: usize = 16 << 20;

/// What to plan.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Asked {
    /// Samples in a training batch.
    #[arg(long, value_name = "N", value_parser = cli::at_least_one, default_value = "32")]
    batch: usize,
    /// Plan only these methods.
    #[arg(long, value_name = "ID,..", value_delimiter = ',')]
    method: Vec<String>,
    /// Take neuron, norm, grid, sizes, loss, optimiser, clipping and average from a recipe, in place of the published
    /// set-up with AdamW and a loss at every step.
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Numbers to compute with.
    #[arg(long, value_enum, default_value_t)]
    dtype: Precision,
    /// Look for the largest batch and the largest T that fit into so much memory, such as 8GiB.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    fits: Option<usize>,
    /// Bytes that a step may hold in all, such as 512MiB: methods that choose what they rebuild choose within it.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    memory_budget: Option<usize>,
    /// Threads to compute on; all processors without it. Workspace alone depends on it.
    #[arg(long, value_name = "N", value_parser = cli::threads)]
    threads: Option<usize>,
}

/// The type of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Single.
    #[default]
    F32,
    /// Double.
    F64,
}

/// Columns of the table. Workspace stands last: it is kept for the whole run and depends on the threads.
const COLUMNS: [(Category, &str); Category::ALL.len()] = [
    (Category::Parameters, "parameters"),
    (Category::Gradients, "gradients"),
    (Category::Optimiser, "optimiser"),
    (Category::Average, "average"),
    (Category::Saved, "saved"),
    (Category::State, "state"),
    (Category::Traces, "traces"),
    (Category::Input, "input"),
    (Category::Passing, "passing"),
    (Category::ActivationGradients, "act. gradients"),
    (Category::Workspace, "workspace"),
];

/// Prints the table, and with `--fits` what fits.
pub(crate) fn plan(name: &str, changes: &Changes, asked: &Asked, output: &mut dyn Write) -> Result<()> {
    let setup = setup(name, changes, asked)?;
    let methods = methods(&asked.method)?;
    let failed = |source| Error::Setting { place: format!("plan {name}"), source };
    match setup.planned(setup.network.steps) {
        // A family that rules out this T may train at that of a method without time.
        Ok(_) | Err(engine::Error::Unsupported(_)) => {}
        Err(error) => return Err(failed(error)),
    }
    let threads = asked.threads.unwrap_or_else(cores);
    let pool =
        kernels::threads::pool(threads, STACK_BYTES).map_err(|source| failed(engine::Error::from(source)))?;
    let text = pool.install(|| -> Result<Vec<u8>> {
        let mut text = Vec::new();
        heading(&setup, asked, threads, &mut text)?;
        steps(&setup, &methods, asked.batch, &mut text)?;
        if let Some(bytes) = asked.fits {
            fits(&setup, &methods, asked.batch, bytes, &mut text)?;
        }
        Ok(text)
    })?;
    output.write_all(&text)?;
    Ok(())
}

fn setup(name: &str, changes: &Changes, asked: &Asked) -> Result<Setup> {
    let entry = model::entry(name)?;
    let dtype = match asked.dtype {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    };
    let published = (entry.published)();
    Ok(match &asked.recipe {
        None => Setup {
            entry,
            network: changes.of(published),
            dtype,
            loss: Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 },
            optimizer: OptimSpec::adam_w(0.0),
            clip: None,
            average: None,
            rebuilt_norms: NormUpdates::Keep,
            memory_budget: asked.memory_budget,
        },
        Some(recipe) => {
            let recipe = shelf::recipe(recipe, None)?;
            let network = recipe.model.spec(published.image, published.classes, published.steps);
            Setup {
                entry,
                network: changes.of(network),
                dtype,
                loss: recipe.loss,
                optimizer: recipe.optimizer,
                clip: recipe.clip,
                average: recipe.average,
                rebuilt_norms: recipe.model.rebuilt_norms,
                memory_budget: asked.memory_budget,
            }
        }
    })
}

fn methods(names: &[String]) -> Result<Vec<&'static MethodEntry>> {
    if names.is_empty() {
        return Ok(registry::all().collect());
    }
    let find = |name: &String| {
        let known = || registry::all().map(|entry| entry.id);
        registry::find(name).ok_or_else(|| Error::unknown(Unknown::new("method", name, known())))
    };
    names.iter().map(find).collect()
}

fn built(entry: &MethodEntry) -> Result<Box<dyn Method>> {
    (entry.build)(&Settings::default())
        .map_err(|source| Error::Setting { place: format!("method {}", entry.id), source })
}

fn heading(setup: &Setup, asked: &Asked, threads: usize, output: &mut dyn Write) -> Result<()> {
    let ([c, h, w], spec) = (setup.network.image, &setup.network);
    writeln!(output, "{}: {} ({})", setup.entry.id, setup.entry.summary, setup.entry.paper)?;
    let frames = if c == 2 { "event frames" } else { "images" };
    writeln!(
        output,
        "batch of {} {frames} {c} x {h} x {w}, {} classes, T = {}, width {}, {}, {}, {threads} {}\n",
        asked.batch,
        spec.classes,
        spec.steps,
        spec.width,
        asked.recipe.as_deref().map_or_else(|| "as published".to_owned(), |name| format!("recipe {name}")),
        if setup.dtype == DType::F64 { "f64" } else { "f32" },
        if threads == 1 { "thread" } else { "threads" },
    )?;
    Ok(())
}

/// One line a method: what a step holds when it holds most.
fn steps(setup: &Setup, methods: &[&MethodEntry], batch: usize, output: &mut dyn Write) -> Result<()> {
    let mut lines: Vec<Vec<String>> =
        vec![std::iter::once("MiB").chain(COLUMNS.map(|(_, name)| name)).map(str::to_owned).collect()];
    lines[0].extend(["peak", "a sample"].map(str::to_owned));
    let mut refused = Vec::new();
    for entry in methods {
        let method = built(entry)?;
        match setup.step(&*method, method.steps(setup.network.steps), batch) {
            Ok(forecast) => lines.push(line(entry.id, &forecast, batch)),
            Err(reason) => refused.push((entry.id, reason)),
        }
    }
    table(&lines, output)?;
    let width = refused.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
    for (id, reason) in refused {
        writeln!(output, "{id:<width$}  can't: {reason}")?;
    }
    Ok(())
}

fn line(id: &str, forecast: &Forecast, batch: usize) -> Vec<String> {
    let mib = |bytes: f64| {
        let mib = bytes / f64::from(1 << 20);
        // A small network's sizes are told apart too.
        if mib == 0.0 || mib >= 1.0 { format!("{mib:.1}") } else { format!("{mib:.3}") }
    };
    let mut cells = vec![id.to_owned()];
    cells.extend(COLUMNS.map(|(category, _)| mib(forecast.of(category) as f64)));
    let whole = forecast.whole() as f64;
    cells.extend([mib(whole), mib(whole / batch as f64)]);
    cells
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
fn table(lines: &[Vec<String>], output: &mut dyn Write) -> Result<()> {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(
            |(at, (cell, &width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") }
            },
        );
        writeln!(output, "{}", cells.collect::<String>().trim_end())?;
    }
    Ok(())
}

/// What fits into a memory: the largest batch at the given T, and the largest T at the given batch.
fn fits(
    setup: &Setup,
    methods: &[&MethodEntry],
    batch: usize,
    bytes: usize,
    output: &mut dyn Write,
) -> Result<()> {
    let asked = setup.network.steps;
    let (limit, most) = (quantity::limit(bytes), MOST_STEPS.to_string());
    let mut lines = vec![vec![
        format!("in {limit}"),
        format!("largest batch at T = {asked}"),
        format!("largest T at a batch of {batch}"),
    ]];
    let mut batches = Vec::new();
    for entry in methods {
        let method = built(entry)?;
        let own = method.steps(asked);
        if setup.step(&*method, own, 1).is_err() {
            continue;
        }
        let fits = |steps, batch| setup.step(&*method, steps, batch).is_ok_and(|held| held.whole() <= bytes);
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
