//! A step told before it is taken: a planned twin of a run, on which a method tries what it might rebuild.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::drive;
use crate::error::{Error, Result};
use crate::ledger::{Bytes, Category};
use crate::method::Batch;
use crate::model::{Network, Segment, Wiring};
use crate::optim::Hold;
use crate::pass::{Mode, Pass, Session, Spared};
use crate::region::{self, Regions};
use crate::run::Run;
use crate::saved::Saved;
use crate::unroll::{Statistics, Survey, Unroll};

/// A planned twin of a run, and of one of its batches.
pub struct Rehearsal {
    run: Run,
    batch: Batch,
    /// What lives between steps, by category: that of the run itself.
    standing: Bytes,
}

/// What a step would hold, and what it would cost beside its forward and backward.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// All that is held when most is held, workspace included.
    pub bytes: usize,
    /// The most that is saved at any moment.
    pub saved: usize,
    /// What is computed again, by the place that made it.
    pub spared: BTreeMap<String, Spared>,
}

/// What a segment of a sequence asks for, with everything in it recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentCost {
    /// Bytes of its input.
    pub input: usize,
    /// Whether it saves its input itself.
    pub saves_input: bool,
    /// Bytes that it saves beside its input.
    pub saved: usize,
    /// Multiply-accumulates of its forward pass.
    pub macs: u64,
}

impl Rehearsal {
    /// The twin of a run and a batch.
    ///
    /// # Errors
    /// When the batch has no shape of images.
    pub fn of(run: &Run, batch: &Batch) -> Result<Self> {
        let session = Rc::new(Session::plan(run.session().dtype()));
        let network = Network {
            id: run.network.id,
            spec: run.network.spec.clone(),
            wiring: run.network.wiring.clone(),
            params: run.network.params.planned(Rc::clone(&session)),
            sites: run.network.sites.clone(),
        };
        let images = session.input(batch.images.shape(), Vec::new())?;
        let standing = run.session().ledger().held();
        Ok(Self {
            run: Run::new(network, run.spec.clone()),
            batch: Batch { images, labels: batch.labels.clone() },
            standing,
        })
    }

    /// A step with these regions through this unroll.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn step<'s, U: Unroll + 's>(
        &'s mut self,
        regions: &Regions,
        unroll: impl FnOnce(&'s mut Statistics) -> U,
    ) -> Result<Foreseen> {
        let session = self.run.session();
        let ledger = session.ledger();
        session.take_spared();
        ledger.restart();
        self.run.through_time(&self.batch, &mut Hold, regions, unroll)?;
        let spared = session.take_spared();
        // Running statistics are there from the first step on, and the twin has taken one.
        let standing = [Category::Gradients, Category::Optimiser, Category::Average, Category::Input];
        let standing = standing.map(|category| self.standing[category as usize]).iter().sum::<usize>();
        let most = |category| ledger.most(category);
        let bytes = standing + most(Category::Parameters) + most(Category::Workspace) + ledger.peak_in_laws();
        Ok(Foreseen { bytes, saved: most(Category::Saved), spared })
    }

    /// The segments of a sequence, each recorded on its own.
    ///
    /// # Errors
    /// When the wiring is no sequence, or a shape does not fit.
    pub fn segments<'s, U: Unroll + 's>(
        &'s mut self,
        unroll: impl FnOnce(&'s mut Statistics) -> U,
    ) -> Result<Vec<SegmentCost>> {
        let session = self.run.session();
        let key = self.run.begin();
        let Run { network, statistics, spec, .. } = &mut self.run;
        let Wiring::Sequence(segments) = &network.wiring else {
            return Err(Error::Misuse("only a sequence has segments".into()));
        };
        let tape = session.tape();
        let pass = Pass::new(&session, &network.params, &tape, Mode::Train, spec.steps, key);
        let mut unroll = unroll(statistics);
        let mut port = Survey::of(&mut unroll);
        let saved = || session.ledger().held()[Category::Saved as usize];
        let mut x = self.batch.images.clone();
        drive::check_frames(&pass, &x)?;
        let mut costs = Vec::with_capacity(segments.len());
        for segment in segments.iter() {
            let without = saved();
            let kept = Saved::new(&x);
            let (before, calls) = (saved(), port.calls().len());
            let input = before - without;
            let y = region::segments(&pass, &mut port, std::slice::from_ref::<Segment>(segment), &x)?;
            x = y;
            let after = saved();
            drop(kept);
            let macs = port.calls()[calls..].iter().map(|call| call.macs).sum();
            costs.push(SegmentCost { input, saves_input: saved() == after, saved: after - before, macs });
        }
        Ok(costs)
    }
}
