#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod settings;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, Official, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::region::KeptStates;

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[
    MethodEntry {
        id: "temporal-rev",
        summary: "backpropagation through time that rebuilds each step from the one after it",
        paper: "T-RevSNN, ICML 2024",
        official: &[Official { name: "T-RevSNN", settings: &[("states", "per-step")] }],
        build: |settings| {
            let kept = settings::kept_states("temporal-rev", settings)?;
            Ok(Box::new(TemporalRev { kept, coupled: false }))
        },
    },
    MethodEntry {
        id: "temporal-spatial-rev",
        summary: "the same, with coupled blocks of each level rebuilt from its output",
        paper: "named, without a network, by T-RevSNN: ICML 2024",
        official: &[],
        build: |settings| {
            let kept = settings::kept_states("temporal-spatial-rev", settings)?;
            Ok(Box::new(TemporalRev { kept, coupled: true }))
        },
    },
];

struct TemporalRev {
    kept: KeptStates,
    /// Whether coupled stages inside the levels are run backwards too.
    coupled: bool,
}

impl Method for TemporalRev {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match &network.wiring {
            Wiring::Levels(levels) if self.coupled && !levels.is_coupled() => {
                Err(Unsupported::because(format!(
                    "the levels of {} have no coupled blocks y1 = x1 + F(x2), y2 = x2 + G(y1), so there is nothing to \
                     rebuild in depth",
                    network.id
                )))
            }
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
        Ok(Box::new(trainer::TemporalRev::new(network, run, self.kept, self.coupled)))
    }
}
