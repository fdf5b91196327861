//! One step forward, one step back, T times.

use engine::Result;
use engine::drive;
use engine::journal::snapshot;
use engine::ledger::Phase;
use engine::method::{Batch, Outcome, RunSpec, Trainer};
use engine::model::Network;
use engine::optim::Optimizer;
use engine::pass::{Mode, Pass};
use engine::run::{self, Found, Run, Total};
use engine::tape::Tape;
use engine::unroll::{Statistics, Through, TimeGradient, Unroll};

use crate::settings::{Credit, Online, Updates};
use crate::traced::Traced;

pub(crate) struct OnlineTrainer {
    method: Online,
    run: Run,
}

impl OnlineTrainer {
    pub(crate) fn new(method: Online, network: Network, spec: RunSpec) -> Self {
        Self { method, run: Run::new(network, spec) }
    }
}

/// The unroll of one batch.
enum Port<'s> {
    Plain(Through<'s>),
    Traced(Traced<'s>),
}

impl<'s> Port<'s> {
    fn new(credit: Credit, statistics: &'s mut Statistics) -> Self {
        match credit {
            Credit::StepAlone => Self::Plain(Through::new(statistics, TimeGradient::Cut)),
            Credit::Traces => Self::Traced(Traced::new(statistics)),
        }
    }

    fn unroll(&mut self) -> &mut (dyn Unroll + 's) {
        match self {
            Self::Plain(through) => through,
            Self::Traced(traced) => traced,
        }
    }

    fn end_step(&mut self) {
        if let Self::Traced(traced) = self {
            traced.end_step();
        }
    }
}

impl Trainer for OnlineTrainer {
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome> {
        let key = self.run.begin();
        let session = self.run.session();
        let ledger = session.ledger();
        let steps = self.run.spec.steps;
        let iteration = self.run.step();
        let loss = self.run.spec.loss;
        let selected = self.method.backward.selected(steps, key);
        let mut found = Found::of(batch.labels.len());
        let mut total = Total::of(&loss);
        let mut port = Port::new(self.method.credit, &mut self.run.statistics);
        let params = &self.run.network.params;
        for step in 0..steps {
            if self.method.updates == Updates::EveryStep {
                params.clear_gradients();
            }
            ledger.enter(Phase::Forward);
            let backward = selected.as_ref().is_none_or(|chosen| chosen.contains(&step));
            let tape = if backward { session.tape() } else { Tape::off() };
            let pass = Pass::new(&session, params, &tape, Mode::Train, steps, key)
                .with_gradient_tiles(self.run.spec.gradient_tiles)
                .at(step);
            let images = run::input(&tape, &session, &batch.images);
            let scores = drive::one_step(&pass, port.unroll(), &self.run.network.wiring, &images)?;
            total.add(&pass, &scores)?;
            let (part, seed) = total.score_step(&pass, &loss, &scores, &batch.labels)?;
            found.add(part);
            if backward {
                ledger.enter(Phase::Backward);
                let gradients = tape.backward(&pass, port.unroll(), [(scores, seed)])?;
                run::note_input_gradient(&session, gradients, &images)?;
            }
            port.end_step();
            if self.method.updates == Updates::EveryStep {
                ledger.enter(Phase::Update);
                let finite = session.loss_scale().take_off(params, iteration)?;
                let gradients = if session.notes_updates() { snapshot(params, true)? } else { Vec::new() };
                if finite {
                    optimizer.update(params)?;
                }
                session.note_update(gradients, params)?;
            }
        }
        drop(port);
        found.decide(total.hits(&batch.labels)?);
        match self.method.updates {
            Updates::OncePerBatch => self.run.update(&found, optimizer),
            Updates::EveryStep => self.run.finish(&found),
        }
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
