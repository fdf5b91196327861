//! Time of one training step against T and against the batch.

use super::Table;
use super::along::Shown;
use crate::quantity::three_digits;
use crate::sweep::Along;

pub(super) const AGAINST_STEPS: Table = Table { id: STEPS.id, grid: |records| STEPS.grid(records) };
pub(super) const AGAINST_BATCH: Table = Table { id: BATCH.id, grid: |records| BATCH.grid(records) };

const STEPS: Shown = Shown {
    id: "sweep-time",
    title: "Time of one training step against T, ms",
    caption: "Median wall time of the timed steps: forward, backward and update.",
    along: Along::Steps,
    key: "step_seconds",
    about: "Median wall time of a training step, in ms,",
    cell: |row| row.step_seconds_median.map(|seconds| (three_digits(seconds * 1e3), seconds)),
};

const BATCH: Shown = Shown {
    id: "sweep-time-batch",
    title: "Time of one training step against the batch, ms",
    along: Along::Batch,
    ..STEPS
};
