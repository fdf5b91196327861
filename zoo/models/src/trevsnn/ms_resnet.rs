//! MS-ResNet-34 made temporally reversible, the paper's ablation: our reading, as no code of it was released and what
//! was published leaves the following open.
//!
//! The stages of MS-ResNet-34 are the levels. All neurons are turned off but the last of each stage, whose membrane is
//! the stage's output `c_l`: it is carried on with one learned factor a channel, and what it feeds back to the stage
//! above enters behind that stage's first block, which does the down-sampling.
//!
//! Weights, norms and factors are shared by all steps, as in MS-ResNet-34 itself; so no step can have widths or channels
//! of its own. Of three ways to have T steps that fits best what was published. An epoch takes 1.51 times less time,
//! although every level runs forward twice: turning neurons off can save that much, where sub-networks of a fourth of
//! the work would save far more. Memory falls 3.03-fold, which leaves more than one step's share of T = 4: narrower
//! sub-networks would leave far less. Accuracy falls by 1.6 points, where weights for each step, four times as many,
//! should not lose any.
//!
//! The feedback adds 1x1 convolutions and norms to the baseline's parameters; `fusion = "none"` leaves the factors
//! alone.

use std::rc::Rc;

use engine::layer::{Builder, Chain};
use engine::model::{self, Block, Encoding, LevelChoices, Levels, ModelEntry, ModelSpec, StepWidth, Wiring};
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec};
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::region::Grid;
use engine::site::{Role, Site};
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use super::block::Gamma;
use super::fusion::{Fuse, Geometry};
use super::{PAPER, QUANTISER};
use crate::ms_resnet;
use crate::published::{IMAGENET, set_up};
use crate::residual::{Place, Residual, START, classifier};

pub(super) const ENTRY: ModelEntry = ModelEntry {
    id: "ms-resnet34-trev",
    summary: "the stages of MS-ResNet-34 as temporally reversible levels, weights shared by all steps",
    paper: PAPER,
    official: &[],
    published: || ModelSpec {
        // MS-ResNet has no factor on its branches.
        levels: LevelChoices { residual: model::Residual::Plain, ..LevelChoices::default() },
        ..set_up(IMAGENET, 4, QUANTISER, NormOver::Step)
    },
    build,
};

/// Where the scales of norms start in MS-ResNet's released code: at the threshold, which is the quantiser's too.
const SCALE: f64 = 0.5;

/// The same for the last norm of a residual branch. From 1, as in S-RevSNN's code, the first layers' gradients
/// would start at 10^5 times the read-out's, as what blocks and feedback add multiplies over depth and time.
const LAST_SCALE: f64 = 0.2 * SCALE;

struct MsResNet {
    stem: Chain,
    carries: Vec<Site>,
    stages: Vec<Stage>,
    head: Chain,
    grid: Option<Grid>,
}

struct Stage {
    first: Residual,
    fuse: Fuse,
    rest: Vec<Residual>,
    alpha: ParamId,
}

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    if spec.levels.width != StepWidth::PerStep {
        return Err(shared_weights("model.levels.width", "per-step", "divided"));
    }
    if spec.levels.encoding != Encoding::Full {
        return Err(shared_weights("model.levels.encoding", "full", "grouped"));
    }
    builder.start_from(START);
    let quantiser = Neuron::Quantiser { smooth: spec.neuron.is_smooth() };
    let widths = spec.widths([64, 128, 256, 512])?;
    let blocks = spec.blocks([3, 4, 6, 3])?;
    let (stem, shrink) = ms_resnet::stem(spec, builder, widths[0])?;
    let mut sides = [[spec.image[1].div_ceil(shrink), spec.image[2].div_ceil(shrink)]; 4];
    for level in 1..4 {
        sides[level] = sides[level - 1].map(|side: usize| side.div_ceil(2));
    }
    let geometry = Geometry { widths: &widths, sides: &sides };
    let mut stages = Vec::with_capacity(4);
    for (level, &width) in widths.iter().enumerate() {
        let name = format!("layer{}", level + 1);
        let block = |builder: &mut Builder, index: usize| -> Result<Residual> {
            let (from, stride) = if level > 0 && index == 0 { (widths[level - 1], 2) } else { (width, 1) };
            let place = Place { name: format!("{name}.{index}"), from, width, stride };
            membrane_block(builder, spec, quantiser, &place)
        };
        let first = block(builder, 0)?;
        let rest = (1..blocks[level]).map(|index| block(builder, index)).collect::<Result<_>>()?;
        let fusion = format!("{name}.fusion");
        let fuse = Fuse::new(builder, &fusion, spec, quantiser, geometry, level, (None, spec.steps > 1))?;
        let alpha = format!("{name}.alpha");
        let alpha = builder.param(&alpha, ParamKind::Skip, &[1, width, 1, 1], Init::Constant(0.5))?;
        stages.push(Stage { first, fuse, rest, alpha });
    }
    let mut head: Vec<Box<dyn Block>> = vec![Box::new(builder.neurons("sn1", quantiser))];
    head.extend(classifier(spec, builder, widths[3])?);
    let carries = (0..4).map(|level| builder.site(&format!("c{level}"), Role::Carry)).collect();
    Ok(Wiring::Levels(Rc::new(MsResNet {
        stem: Chain(stem),
        carries,
        stages,
        head: Chain(head),
        grid: spec.grid,
    })))
}

fn shared_weights(place: &str, only: &str, found: &str) -> Error {
    Error::setting(place, format!("{only} for ms-resnet34-trev, whose steps share all weights"), found)
}

/// `x' + gamma * F(x)`, F: spikes - conv 3x3 - norm, twice; `x'` is `x`, or spikes - conv 1x1 - norm where the shape
/// changes.
fn membrane_block(
    builder: &mut Builder,
    spec: &ModelSpec,
    quantiser: Neuron,
    place: &Place,
) -> Result<Residual> {
    let Place { name, from, width, stride } = place;
    let mut unit = |spikes: &str, conv: &str, shape: ConvSpec, scale: f64| -> Result<Vec<Box<dyn Block>>> {
        Ok(vec![
            Box::new(builder.neurons(&format!("{name}.{spikes}"), quantiser)),
            Box::new(builder.conv(&format!("{name}.{conv}.0"), Role::Hidden, shape)?),
            Box::new(builder.norm(&format!("{name}.{conv}.1"), *width, spec.norm, scale)?),
        ])
    };
    let mut branch = unit("sn1", "conv1", ConvSpec::same(*from, *width, 3, *stride), SCALE)?;
    branch.extend(unit("sn2", "conv2", ConvSpec::same(*width, *width, 3, 1), LAST_SCALE)?);
    let shortcut = if place.changes_shape(*width) {
        let shape = ConvSpec::same(*from, *width, 1, *stride);
        Some(Chain(unit("downsample.0", "downsample.1", shape, SCALE)?))
    } else {
        None
    };
    let gamma = Gamma::new(builder, &format!("{name}.gamma"), *width, spec.levels.residual)?;
    branch.extend(gamma.map(|gamma| Box::new(gamma) as Box<dyn Block>));
    Ok(Residual { branch: Chain(branch), shortcut, sum: builder.sum(&format!("{name}.sum")) })
}

impl Levels for MsResNet {
    fn stem(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::dense(pass, &self.stem.forward(pass, port, x)?)
    }

    fn sites(&self) -> &[Site] {
        &self.carries
    }

    fn level(
        &self,
        pass: &Pass<'_>,
        port: &mut dyn Unroll,
        level: usize,
        below: &Value,
        deeper: &[Value],
    ) -> Result<Value> {
        let stage = &self.stages[level];
        let mut x = stage.first.forward(pass, port, below)?;
        x = stage.fuse.forward(pass, port, &x, deeper)?;
        for block in &stage.rest {
            x = block.forward(pass, port, &x)?;
        }
        ops::dense(pass, &x)
    }

    fn skip(&self, level: usize, _step: usize) -> ParamId {
        self.stages[level].alpha
    }

    fn grid(&self) -> Option<Grid> {
        self.grid
    }

    fn head(&self, pass: &Pass<'_>, port: &mut dyn Unroll, top: &Value) -> Result<Value> {
        self.head.forward(pass, port, top)
    }
}
