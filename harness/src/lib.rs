#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod campaign;
pub mod child;
mod choices;
pub mod cli;
mod configuration;
mod device;
mod document;
mod environment;
mod error;
pub mod event;
mod forecast;
mod interrupt;
mod measurement;
mod noise;
mod plan;
mod probe;
mod progress;
mod quantity;
mod recipe;
pub mod regress;
mod resident;
mod select;
mod setup;
pub mod shelf;
mod source;
mod spread;
mod suggest;
mod suite;
pub mod sweep;
pub mod trial;
mod utc;
mod verb;
mod weights;

pub use choices::ModelChoices;
pub use configuration::Configuration;
pub use device::DeviceKind;
pub use environment::{cores, environment};
pub use error::{Error, Result};
pub use interrupt::Interrupt;
pub use plan::{Planned, plan};
pub use quantity::size;
pub use recipe::{Paper, Recipe};
pub use select::Selection;
pub use suggest::Unknown;
pub use suite::{Budget, Case, MethodSettings, Scalar, Suite};
