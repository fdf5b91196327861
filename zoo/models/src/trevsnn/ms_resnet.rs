//! MS-ResNet-34 made temporally reversible, the paper's ablation: our reading, as no code of it was released and the
//! text fixes none of what follows.
//!
//! The stages of MS-ResNet-34 are the levels. All neurons are turned off but the last of each stage, whose membrane is
//! the stage's output `c_l`: it is carried on with one learned factor a channel, and fed back to the stage above
//! behind that stage's first block, which does the down-sampling.
//!
//! Weights, norms and factors are shared by all steps, as in MS-ResNet-34 itself. What was reported of the change fits
//! that best. Memory falls 3.03-fold, less than T = 4 even though levels are rebuilt one at a time: weights for each
//! step would add to it and narrower sub-networks take more from it. An epoch takes 1.51 times less time, although
//! every level runs forward twice: with a fourth of the work a step it would take far less. Accuracy falls by 1.6
//! points, which four times the parameters should not bring about. So widths can't be divided, and every step sees
//! the whole feature.
//!
//! The feedback of the deeper stages adds 1x1 convolutions and norms to the baseline's parameters; `fusion = "none"`
//! leaves only the factors.

use std::rc::Rc;

use engine::layer::{Builder, Chain, Start};
use engine::model::{
    Block, Encoding, LevelChoices, Levels, ModelEntry, ModelSpec, Residual, StepWidth, Wiring,
};
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::region::Grid;
use engine::site::{Role, Site};
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use super::fusion::{Fuse, Geometry};
use super::{PAPER, QUANTISER};
use crate::published::{IMAGENET, set_up};

pub(super) const ENTRY: ModelEntry = ModelEntry {
    id: "ms-resnet34-trev",
    summary: "the stages of MS-ResNet-34 as temporally reversible levels, weights shared by all steps",
    paper: PAPER,
    official: &[],
    published: || ModelSpec {
        // MS-ResNet has no factor on its branches.
        levels: LevelChoices { residual: Residual::Plain, ..LevelChoices::default() },
        ..set_up(IMAGENET, 4, QUANTISER, NormOver::Step)
    },
    build,
};

/// From this side on an image is one of ImageNet's kind, whose stem has stride 4; below, the stem keeps the size.
const LARGE: usize = 64;

struct MsResNet {
    stem: Chain,
    carries: Vec<Site>,
    stages: Vec<Stage>,
    head: Chain,
    grid: Option<Grid>,
}

struct Stage {
    first: MembraneBlock,
    fuse: Fuse,
    rest: Vec<MembraneBlock>,
    alpha: ParamId,
}

/// `y = x' + gamma * F(x)`, F: spikes - conv 3x3 - norm, twice; `x'` is `x`, or spikes - conv 1x1 - norm where the shape
/// changes.
struct MembraneBlock {
    name: String,
    branch: Chain,
    shortcut: Option<Chain>,
    gamma: Option<ParamId>,
}

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    if spec.levels.width != StepWidth::PerStep {
        return Err(shared_weights("model.levels.width", "per-step", "divided"));
    }
    if spec.levels.encoding != Encoding::Full {
        return Err(shared_weights("model.levels.encoding", "full", "grouped"));
    }
    builder.start_from(Start { conv: Init::KaimingNormalFanOut, ..Start::TORCH });
    let quantiser = Neuron::Quantiser { smooth: spec.neuron.is_smooth() };
    let widths = spec.widths([64, 128, 256, 512])?;
    let blocks = spec.blocks([3, 4, 6, 3])?;
    let large = spec.image[1].min(spec.image[2]) >= LARGE;
    let mut sides = [[spec.image[1], spec.image[2]]; 4];
    if large {
        sides[0] = sides[0].map(|side: usize| side.div_ceil(4));
    }
    for level in 1..4 {
        sides[level] = sides[level - 1].map(|side| side.div_ceil(2));
    }
    let geometry = Geometry { widths: &widths, sides: &sides };

    let (kernel, stride) = if large { (7, 2) } else { (3, 1) };
    let mut stem: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv(
            "conv1",
            Role::Encoder,
            ConvSpec::same(spec.image[0], widths[0], kernel, stride),
        )?),
        Box::new(builder.norm("bn1", widths[0], spec.norm, 1.0)?),
    ];
    if large {
        let maximum = PoolSpec { kind: PoolKind::Max, kernel: 3, stride: 2, pad: 1 };
        stem.push(Box::new(builder.pool("maxpool", maximum)));
    }
    let mut stages = Vec::with_capacity(4);
    for (level, &width) in widths.iter().enumerate() {
        let name = format!("layer{}", level + 1);
        let mut block = |builder: &mut Builder, index: usize| {
            let (from, stride) = if level > 0 && index == 0 { (widths[level - 1], 2) } else { (width, 1) };
            MembraneBlock::new(builder, &format!("{name}.{index}"), spec, quantiser, (from, width, stride))
        };
        let first = block(builder, 0)?;
        let rest = (1..blocks[level]).map(|index| block(builder, index)).collect::<Result<_>>()?;
        let fusion = format!("{name}.fusion");
        let fuse = Fuse::new(builder, &fusion, spec, quantiser, geometry, level, (None, spec.steps > 1))?;
        let alpha = format!("{name}.alpha");
        let alpha = builder.param(&alpha, ParamKind::Skip, &[1, width, 1, 1], Init::Constant(0.5))?;
        stages.push(Stage { first, fuse, rest, alpha });
    }
    let head: Vec<Box<dyn Block>> = vec![
        Box::new(builder.neurons("sn1", quantiser)),
        Box::new(builder.global_average("avgpool")),
        Box::new(builder.linear("fc", Role::Readout, widths[3], spec.classes)?),
    ];
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

impl MembraneBlock {
    fn new(
        builder: &mut Builder,
        name: &str,
        spec: &ModelSpec,
        quantiser: Neuron,
        (from, to, stride): (usize, usize, usize),
    ) -> Result<Self> {
        let mut unit = |spikes: &str, conv: &str, shape: ConvSpec| -> Result<Vec<Box<dyn Block>>> {
            Ok(vec![
                Box::new(builder.neurons(&format!("{name}.{spikes}"), quantiser)),
                Box::new(builder.conv(&format!("{name}.{conv}.0"), Role::Hidden, shape)?),
                Box::new(builder.norm(&format!("{name}.{conv}.1"), to, spec.norm, 1.0)?),
            ])
        };
        let mut branch = unit("sn1", "conv1", ConvSpec::same(from, to, 3, stride))?;
        branch.extend(unit("sn2", "conv2", ConvSpec::same(to, to, 3, 1))?);
        let shortcut = if from == to && stride == 1 {
            None
        } else {
            Some(Chain(unit("downsample.0", "downsample.1", ConvSpec::same(from, to, 1, stride))?))
        };
        let gamma = super::block::gamma(builder, &format!("{name}.gamma"), to, spec.levels.residual)?;
        Ok(Self { name: name.to_string(), branch: Chain(branch), shortcut, gamma })
    }
}

impl Block for MembraneBlock {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let mut branch = self.branch.forward(pass, port, x)?;
        if let Some(gamma) = self.gamma {
            branch = ops::gain(pass, &self.name, &branch, gamma)?;
        }
        match &self.shortcut {
            None => ops::add(pass, &self.name, x, &branch),
            Some(shortcut) => {
                let x = shortcut.forward(pass, port, x)?;
                ops::add(pass, &self.name, &x, &branch)
            }
        }
    }
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
