//! One level of one step: what it starts from, its blocks and its shortcut.

use engine::Result;
use engine::layer::Builder;
use engine::model::{Block, ModelSpec};
use engine::neuron::Neuron;
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::unroll::Unroll;
use engine::value::Value;

use super::STRIDES;
use super::block::{BlockSpec, Shared, SpikingBlock};
use super::fusion::{Fuse, Geometry};
use super::stem::Entry;

/// A level of a step.
pub(super) struct Level {
    entry: Option<Entry>,
    fuse: Fuse,
    blocks: Vec<SpikingBlock>,
    /// One factor a channel; in the first step there is nothing for it to scale.
    pub(super) alpha: ParamId,
}

/// What all levels of a network are built from.
pub(super) struct Plan<'a> {
    pub(super) spec: &'a ModelSpec,
    pub(super) quantiser: Neuron,
    pub(super) geometry: Geometry<'a>,
    /// Pairs of blocks at each level.
    pub(super) pairs: [usize; 4],
    pub(super) kernel: usize,
}

impl Level {
    /// The level at `(step, level)`; `shared` holds the weights that the level has in common with other steps, one
    /// entry a pair of blocks.
    pub(super) fn new(
        builder: &mut Builder,
        plan: &Plan<'_>,
        (step, level): (usize, usize),
        entry: Option<Entry>,
        shared: &mut [Option<Shared>],
    ) -> Result<Self> {
        let Plan { spec, quantiser, geometry, pairs, kernel } = *plan;
        let channels = geometry.widths[level];
        let name = format!("subnet{step}.level{level}");
        let down = (level > 0).then_some(STRIDES[level]);
        let fusion = format!("{name}.fusion");
        let fuse = Fuse::new(builder, &fusion, spec, quantiser, geometry, level, (down, step > 0))?;
        let shape = BlockSpec { channels, kernel, quantiser };
        let mut blocks = Vec::with_capacity(2 * pairs[level]);
        for (pair, shared) in shared.iter_mut().enumerate() {
            let block = |index: usize| format!("{name}.blocks.{index}");
            blocks.push(SpikingBlock::own(builder, &block(2 * pair), shape, spec.levels.residual)?);
            blocks.push(SpikingBlock::sharing(builder, &block(2 * pair + 1), shape, shared)?);
        }
        let alpha = format!("subnet{step}.alpha{level}");
        let alpha = builder.param(&alpha, ParamKind::Skip, &[1, channels, 1, 1], Init::Constant(0.5))?;
        Ok(Self { entry, fuse, blocks, alpha })
    }

    pub(super) fn forward(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        below: &Value,
        deeper: &[Value],
    ) -> Result<Value> {
        let mut x = match &self.entry {
            Some(entry) => entry.forward(pass, port, below)?,
            None => below.clone(),
        };
        x = self.fuse.forward(pass, port, &x, deeper)?;
        for block in &self.blocks {
            x = block.forward(pass, port, &x)?;
        }
        Ok(x)
    }
}
