//! Forward through time with the tape off, backward by inversion.

use std::rc::Rc;

use engine::drive;
use engine::error::Error;
use engine::ledger::Phase;
use engine::method::{Batch, Outcome, RunSpec, Trainer, Unsupported};
use engine::model::{Levels, Network, Wiring};
use engine::optim::Optimizer;
use engine::pass::{Mode, Pass};
use engine::region::Carried;
use engine::run::{Run, Total};
use engine::tape::Tape;
use engine::unroll::{Statistics, Through, TimeGradient};
use engine::value::Value;
use engine::{Result, ops};

pub(crate) struct TemporalRev {
    run: Run,
}

impl TemporalRev {
    pub(crate) fn new(network: Network, spec: RunSpec) -> Self {
        Self { run: Run::new(network, spec) }
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
        if batch.images.steps() != 1 {
            return Err(Error::shape(
                "temporal reversal",
                "[1, B, C, H, W]: one image for all steps",
                batch.images.shape(),
            ));
        }
        let mut port = Through::new(&mut self.run.statistics, TimeGradient::Cut);

        // The stem is the only part whose activations are kept; it is read by every step.
        let stem_tape = session.tape();
        let recorded = Pass::new(&session, params, &stem_tape, Mode::Train, steps, key);
        let stem = levels.stem(&recorded, &mut port, &batch.images)?;

        let off = Tape::off();
        let forward = recorded.on(&off);
        let mut total = Total::default();
        for step in 0..steps {
            let scores = drive::level_step(&forward.at(step), &mut port, &*levels, &stem)?;
            total.add(&forward, &scores)?;
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
        let states = last_states(&forward, &mut port, &*levels)?;
        let mut carried = Carried::last(&forward, &*levels, &stem, states)?;
        let mut outcome =
            Outcome { samples: labels.len(), correct: total.hits(labels)?, ..Outcome::default() };
        for step in (0..steps).rev() {
            let at = forward.at(step);
            // The head of this step, rebuilt from the state that the walk has reached.
            let tape = session.tape();
            let inner = at.on(&tape).rebuilding();
            let top = tape.leaf(carried.top()?);
            let scores = levels.head(&inner, &mut port, &top)?;
            let (part, seed) = total.score_step(&at, &loss, &scores, labels)?;
            outcome.loss += part;
            if let Some(gradient) = tape.backward(&inner, &mut port, [(scores, seed)])?.take(&top) {
                carried.add_top_gradient(&gradient)?;
            }
            drop(top);
            carried.step_back(&at, &mut port)?;
        }
        let gradient = carried.into_stem_gradient();
        stem_tape.backward(&recorded, &mut port, [(stem, gradient)])?;
        drop(port);
        self.run.update(outcome.loss, optimizer)?;
        Ok(outcome)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome> {
        self.run.evaluate(batch, |statistics| Through::new(statistics, TimeGradient::Cut))
    }

    fn network(&self) -> &Network {
        &self.run.network
    }

    fn statistics(&self) -> &Statistics {
        &self.run.statistics
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
