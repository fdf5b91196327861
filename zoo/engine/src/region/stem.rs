//! The feature that every step of a stepwise wiring starts from.

use crate::drive::{check_frames, stem_of};
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::model::Levels;
use crate::pass::Pass;
use crate::run;
use crate::tape::{Gradients, Tape};
use crate::unroll::Unroll;
use crate::value::Value;

/// The stem of a walk through time.
///
/// That of a still image is computed once and stays on a tape of its own until the walk is over. That of frames is
/// computed at each step with the tape off, nothing of it is kept, and it is rebuilt when the walk back reaches the
/// step.
pub struct Stem<'l> {
    levels: &'l dyn Levels,
    images: Value,
    still: Option<Still>,
    /// The frame of the step that is walked back, of which a journal takes the gradient.
    frame: Option<Value>,
}

struct Still {
    tape: Tape,
    image: Value,
    feature: Value,
    /// Sum over the steps walked back.
    gradient: Option<Value>,
}

impl<'l> Stem<'l> {
    /// The stem of images `[1, B, C, H, W]` or frames `[T, B, C, H, W]`.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn new(
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        levels: &'l dyn Levels,
        images: &Value,
    ) -> Result<Self> {
        check_frames(pass, images)?;
        let still = if images.steps() == 1 {
            let tape = pass.session().tape();
            let image = run::input(&tape, pass.session(), images);
            let feature = stem_of(&pass.on(&tape), port, levels, &image)?;
            Some(Still { tape, image, feature, gradient: None })
        } else {
            None
        };
        Ok(Self { levels, images: images.clone(), still, frame: None })
    }

    /// The feature of the step that the pass is at, as a constant.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn at(&self, pass: &Pass<'_>, port: &mut dyn Unroll) -> Result<Value> {
        match &self.still {
            Some(still) => Ok(still.feature.detached()),
            None => self.levels.stem(&pass.on(&Tape::off()), port, &self.frame(pass)?),
        }
    }

    /// Makes room for the gradient of a still image's feature, so that the first step back holds what the others hold.
    pub(super) fn start_back(&mut self, pass: &Pass<'_>) -> Result<()> {
        if let Some(still) = &mut self.still {
            let feature = &still.feature;
            let zeros =
                pass.session().zeros_in(feature.dtype(), Category::ActivationGradients, feature.shape())?;
            still.gradient = Some(zeros);
        }
        Ok(())
    }

    /// The feature as a value of the pass's tape, with its gradient so far: a leaf for a still image, rebuilt for a
    /// frame. The stem is no part of the levels, so its norms never move their statistics again.
    pub(super) fn on_tape(
        &mut self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
    ) -> Result<(Value, Option<Value>)> {
        match &mut self.still {
            Some(still) => Ok((pass.tape().leaf(&still.feature), still.gradient.take())),
            None => {
                let frame = run::input(pass.tape(), pass.session(), &self.frame(pass)?);
                let feature = self.levels.stem(&pass.unmoved(), port, &frame)?;
                self.frame = Some(frame);
                Ok((feature, None))
            }
        }
    }

    /// Takes back the gradient of a still image's feature; that of a frame goes into the journal, if one is kept.
    pub(super) fn put_gradient(
        &mut self,
        pass: &Pass<'_>,
        feature: &Value,
        mut gradients: Gradients,
    ) -> Result<()> {
        if let Some(still) = &mut self.still {
            still.gradient = gradients.take(feature);
            return Ok(());
        }
        let session = pass.session();
        match (self.frame.take().and_then(|frame| gradients.take(&frame)), pass.step()) {
            (Some(gradient), Some(step)) => session.note(|journal| {
                let all = session.zeros(Category::ActivationGradients, self.images.shape())?;
                kernels::elementwise::copy(&all.tensor()?.narrow(0, step, 1)?, gradient.tensor()?)?;
                journal.add_input_gradient(&all, session)
            }),
            _ => Ok(()),
        }
    }

    /// Goes backward through the stem of a still image, once all steps have been walked.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn finish(self, pass: &Pass<'_>, port: &mut dyn Unroll) -> Result<()> {
        let Some(Still { tape, image, feature, gradient }) = self.still else { return Ok(()) };
        let seeds = gradient.filter(|_| tape.tracks(&feature)).map(|gradient| (feature, gradient));
        let gradients = tape.backward(&pass.on(&tape), port, seeds)?;
        run::note_input_gradient(pass.session(), gradients, &image)
    }

    fn frame(&self, pass: &Pass<'_>) -> Result<Value> {
        match pass.step() {
            Some(step) => self.images.frame(step),
            None => Err(Error::Misuse("levels are walked step by step".into())),
        }
    }
}
