//! Memory an image, as papers print it: MB with the batch and the type of the numbers in every cell.

use super::Table;
use super::along::Shown;
use crate::quantity::three_digits;
use crate::record::ScalingRow;
use crate::sweep::Along;

pub(super) const AGAINST_STEPS: Table = Table { id: STEPS.id, grid: |records| STEPS.grid(records) };
pub(super) const AGAINST_BLOCKS: Table = Table { id: BLOCKS.id, grid: |records| BLOCKS.grid(records) };

const STEPS: Shown = Shown {
    id: "image-memory",
    title: "Memory an image against T, MB/img",
    caption: "Peak of everything that one training step holds, workspace included, divided by the batch. 1 MB is \
              1,000,000 bytes, as papers count; batch and type of the numbers stand in brackets.",
    along: Along::Steps,
    key: "bytes_per_sample",
    about: "Peak memory of a training step divided by the batch, in MB,",
    cell,
};

const BLOCKS: Shown = Shown {
    id: "image-memory-blocks",
    title: "Memory an image against blocks, MB/img",
    along: Along::Blocks,
    ..STEPS
};

fn cell(row: &ScalingRow) -> Option<(String, f64)> {
    let bytes = (row.whole_bytes? + row.workspace_bytes?) as f64 / f64::from(row.batch);
    Some((format!("{} ({}, {})", three_digits(bytes / 1e6), row.batch, row.dtype), bytes))
}
