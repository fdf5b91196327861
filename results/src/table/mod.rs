//! Tables: records in, a grid out. To add one, write a file beside this one and add its line to [`TABLES`].

mod comparison;
mod grid;
mod memory;

pub use grid::{Align, Cell, Column, Grid, Group};

use crate::read::Records;

/// A table that can be made from any records.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Id, also the name of its files.
    pub id: &'static str,
    /// Makes the table.
    pub grid: fn(&Records) -> Grid,
}

/// Every table, in the order in which a report shows them.
pub static TABLES: &[Table] = &[comparison::TABLE, memory::TABLE];
