#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod baseline;
pub mod chart;
mod contest;
mod counts;
pub mod energy;
mod error;
mod fit;
mod origin;
mod page;
pub mod paper;
mod points;
mod published;
mod quantity;
mod read;
pub mod record;
pub mod render;
mod report;
mod rise;
mod rows;
mod splice;
mod statistics;
mod store;
mod sweep;
pub mod table;
mod upgrade;

pub use baseline::{BASELINE_SCHEMA, MemoryRow, read_baseline, write_baseline};
pub use error::Error;
pub use origin::Origin;
pub use points::Points;
pub use published::{PAPERS, Paper};
pub use read::{Records, read};
pub use record::{
    CurvePoint, Environment, FidelityRow, FrameRow, Head, InferenceRow, LedgerRow, MeterRow, OpsRow,
    READ_SCHEMAS, Row, SCHEMA, ScalingRow, Status, Trial,
};
pub use report::{ReportPaths, paper_report, report};
pub use splice::{Stale, splice};
pub use store::{Campaign, Details};
pub use upgrade::{Carried, upgrade};
