#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod settings;
mod traced;
mod trainer;

use engine::Result;
use engine::method::{Method, MethodEntry, Official, RunSpec, Settings, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::norm::NormOver;
use engine::site::Role;
use engine::unroll::norm_over_time_unsupported;

use settings::{Backward, Credit, Online, Updates};

/// The methods of this crate.
pub static ENTRIES: &[MethodEntry] = &[
    MethodEntry {
        id: "sltt",
        summary: "spatial learning through time: each step's own gradient, state cut",
        paper: "Meng et al., ICCV 2023",
        official: &[Official::plain("SLTT")],
        build: |settings| online("sltt", settings, Online::sltt()),
    },
    MethodEntry {
        id: "sltt-k",
        summary: "SLTT that goes backward at k random steps of T",
        paper: "Meng et al., ICCV 2023",
        official: &[Official::plain("SLTT-K")],
        build: |settings| {
            settings.only("sltt-k", &["k", "steps"])?;
            let backward = match settings.indices("steps")? {
                Some(steps) => Backward::Fixed(steps),
                None => Backward::Random(settings.count("k")?.unwrap_or(1)),
            };
            Ok(Box::new(Online { name: "SLTT-K", backward, ..Online::sltt() }))
        },
    },
    MethodEntry {
        id: "ottt-a",
        summary: "online training through time: presynaptic traces, one update a batch",
        paper: "Xiao et al., NeurIPS 2022",
        official: &[Official::plain("OTTT")],
        build: |settings| online("ottt-a", settings, Online::ottt(Updates::OncePerBatch)),
    },
    MethodEntry {
        id: "ottt-o",
        summary: "online training through time: presynaptic traces, one update a time step",
        paper: "Xiao et al., NeurIPS 2022",
        official: &[Official::plain("OTTT, an update at every step")],
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
        if self.credit == Credit::Traces
            && let Some(barrier) = network.sites.iter().find(|site| site.role() == Role::Barrier)
        {
            return Err(Unsupported::because(format!(
                "{name} carries presynaptic traces to the weights, but in {} the weights behind {} read a maximum or a \
                 product of spikes, through which no trace travels",
                network.id,
                barrier.name()
            )));
        }
        if self.credit == Credit::Traces && matches!(network.wiring, Wiring::Levels(_)) {
            return Err(Unsupported::because(format!(
                "{name} sums presynaptic activity with the leak of the neuron, but in {} neurons keep no membrane: state \
                 is carried from step to step by factors beside them, so a presynaptic trace has no meaning",
                network.id
            )));
        }
        let beyond = match &self.backward {
            Backward::All => None,
            Backward::Random(k) => (*k > run.steps).then(|| format!("at k = {k}")),
            Backward::Fixed(steps) => steps
                .iter()
                .find(|&&step| step >= run.steps)
                .map(|step| format!("at step {step}, counted from 0,")),
        };
        match beyond {
            Some(which) => Err(Unsupported::because(format!(
                "{name} can't go backward {which} of T = {} steps",
                run.steps
            ))),
            None => Ok(()),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(trainer::OnlineTrainer::new(self.clone(), network, run)))
    }
}
