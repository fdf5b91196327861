//! What the program can be asked to do, one file a verb.

pub(crate) mod data;
mod data_frames;
pub(crate) mod gates;
pub(crate) mod list;
pub(crate) mod measure;
pub(crate) mod measured;
pub(crate) mod model;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod recipe;
pub(crate) mod records;
pub(crate) mod regress;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod selftest;
pub(crate) mod splice;
pub(crate) mod step;
mod sweep;
