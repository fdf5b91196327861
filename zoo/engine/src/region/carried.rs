//! Levels carried through time, backward by inversion (T-RevSNN, sections 4.2-4.3).
//!
//! Forward, with the tape off: `c_l[t] = F_l(c_{l-1}[t], c_{>l}[t-1]) + alpha_l c_l[t-1]`, shallowest level first;
//! only `c[T]` is kept. Backward, t = T..1, deepest level first:
//! `c_l[t-1] = (c_l[t] - F_l(...)) / alpha_l`; every input of `F_l` is known by then.

use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::model::Levels;
use crate::ops;
use crate::pass::Pass;
use crate::tape::Tape;
use crate::unroll::Unroll;
use crate::value::Value;

/// The states of all levels at one step, walked backwards.
pub struct Carried<'l> {
    levels: &'l dyn Levels,
    stem: Value,
    states: Vec<Value>,
    /// Gradients of the states.
    gradients: Vec<Value>,
    stem_gradient: Value,
}

impl<'l> Carried<'l> {
    /// Starts the walk at the last step from the states that were kept, shallowest first.
    ///
    /// # Errors
    /// When memory is short.
    pub fn last(pass: &Pass<'_>, levels: &'l dyn Levels, stem: &Value, states: Vec<Value>) -> Result<Self> {
        let gradients = states
            .iter()
            .map(|state| pass.session().zeros(Category::ActivationGradients, state.shape()))
            .collect::<Result<_>>()?;
        let stem_gradient = pass.session().zeros(Category::ActivationGradients, stem.shape())?;
        Ok(Self { levels, stem: stem.detached(), states, gradients, stem_gradient })
    }

    /// The deepest level's state at the current step.
    ///
    /// # Errors
    /// When there are no levels.
    pub fn top(&self) -> Result<&Value> {
        self.states.last().ok_or_else(|| Error::Misuse("a wiring of levels has none".into()))
    }

    /// Adds a gradient of the deepest level's state at the current step.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn add_top_gradient(&mut self, gradient: &Value) -> Result<()> {
        match self.gradients.last() {
            Some(sum) => ops::accumulate(sum, gradient),
            None => Ok(()),
        }
    }

    /// The gradient of the stem, once the walk has reached the first step.
    #[must_use]
    pub fn into_stem_gradient(self) -> Value {
        self.stem_gradient
    }

    /// Goes one step back: gradients flow through every level at `pass.step()`, and the states become those of the
    /// step before.
    ///
    /// # Errors
    /// When a level fails.
    pub fn step_back(&mut self, pass: &Pass<'_>, port: &mut dyn Unroll) -> Result<()> {
        let Some(step) = pass.step() else {
            return Err(Error::Misuse("levels are walked step by step".into()));
        };
        let depth = self.states.len();
        // Gradients of the states of the step before, deepest first as they are found.
        let mut earlier: Vec<Value> = Vec::with_capacity(depth);
        for level in (0..depth).rev() {
            let Some(gradient) = self.gradients.pop() else { break };
            let site = &self.levels.sites()[level];
            let tape = pass.session().tape();
            let inner = pass.on(&tape).rebuilding();
            let below = tape.leaf(if level == 0 { &self.stem } else { &self.states[level - 1] });
            // Deeper levels have been inverted already: these are their states of the step before.
            let deeper: Vec<Value> = if step == 0 {
                Vec::new()
            } else {
                self.states[level + 1..].iter().map(|c| tape.leaf(c)).collect()
            };
            let f = self.levels.level(&inner, port, level, &below, &deeper)?;
            if step > 0 {
                let alpha = self.levels.skip(level, step);
                let before = ops::unmix(&pass.on(&Tape::off()), site.name(), &self.states[level], &f, alpha)?;
                earlier.push(through_skip(pass, &gradient, &before, alpha)?);
                self.states[level] = before;
            }
            let mut gradients = tape.backward(&inner, port, [(f, gradient)])?;
            if let Some(through) = gradients.take(&below) {
                ops::accumulate(self.gradients.last().unwrap_or(&self.stem_gradient), &through)?;
            }
            for (offset, leaf) in deeper.iter().enumerate() {
                if let Some(through) = gradients.take(leaf) {
                    // `earlier` runs from the deepest level to this one; `deeper` from the next one to the deepest.
                    ops::accumulate(&earlier[deeper.len() - 1 - offset], &through)?;
                }
            }
        }
        earlier.reverse();
        self.gradients = earlier;
        Ok(())
    }
}

/// Through `alpha * before`: the gradient of alpha goes to its accumulator, that of `before` is returned.
fn through_skip(
    pass: &Pass<'_>,
    gradient: &Value,
    before: &Value,
    alpha: crate::param::ParamId,
) -> Result<Value> {
    let (n, c) = (gradient.steps() * gradient.batch(), gradient.channels());
    let plane = gradient.plane();
    if let Some((into, add)) = pass.params().accumulator(alpha)? {
        kernels::elementwise::channel_dot(gradient.tensor()?, before.tensor()?, n, c, plane, into, add)?;
    }
    let factor = pass.param(alpha);
    pass.gradient(gradient.shape(), || {
        Ok(kernels::elementwise::channel_scale(gradient.tensor()?, n, c, plane, factor.tensor()?)?)
    })
}
