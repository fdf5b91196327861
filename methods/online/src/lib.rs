#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod settings;
mod traced;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, RunSpec, Settings, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::norm::NormOver;
use engine::unroll::norm_over_time_unsupported;

use settings::{Credit, Online, Updates};

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[
    MethodEntry {
        id: "sltt",
        summary: "spatial learning through time: each step's own gradient, state cut",
        paper: "Meng et al., ICCV 2023",
        build: |settings| online("sltt", settings, Online::sltt()),
    },
    MethodEntry {
        id: "sltt-k",
        summary: "SLTT that goes backward at k random steps of T",
        paper: "Meng et al., ICCV 2023",
        build: |settings| {
            settings.only("sltt-k", &["k"])?;
            Ok(Box::new(Online { backward_steps: Some(settings.count("k")?.unwrap_or(1)), ..Online::sltt() }))
        },
    },
    MethodEntry {
        id: "ottt-a",
        summary: "online training through time: presynaptic traces, one update a batch",
        paper: "Xiao et al., NeurIPS 2022",
        build: |settings| online("ottt-a", settings, Online::ottt(Updates::OncePerBatch)),
    },
    MethodEntry {
        id: "ottt-o",
        summary: "online training through time: presynaptic traces, one update a time step",
        paper: "Xiao et al., NeurIPS 2022",
        build: |settings| online("ottt-o", settings, Online::ottt(Updates::EveryStep)),
    },
];

fn online(id: &str, settings: &Settings, method: Online) -> Result<Box<dyn Method>> {
    settings.only(id, &[])?;
    Ok(Box::new(method))
}

impl Method for Online {
    fn supports(&self, network: &Network, run: &RunSpec) -> Result<(), Unsupported> {
        let name = self.name;
        if network.spec.norm == NormOver::Time {
            return Err(norm_over_time_unsupported(name));
        }
        if !run.loss.is_per_step() {
            return Err(Unsupported::because(format!(
                "{name} goes backward at once at each step, but this loss needs the scores of all steps"
            )));
        }
        if self.credit == Credit::Traces && matches!(network.wiring, Wiring::Levels(_)) {
            return Err(Unsupported::because(format!(
                "{name} sums presynaptic activity over steps for one set of weights, but {} has weights of its own at \
                 every step, so a presynaptic trace has no meaning",
                network.id
            )));
        }
        match self.backward_steps {
            Some(k) if k > run.steps => Err(Unsupported::because(format!(
                "{name} can't go backward at k = {k} of T = {} steps",
                run.steps
            ))),
            _ => Ok(()),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::OnlineTrainer::new(*self, network, run)))
    }
}
