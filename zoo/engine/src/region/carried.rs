//! Levels carried through time, backward by inversion (T-RevSNN, sections 4.2-4.3).
//!
//! Forward, with the tape off: `c_l[t] = F_l(c_{l-1}[t], c_{>l}[t-1]) + alpha_l c_l[t-1]`, shallowest level first;
//! `c[T]` is kept, and a [`Past`]. Backward, t = T..1, deepest level first: F is rebuilt, which every level needs for its
//! gradients, and `c_l[t-1]` is had from `c_l[t]` and F; every input of `F_l` is known by then.
//!
//! Gradients are summed in the order in which one tape over all steps would sum them, so where the states come back to
//! the bit, gradients are those of stored activations to the bit.

use super::past::Past;
use super::stem::Stem;
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::model::Levels;
use crate::ops::{Shortcut, typed};
use crate::pass::Pass;
use crate::tape::Tape;
use crate::unroll::Unroll;
use crate::value::Value;

/// The states of all levels at one step, walked backwards.
pub struct Carried<'l> {
    levels: &'l dyn Levels,
    stem: Stem<'l>,
    past: Past,
    states: Vec<Value>,
    /// Gradients of the states.
    gradients: Vec<Value>,
}

impl<'l> Carried<'l> {
    /// Starts the walk at the last step from the states that were kept, shallowest first.
    ///
    /// # Errors
    /// When memory is short.
    pub fn last(
        pass: &Pass<'_>,
        levels: &'l dyn Levels,
        mut stem: Stem<'l>,
        past: Past,
        states: Vec<Value>,
    ) -> Result<Self> {
        stem.start_back(pass)?;
        let gradients = states
            .iter()
            .map(|state| pass.session().zeros_in(state.dtype(), Category::ActivationGradients, state.shape()))
            .collect::<Result<_>>()?;
        Ok(Self { levels, stem, past, states, gradients })
    }

    /// The states of the current step, shallowest first.
    #[must_use]
    pub fn states(&self) -> &[Value] {
        &self.states
    }

    /// Rebuilds the head of the step that the pass is at and goes back through it, from the gradient of the scores that
    /// `score` gives. The head is no part of the levels, so its norms never move their statistics again.
    ///
    /// # Errors
    /// When the head fails.
    pub fn head_back(
        &mut self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        score: impl FnOnce(&Value) -> Result<Value>,
    ) -> Result<()> {
        let (Some(top), Some(gradient)) = (self.states.last(), self.gradients.pop()) else {
            return Err(Error::Misuse("a wiring of levels has none".into()));
        };
        let tape = pass.session().tape();
        let inner = pass.on(&tape).unmoved();
        let top = tape.leaf(top);
        let scores = self.levels.head(&inner, port, &top)?;
        let seed = score(&scores)?;
        let mut gradients = tape.backward(&inner, port, [(top.clone(), gradient), (scores, seed)])?;
        self.gradients.push(taken(gradients.take(&top))?);
        Ok(())
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
            let tape = pass.session().tape();
            let inner = pass.on(&tape).rebuilding();
            let (below, below_gradient) = match level {
                0 => self.stem.on_tape(&inner, port)?,
                _ => (tape.leaf(&self.states[level - 1]), self.gradients.pop()),
            };
            // Deeper levels are at the step before already.
            let deeper: Vec<Value> = if step == 0 {
                Vec::new()
            } else {
                self.states[level + 1..].iter().map(|c| tape.leaf(c)).collect()
            };
            let f = self.levels.level(&inner, port, level, &below, &deeper)?;
            let own = if step > 0 {
                let shortcut = Shortcut::of(self.levels, level, step);
                let before = self.past.back(&pass.on(&Tape::off()), shortcut, &self.states[level], &f)?;
                let through = shortcut.through(pass, &gradient, &before)?;
                self.states[level] = before;
                Some(through)
            } else {
                None
            };
            // What has flowed so far starts each leaf's sum; `earlier` runs from the deepest level to the next one.
            let f_gradient = typed(pass, gradient, f.dtype())?;
            let seeds = deeper.iter().rev().cloned().zip(earlier.drain(..));
            let seeds = seeds.chain(below_gradient.map(|sum| (below.clone(), sum))).chain([(f, f_gradient)]);
            let mut gradients = tape.backward(&inner, port, seeds.collect::<Vec<_>>())?;
            for leaf in deeper.iter().rev() {
                earlier.push(taken(gradients.take(leaf))?);
            }
            match level {
                0 => self.stem.put_gradient(&inner, &below, gradients)?,
                _ => self.gradients.push(taken(gradients.take(&below))?),
            }
            earlier.extend(own);
        }
        earlier.reverse();
        self.gradients = earlier;
        Ok(())
    }

    /// The stem, whose turn it is once the walk has left the first step.
    #[must_use]
    pub fn into_stem(self) -> Stem<'l> {
        self.stem
    }
}

fn taken(gradient: Option<Value>) -> Result<Value> {
    gradient.ok_or_else(|| Error::Misuse("a gradient that a walk was given did not come back".into()))
}
