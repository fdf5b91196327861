//! Forward through time with the tape off, backward from the last states.

use std::rc::Rc;

use engine::drive;
use engine::error::Error;
use engine::ledger::Phase;
use engine::loss::Part;
use engine::method::{Batch, Outcome, RunSpec, Trainer, Unsupported};
use engine::model::{Levels, Network, Wiring};
use engine::optim::Optimizer;
use engine::pass::{Mode, Pass};
use engine::region::{Carried, KeptStates, Past, Regions, Stem};
use engine::run::{Found, Run, Total};
use engine::tape::Tape;
use engine::unroll::{Through, TimeGradient};
use engine::value::Value;
use engine::{Result, ops};

pub(crate) struct TemporalRev {
    run: Run,
    kept: KeptStates,
    regions: Regions,
}

impl TemporalRev {
    pub(crate) fn new(network: Network, spec: RunSpec, kept: KeptStates, coupled: bool) -> Self {
        Self { run: Run::new(network, spec), kept, regions: Regions { coupled, ..Regions::default() } }
    }
}

impl Trainer for TemporalRev {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let key = self.run.begin();
        let session = self.run.session();
        let Wiring::Levels(levels) = &self.run.network.wiring else {
            return Err(Error::Misuse("temporal reversal was given a wiring without levels".into()));
        };
        let levels = Rc::clone(levels);
        let params = &self.run.network.params;
        let (steps, loss, labels) = (self.run.spec.steps, self.run.spec.loss, &batch.labels);
        let mut port = Through::new(&mut self.run.statistics, TimeGradient::Cut);

        let off = Tape::off();
        let pass = Pass::new(&session, params, &off, Mode::Train, steps, key)
            .with_rebuilt_norms(self.run.spec.rebuilt_norms)
            .with_gradient_tiles(self.run.spec.gradient_tiles)
            .with_regions(&self.regions);
        // The stem of a still image is the only part whose activations are kept; it is read by every step.
        let stem = Stem::new(&pass, &mut port, &*levels, &batch.images)?;
        let mut past = Past::new(self.kept, &*levels, steps);
        let mut total = Total::of(&loss);
        for step in 0..steps {
            let at = pass.at(step);
            let feature = stem.at(&at, &mut port)?;
            let scores = drive::level_step_leaving(&at, &mut port, &*levels, &feature, &mut past)?;
            total.add(&pass, &scores)?;
        }
        if port.holds_membranes() {
            let reason =
                "its levels hold neurons with a membrane of their own, which c[t] does not determine";
            return Err(Unsupported::because(format!(
                "{} can't be walked back: {reason}",
                self.run.network.id
            ))
            .into());
        }

        session.ledger().enter(Phase::Backward);
        let states = last_states(&pass, &mut port, &*levels)?;
        let mut carried = Carried::last(&pass, &*levels, stem, past, states)?;
        let mut parts = vec![Part::default(); steps];
        for step in (0..steps).rev() {
            let at = pass.at(step);
            // The head of this step, rebuilt from the state that the walk has reached.
            carried.head_back(&at, &mut port, |scores| {
                let (part, seed) = total.score_step(&at, &loss, scores, labels)?;
                parts[step] = part;
                Ok(seed)
            })?;
            carried.step_back(&at, &mut port)?;
        }
        carried.into_stem().finish(&pass, &mut port)?;
        let mut found = Found::of(labels.len());
        parts.into_iter().for_each(|part| found.add(part));
        found.decide(total.hits(labels)?);
        drop(port);
        self.run.update(&found, optimizer)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, |statistics| Through::new(statistics, TimeGradient::Cut))
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

/// Takes the states of the last step out of the unroll, so that the walk owns the only copy.
fn last_states(pass: &Pass<'_>, port: &mut Through<'_>, levels: &dyn Levels) -> Result<Vec<Value>> {
    levels
        .sites()
        .iter()
        .map(|site| {
            let state = port.take_carried(site).ok_or_else(|| {
                Error::Misuse(format!("{} carried nothing through the forward pass", site.name()))
            })?;
            ops::dense(pass, &state)
        })
        .collect()
}
