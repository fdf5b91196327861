//! The memory gate: training steps measured, the laws they must keep, on an accelerator by its pool too, and on the CPU the
//! baseline they must meet.
//!
//! All cells are measured in one process, one after another, each after steps of warm-up: what a step holds above what
//! lived before it is then the same as in a process of its own, to the byte. The one exception is the heap on several
//! threads, where it depends on which of them pack a matrix at the same moment; there it is not compared.

mod cells;
mod compare;
mod law;
mod measure;
mod pool;
mod table;

use engine::ledger::Category;
use results::{BASELINE_SCHEMA, MemoryRow};

use crate::device::{self, DeviceKind};
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::trial::STACK_BYTES;

pub(crate) use cells::ascending;
pub use cells::{Cells, Find, Group};
pub use compare::{Comparison, against, broken_laws};
pub use law::Law;
use law::remainder_bytes;
pub use measure::{At, Measured, measure};
pub use pool::{NO_POOL, broken_on_pool};
pub(crate) use table::{grouped, table};

/// A group with what was measured of it.
pub struct Found<'c> {
    /// The group.
    pub group: &'c Group,
    /// Its cells: blocks by blocks, ascending T within.
    pub cells: Vec<FoundCell>,
}

/// A cell with what was measured of it.
pub struct FoundCell {
    /// T and blocks.
    pub at: At,
    /// By number of threads, in the order of the list; or why it could not be measured.
    pub runs: engine::Result<Vec<(usize, Measured)>>,
    /// Bytes of the laws that theory gives it beyond a constant; `None` where the law has no use for them.
    pub theory: Option<usize>,
    /// Bytes of the laws that a plan gives it: what the pool of an accelerator is judged with, and empty elsewhere.
    pub planned: Option<usize>,
    /// By how much that plan may be off.
    pub plan_slack: usize,
}

/// Measures every cell on every number of threads, on a device.
///
/// # Errors
/// When threads can't be started.
pub fn measure_all(cells: &Cells, device: DeviceKind) -> Result<Vec<Found<'_>>> {
    // Kept to the end: a pool that is dropped gives its scratch back at some later time.
    let mut pools = Vec::new();
    for &threads in &cells.threads {
        let pool = kernels::threads::pool(threads, STACK_BYTES)
            .map_err(|error| Error::value("threads", "a number that the system can start", error))?;
        // All have started, so that none allocates beside a measurement.
        pool.broadcast(|_| ());
        pools.push((threads, pool));
    }
    let mut found = Vec::new();
    for group in &cells.groups {
        let places = group.blocks.iter().flat_map(|&blocks| group.steps.iter().map(move |&t| (t, blocks)));
        let mut measured = Vec::new();
        for at in places {
            let runs = pools.iter().map(|(threads, pool)| {
                let run = pool.install(|| {
                    measure(group, at, device::session(device.id(), Precision::default()).map_err(misuse)?)
                })?;
                Ok((*threads, run))
            });
            let runs = runs.collect::<engine::Result<Vec<_>>>();
            let expected = pools.first().map(|(_, pool)| pool.install(|| expected(group, at, device)));
            let (runs, Expected { theory, planned, plan_slack }) = match expected.transpose() {
                Ok(expected) => (runs, expected.unwrap_or_default()),
                Err(error) => (Err(error), Expected::default()),
            };
            measured.push(FoundCell { at, runs, theory, planned, plan_slack });
        }
        found.push(Found { group, cells: measured });
    }
    Ok(found)
}

fn misuse(error: Error) -> engine::Error {
    engine::Error::Misuse(error.to_string())
}

/// What a cell is compared with, measured nowhere.
#[derive(Default)]
struct Expected {
    theory: Option<usize>,
    planned: Option<usize>,
    plan_slack: usize,
}

fn expected(group: &Group, at: At, device: DeviceKind) -> engine::Result<Expected> {
    let theory = theory(group, at, device)?;
    if device == DeviceKind::Cpu {
        return Ok(Expected { theory, ..Expected::default() });
    }
    let planning = || device::planning(Precision::default());
    let states = match group.law {
        Law::OneBitPerStateAndStep => measure::states(group, at, planning())?,
        Law::NoBytePerStep | Law::PlannedBytesPerStep | Law::NoBytePerBlock => Vec::new(),
    };
    let planned = measure(group, at, planning())?.in_laws;
    Ok(Expected { theory, planned: Some(planned), plan_slack: pool::plan_slack(group.law, at.0, &states) })
}

fn theory(group: &Group, at: At, device: DeviceKind) -> engine::Result<Option<usize>> {
    match group.law {
        Law::NoBytePerStep | Law::NoBytePerBlock => Ok(None),
        Law::PlannedBytesPerStep => {
            measure(group, at, device::planning(Precision::default())).map(|plan| Some(plan.in_laws))
        }
        Law::OneBitPerStateAndStep => {
            let states = measure::states(group, at, device::planning(Precision::default()))?;
            Ok(Some(at.0 * remainder_bytes(&states, device)))
        }
    }
}

impl Found<'_> {
    /// What was measured, as rows of a baseline.
    #[must_use]
    pub fn rows(&self) -> Vec<MemoryRow> {
        let of_cell = |cell: &FoundCell| {
            let runs = cell.runs.as_deref().unwrap_or_default().iter();
            runs.map(|&(threads, run)| self.row(cell.at, threads, run)).collect::<Vec<_>>()
        };
        self.cells.iter().flat_map(of_cell).collect()
    }

    fn row(&self, (steps, blocks): At, threads: usize, run: Measured) -> MemoryRow {
        let most = |category: Category| run.most[category as usize] as u64;
        MemoryRow {
            schema: BASELINE_SCHEMA,
            network: self.group.network.clone(),
            method: self.group.method.id.to_owned(),
            steps_t: steps as u32,
            blocks: blocks.map(|blocks| blocks as u32),
            threads: threads as u32,
            instruction_set: kernels::instruction_set().to_owned(),
            law_bytes: run.in_laws as u64,
            parameters_bytes: most(Category::Parameters),
            gradients_bytes: most(Category::Gradients),
            optimiser_bytes: most(Category::Optimiser),
            average_bytes: most(Category::Average),
            saved_bytes: most(Category::Saved),
            state_bytes: most(Category::State),
            traces_bytes: most(Category::Traces),
            input_bytes: most(Category::Input),
            passing_bytes: most(Category::Passing),
            activation_gradients_bytes: most(Category::ActivationGradients),
            heap_bytes: run.heap.filter(|_| threads == 1).map(|bytes| bytes as u64),
            workspace_bytes: most(Category::Workspace),
        }
    }
}
