#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod settings;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, Official, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::region::KeptStates;

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[MethodEntry {
    id: "temporal-rev",
    summary: "backpropagation through time that rebuilds each step from the one after it",
    paper: "T-RevSNN, ICML 2024",
    official: &[Official { name: "T-RevSNN", settings: &[("states", "per-step")] }],
    build: |settings| Ok(Box::new(TemporalRev { kept: settings::kept_states(settings)? })),
}];

struct TemporalRev {
    kept: KeptStates,
}

impl Method for TemporalRev {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match &network.wiring {
            Wiring::Levels(_) => Ok(()),
            Wiring::Sequence(_) | Wiring::Recurrent(_) => Err(Unsupported::because(format!(
                "{} has neurons with a reset and no carried value c[t] = F + alpha c[t-1], so a step can't be rebuilt \
                 from the one after it",
                network.id
            ))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::TemporalRev::new(network, run, self.kept)))
    }
}
