#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, Official, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Segment, Wiring};

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[MethodEntry {
    id: "spatial-rev",
    summary: "backpropagation through time that rebuilds coupled blocks from a stage's output",
    paper: "Zhang & Zhang, AAAI 2024",
    official: &[Official::plain("RevSNN")],
    build: |settings| {
        settings.only("spatial-rev", &[])?;
        Ok(Box::new(SpatialRev))
    },
}];

struct SpatialRev;

impl Method for SpatialRev {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match &network.wiring {
            Wiring::Sequence(segments) if segments.iter().any(|part| matches!(part, Segment::Coupled(_))) => {
                Ok(())
            }
            Wiring::Levels(levels) if levels.is_coupled() => Ok(()),
            _ => Err(Unsupported::because(format!(
                "{} has no coupled blocks y1 = x1 + F(x2), y2 = x2 + G(y1), so its activations can't be rebuilt from a \
                 stage's output",
                network.id
            ))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::SpatialRev::new(network, run)))
    }
}
