//! Sweeps: one network measured along T, its blocks and batches, method by method, and one image's cost along T.
//!
//! A sweep's point takes a few training steps on noise in a process of its own: nothing is learned, so neither data nor
//! budget is asked for. What a point holds is read on one thread, what it takes is timed on all of them, each with a
//! network of its own.

mod infer;
mod measure;
mod plan;
mod point;
mod room;
mod row;
mod run;
mod suite;

pub(crate) use plan::{PlannedPoint, no_use, plan};
pub use point::{InferenceFound, Point, PointFound, StepFound, Task};
pub(crate) use run::{is_on_file, run};
pub use suite::{Batches, InferenceSweep, Sweep, Sweeps};

use std::io::Write;

use crate::event::PointAssignment;
use crate::trial::{Failure, Reporter};

/// Serves a point in its own process.
pub(crate) fn serve<W: Write + Send>(
    assignment: &PointAssignment,
    reporter: &mut Reporter<W>,
) -> Result<PointFound, Failure> {
    kernels::heap::keep_pages();
    if let Some(bytes) = assignment.memory_limit {
        kernels::heap::set_limit(bytes);
    }
    match &assignment.point.task {
        Task::Train(training) => {
            measure::train(&assignment.point, training, assignment.threads, reporter).map(PointFound::Train)
        }
        Task::Infer(_) => {
            infer::infer(&assignment.point, assignment.threads, reporter).map(PointFound::Infer)
        }
    }
}
