//! What `plan` and `measure` are asked about: a training step of a network, by some methods.

use std::io::Write;

use clap::ValueEnum;
use engine::ledger::Category;
use engine::loss::{Loss, MseTarget};
use engine::method::{Method, MethodEntry, Settings};
use engine::optim::OptimSpec;
use engine::pass::{NormUpdates, Session, Tiles};

use super::model::{self, Changes};
use crate::environment::cores;
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::setup::Setup;
use crate::suggest::Unknown;
use crate::{cli, quantity, shelf};

/// The step that is asked about.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Asked {
    /// Samples in a training batch.
    #[arg(long, value_name = "N", value_parser = cli::at_least_one, default_value = "32")]
    batch: usize,
    /// Only these methods.
    #[arg(long, value_name = "ID,..", value_delimiter = ',')]
    method: Vec<String>,
    /// Take neuron, norm, grid, sizes, loss, optimiser, clipping and average from a recipe, in place of the published
    /// set-up with AdamW and a loss at every step.
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Numbers to compute with.
    #[arg(long, value_enum, default_value_t)]
    dtype: Precision,
    /// Side of the tiles that input gradients of 3x3 convolutions are computed by on a processor, in place of the recipe's: `four`
    /// is faster, with larger rounding errors.
    #[arg(long, value_enum, value_name = "SIDE")]
    gradient_tiles: Option<TileSide>,
    /// Bytes that a step may hold in all, such as 512MiB: methods that choose what they rebuild choose within it.
    #[arg(long, value_name = "SIZE", value_parser = quantity::size)]
    memory_budget: Option<usize>,
    /// Threads to compute on; all processors without it. Of the ledger, workspace alone depends on it.
    #[arg(long, value_name = "N", value_parser = cli::threads)]
    threads: Option<usize>,
}

/// The side of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TileSide {
    /// Two outputs.
    Two,
    /// Four.
    Four,
}

/// The same, with every name looked up.
pub(crate) struct Step {
    pub(crate) setup: Setup,
    pub(crate) methods: Vec<&'static MethodEntry>,
    pub(crate) batch: usize,
    pub(crate) threads: usize,
    /// `as published`, or the recipe's name.
    origin: String,
    precision: Precision,
}

/// Categories of the ledger as columns. Workspace stands last: it is kept for the whole run and depends on the threads.
pub(crate) const COLUMNS: [(Category, &str); Category::ALL.len()] = [
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

impl Step {
    /// Looks up model, recipe and methods, and refuses a network that can't be built.
    pub(crate) fn find(name: &str, changes: &Changes, asked: &Asked) -> Result<Self> {
        let setup = setup(name, changes, asked)?;
        let methods = methods(&asked.method)?;
        let planned = setup.network(Session::plan(setup.dtype), setup.network.steps);
        match planned {
            // A family that rules out this T may train at that of a method without time.
            Ok(_) | Err(engine::Error::Unsupported(_)) => {}
            Err(source) => return Err(Error::Setting { place: format!("model {name}"), source }),
        }
        let origin = asked.recipe.as_deref();
        let origin = origin.map_or_else(|| "as published".to_owned(), |name| format!("recipe {name}"));
        let threads = asked.threads.unwrap_or_else(cores);
        Ok(Self { setup, methods, batch: asked.batch, threads, origin, precision: asked.dtype })
    }

    /// Runs `work` on the threads that are asked for, with so much stack each.
    pub(crate) fn on_threads<T: Send>(
        &self,
        stack_bytes: usize,
        work: impl FnOnce(&Self) -> Result<T> + Send,
    ) -> Result<T> {
        let pool = kernels::threads::pool(self.threads, stack_bytes)
            .map_err(|error| Error::value("--threads", "a number that the system can start", error))?;
        pool.install(|| work(self))
    }

    /// The network and the batch, in words.
    pub(crate) fn heading(&self, output: &mut dyn Write) -> Result<()> {
        let (setup, spec) = (&self.setup, &self.setup.network);
        let [c, h, w] = spec.image;
        writeln!(output, "{}: {} ({})", setup.entry.id, setup.entry.summary, setup.entry.paper)?;
        writeln!(
            output,
            "batch of {} {} {c} x {h} x {w}, {} classes, T = {}, width {}, {}, {}, {} {}\n",
            self.batch,
            if c == 2 { "event frames" } else { "images" },
            spec.classes,
            spec.steps,
            spec.width,
            self.origin,
            self.dtype(),
            self.threads,
            if self.threads == 1 { "thread" } else { "threads" },
        )?;
        Ok(())
    }

    /// The type of the numbers, by its id.
    pub(crate) fn dtype(&self) -> &'static str {
        self.precision.id()
    }
}

fn setup(name: &str, changes: &Changes, asked: &Asked) -> Result<Setup> {
    let entry = model::entry(name)?;
    let dtype = asked.dtype.dtype();
    let published = (entry.published)();
    let tiles = asked.gradient_tiles.map(|side| match side {
        TileSide::Two => Tiles::Two,
        TileSide::Four => Tiles::Four,
    });
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
            gradient_tiles: tiles.unwrap_or_default(),
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
                gradient_tiles: tiles.unwrap_or(recipe.model.gradient_tiles),
                memory_budget: asked.memory_budget,
            }
        }
    })
}

fn methods(names: &[String]) -> Result<Vec<&'static MethodEntry>> {
    if names.is_empty() {
        return Ok(registry::all().collect());
    }
    names.iter().map(|name| method(name)).collect()
}

/// A method by its id.
pub(crate) fn method(name: &str) -> Result<&'static MethodEntry> {
    let known = || registry::all().map(|entry| entry.id);
    registry::find(name).ok_or_else(|| Error::unknown(Unknown::new("method", name, known())))
}

/// A method with its own defaults.
pub(crate) fn built(entry: &MethodEntry) -> Result<Box<dyn Method>> {
    (entry.build)(&Settings::default())
        .map_err(|source| Error::Setting { place: format!("method {}", entry.id), source })
}

/// Mebibytes; a small network's sizes are told apart too.
pub(crate) fn mib(bytes: f64) -> String {
    let mib = bytes / f64::from(1 << 20);
    if mib == 0.0 || mib >= 1.0 { format!("{mib:.1}") } else { format!("{mib:.3}") }
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
pub(crate) fn table(lines: &[Vec<String>], output: &mut dyn Write) -> Result<()> {
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

/// Methods that have no line in a table, each with the reason.
pub(crate) fn reasons(refused: &[(&str, String)], output: &mut dyn Write) -> Result<()> {
    let width = refused.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
    for (id, reason) in refused {
        writeln!(output, "{id:<width$}  {reason}")?;
    }
    Ok(())
}
