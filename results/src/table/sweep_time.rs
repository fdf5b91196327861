//! Time of one training step against T.

use super::Table;
use super::along::Shown;
use crate::quantity::three_digits;
use crate::sweep::Along;

pub(super) const TABLE: Table = Table { id: SHOWN.id, grid: |records| SHOWN.grid(records) };

const SHOWN: Shown = Shown {
    id: "sweep-time",
    title: "Time of one training step against T, ms",
    caption: "Median wall time of the timed steps: forward, backward and update.",
    along: Along::Steps,
    key: "step_seconds",
    about: "Median wall time of a training step, in ms,",
    cell: |row| row.step_seconds_median.map(|seconds| (three_digits(seconds * 1e3), seconds)),
};
