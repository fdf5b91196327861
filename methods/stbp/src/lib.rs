#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bits;
mod checkpoint;
mod frozen;
mod memoryless;
mod settings;
mod sparing;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, Official, RunSpec, Trainer, Unsupported};
use engine::model::Network;

use settings::Stbp;

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[
    MethodEntry {
        id: "stbp",
        summary: "backpropagation through time, everything kept",
        paper: "Wu et al., Frontiers in Neuroscience 12:331, 2018",
        official: &[Official::plain("BPTT")],
        build: |settings| Ok(Box::new(Stbp::read(settings)?)),
    },
    MethodEntry {
        id: "stbp-checkpoint",
        summary: "the same, with groups of layers run again from their inputs; groups of least memory",
        paper: "Chen et al., arXiv 1604.06174, 2016",
        official: &[],
        build: |settings| {
            settings.only("stbp-checkpoint", &[])?;
            Ok(Box::new(checkpoint::Checkpoint))
        },
    },
    MethodEntry {
        id: "stbp-bits",
        summary: "the same, with spikes kept as bits and currents computed again from them",
        paper: "none: the strongest exact rival that we could build",
        official: &[],
        build: |settings| {
            settings.only("stbp-bits", &[])?;
            Ok(Box::new(bits::Bits))
        },
    },
    MethodEntry {
        id: "frozen",
        summary: "only the read-out is trained, on random features: the floor every method must clear",
        paper: "none: a reference row",
        official: &[],
        build: |settings| {
            settings.only("frozen", &[])?;
            Ok(Box::new(frozen::Frozen))
        },
    },
    MethodEntry {
        id: "memoryless",
        summary: "backpropagation with membranes forgotten at every step: what the data give away without time",
        paper: "none: a reference row (the no-time probe of NeuroSeqBench, arXiv 2505.22035)",
        official: &[],
        build: |settings| {
            settings.only("memoryless", &[])?;
            Ok(Box::new(memoryless::Memoryless))
        },
    },
];

/// Backpropagation through time with nothing cut, detached or rebuilt beyond what the model itself asks for: its
/// gradient is the one that others approximate.
pub static EXACT: &MethodEntry = &ENTRIES[0];

impl Method for Stbp {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match self.unknown_site(network) {
            None => Ok(()),
            Some(name) => Err(Unsupported::because(format!(
                "temporal-gradient-sites names {name}, but {} has no neurons or carried value of that name",
                network.id
            ))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::StbpTrainer::new(self.clone(), network, run)))
    }
}
