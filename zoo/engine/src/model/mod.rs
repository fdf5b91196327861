//! A model is wiring: it says what is connected to what, never how time passes.
//!
//! Wiring comes in two kinds. A *sequence* of segments is time-free: a method may push all T steps through one
//! layer before the next, or one step through all layers. *Levels* are stepwise: each step has weights of its own
//! and every level carries a value to the next step, so they are driven t = 1..T.

mod spec;

use std::rc::Rc;

use crate::error::Result;
use crate::layer::Builder;
use crate::param::{ParamId, Params};
use crate::pass::Pass;
use crate::region::Grid;
use crate::site::{Role, Site};
use crate::unroll::Unroll;
use crate::value::Value;

pub use spec::{Encoding, Fusion, LevelChoices, ModelSpec, Residual, Sizes, StepWidth};

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

    /// Whether levels hold coupled stages, which can be run backwards in depth.
    fn is_coupled(&self) -> bool {
        false
    }

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
    /// Stepwise: the same segments at every step, some of which carry a value to the next.
    Recurrent(Rc<[Segment]>),
    /// Stepwise, with weights of its own at every step.
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

impl Network {
    /// The site of every norm with its number of channels.
    pub fn norms(&self) -> impl Iterator<Item = (&Site, usize)> {
        self.sites.iter().filter(|site| site.role() == Role::Norm).filter_map(|site| {
            let scale = self.params.find(&format!("{}.weight", site.name()))?;
            Some((site, scale.value().len()))
        })
    }
}

/// A line of the model table.
pub struct ModelEntry {
    /// Its id.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What golden cases, made with the authors' code, call it.
    pub official: &'static [&'static str],
    /// The set-up of the paper: image, classes, T, neuron, norm, grid.
    pub published: fn() -> ModelSpec,
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
