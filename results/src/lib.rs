#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod baseline;
pub mod chart;
mod contest;
mod error;
mod page;
mod quantity;
mod read;
pub mod record;
pub mod render;
mod report;
mod rows;
mod store;
pub mod table;

pub use baseline::{BASELINE_SCHEMA, MemoryRow, read_baseline, write_baseline};
pub use error::Error;
pub use read::{Records, read};
pub use record::{CurvePoint, Environment, FidelityRow, LedgerRow, OpsRow, Row, SCHEMA, Status, Trial};
pub use report::{ReportPaths, report};
pub use store::{Campaign, Details};
