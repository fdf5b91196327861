#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod trainer;
mod unroll;

use engine::Result;
use engine::method::{Method, MethodEntry, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Wiring};

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[MethodEntry {
    id: "ann",
    summary: "the same wiring with ReLU and T = 1: what the network reaches without spikes",
    paper: "none: a reference row",
    official: &[],
    build: |settings| {
        settings.only("ann", &[])?;
        Ok(Box::new(Ann))
    },
}];

struct Ann;

impl Method for Ann {
    fn steps(&self, _requested: usize) -> usize {
        1
    }

    fn supports(&self, network: &Network, run: &RunSpec) -> Result<(), Unsupported> {
        if matches!(network.wiring, Wiring::Recurrent(_)) {
            return Err(Unsupported::because(format!(
                "{} feeds values back to the next time step, and a network without time has none",
                network.id
            )));
        }
        match run.steps {
            1 => Ok(()),
            steps => Err(Unsupported::because(format!("a network without time has T = 1, not {steps}"))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::Ann::new(network, run)))
    }
}
