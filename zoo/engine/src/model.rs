//! A model is wiring: it says what is connected to what, never how time passes.
//!
//! Wiring comes in two kinds. A *sequence* of segments is time-free: a method may push all T steps through one
//! layer before the next, or one step through all layers. *Levels* are stepwise: each step has weights of its own
//! and every level carries a value to the next step, so they are driven t = 1..T.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::layer::Builder;
use crate::neuron::Neuron;
use crate::norm::NormOver;
use crate::param::{ParamId, Params};
use crate::pass::Pass;
use crate::region::Grid;
use crate::site::Site;
use crate::unroll::Unroll;
use crate::value::Value;

/// What to build: every choice a model file leaves open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelSpec {
    /// Image shape `[C, H, W]`.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// T.
    pub steps: usize,
    /// Multiplies every channel count of the published model.
    pub width: f64,
    /// Blocks per stage, where the family has stages that can be deepened.
    pub depth: Option<usize>,
    /// The neuron of stateful sites.
    pub neuron: Neuron,
    /// Which axes a norm's statistics span.
    pub norm: NormOver,
    /// The grid of reversible streams; `None` is plain floating point.
    pub grid: Option<Grid>,
}

/// A part of a network with one input and one output.
pub trait Block {
    /// Runs it. `x` is `[T or 1, B, ...]`.
    ///
    /// # Errors
    /// When a shape does not fit or the method behind the port can't do what the block asks for.
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value>;
}

/// One coupled block, `y1 = x1 + F(x2)`, `y2 = x2 + G(y1)` (S-RevSNN, AAAI 2024).
pub struct Coupling {
    /// F, shape preserving.
    pub f: Box<dyn Block>,
    /// G, shape preserving.
    pub g: Box<dyn Block>,
}

/// Coupled blocks in a row; the input is split in two halves on channels.
pub struct Stage {
    /// Its name, for messages.
    pub name: String,
    /// The blocks.
    pub blocks: Vec<Coupling>,
    /// Branch outputs and the stage's input are rounded to this grid, which makes inversion bit-exact.
    pub grid: Option<Grid>,
}

/// A part of a sequence.
#[derive(Clone)]
pub enum Segment {
    /// Any block.
    Plain(Rc<dyn Block>),
    /// Blocks that can be run backwards.
    Coupled(Rc<Stage>),
}

/// Stepwise wiring whose levels can be run backwards in time (T-RevSNN, ICML 2024).
pub trait Levels {
    /// The feature every step starts from, from one frame `[1, B, C, H, W]`.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn stem(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value>;

    /// Where each level's carried value is kept, shallowest first.
    fn sites(&self) -> &[Site];

    /// F of one level at `pass.step()`, from the level below at this step and the carried values of all deeper
    /// levels of the previous step, shallowest first (empty at the first step).
    ///
    /// # Errors
    /// When a shape does not fit.
    fn level(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        level: usize,
        below: &Value,
        deeper: &[Value],
    ) -> Result<Value>;

    /// The invertible shortcut of a level at a step, one factor a channel.
    fn skip(&self, level: usize, step: usize) -> ParamId;

    /// The grid that carried values lie on, with factors that are multiples of 1/64, so that a step can be undone to
    /// the bit; `None` is plain floating point.
    fn grid(&self) -> Option<Grid>;

    /// Scores `[1, B, classes]` from the deepest level.
    ///
    /// # Errors
    /// When a shape does not fit.
    fn head(&self, pass: &Pass<'_>, port: &mut dyn Unroll, top: &Value) -> Result<Value>;
}

/// What is connected to what.
#[derive(Clone)]
pub enum Wiring {
    /// Time-free: segments one after another; the last gives scores `[T, B, classes]`.
    Sequence(Rc<[Segment]>),
    /// Stepwise.
    Levels(Rc<dyn Levels>),
}

/// A built network: wiring and parameters.
pub struct Network {
    /// Its id in the zoo.
    pub id: &'static str,
    /// What it was built from.
    pub spec: ModelSpec,
    /// What is connected to what.
    pub wiring: Wiring,
    /// Its parameters.
    pub params: Params,
    /// Every site, in building order.
    pub sites: Vec<Site>,
}

/// A line of the model table.
pub struct ModelEntry {
    /// Its id.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Builds the wiring.
    pub build: fn(&ModelSpec, &mut Builder) -> Result<Wiring>,
}

impl ModelEntry {
    /// Builds the network.
    ///
    /// # Errors
    /// When the specification is out of range for this family.
    pub fn network(&self, spec: &ModelSpec, params: Params) -> Result<Network> {
        spec.check()?;
        let mut builder = Builder::new(params);
        let wiring = (self.build)(spec, &mut builder)?;
        let (params, sites) = builder.finish();
        Ok(Network { id: self.id, spec: spec.clone(), wiring, params, sites })
    }
}

impl ModelSpec {
    /// Checks the ranges that hold for every family.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        use crate::error::Error;
        if self.steps == 0 {
            return Err(Error::setting("model.steps (T)", "at least 1", self.steps));
        }
        if self.classes < 2 {
            return Err(Error::setting("model.classes", "at least 2", self.classes));
        }
        if self.image.contains(&0) {
            return Err(Error::setting("model.image", "positive in every axis", format!("{:?}", self.image)));
        }
        if !(self.width > 0.0 && self.width.is_finite()) {
            return Err(Error::setting("model.width", "a positive number", self.width));
        }
        if self.depth == Some(0) {
            return Err(Error::setting("model.depth", "at least 1", 0));
        }
        if let Some(grid) = self.grid {
            grid.check_range()?;
        }
        self.neuron.check()
    }

    /// A published channel count at this width, at least 1.
    #[must_use]
    pub fn channels(&self, published: usize) -> usize {
        ((published as f64 * self.width).round() as usize).max(1)
    }
}
