#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod frozen;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, RunSpec, Settings, Trainer, Unsupported};
use engine::model::Network;

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[
    MethodEntry {
        id: "stbp",
        summary: "backpropagation through time, everything kept",
        paper: "Wu et al., Frontiers in Neuroscience 12:331, 2018",
        build: |settings| build("stbp", settings, Stbp),
    },
    MethodEntry {
        id: "frozen",
        summary: "only the read-out is trained, on random features: the floor every method must clear",
        paper: "none: a reference row",
        build: |settings| build("frozen", settings, frozen::Frozen),
    },
];

fn build<M: Method + 'static>(id: &str, settings: &Settings, method: M) -> Result<Box<dyn Method>> {
    settings.only(id, &[])?;
    Ok(Box::new(method))
}

struct Stbp;

impl Method for Stbp {
    fn supports(&self, _network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(trainer::Stbp::new(network, run)))
    }
}
