//! Tables: records in, a grid out. To add one, write a file beside this one and add its line to [`TABLES`].

mod along;
mod comparison;
mod complexity;
mod energy;
mod grid;
mod image_memory;
mod inference;
mod layers;
mod memory;
mod operations;
mod published;
mod relative_time;
mod scaling;
mod sweep_time;
mod time_rise;
mod training_operations;
mod training_step;

pub(crate) use complexity::of_paper as complexity_of;
pub use grid::{Align, Cell, Column, Grid, Group, Preference};
pub(crate) use inference::operations;

use crate::read::Records;

/// A table that can be made from any records.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Id, also the name of its files.
    pub id: &'static str,
    /// Makes the table; one without groups has nothing to show.
    pub grid: fn(&Records) -> Grid,
}

/// Every table, in the order in which a report shows them.
pub static TABLES: &[Table] = &[
    comparison::TABLE,
    memory::TABLE,
    energy::TABLE,
    operations::TABLE,
    layers::TABLE,
    training_operations::TABLE,
    training_step::TABLE,
    scaling::TABLE,
    image_memory::AGAINST_STEPS,
    image_memory::AGAINST_BLOCKS,
    sweep_time::AGAINST_STEPS,
    sweep_time::AGAINST_BATCH,
    relative_time::TABLE,
    time_rise::TABLE,
    published::TABLE,
    inference::TABLE,
    complexity::TABLE,
];
