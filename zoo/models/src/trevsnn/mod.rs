//! T-RevSNN: four levels with temporally reversible shortcuts and weights of their own at every step (ICML 2024,
//! arXiv 2405.16466), as the released code builds it.
//!
//! At every step t, levels l = 0..3 in order:
//!
//! ```text
//! c_l[t] = F_l(D_l(c_{l-1}[t]) + U_l(c_{l+1}[t-1])) + alpha_l c_l[t-1]
//! ```
//!
//! with one learned `alpha` a channel, level and step. `D_0` is the stem's feature, `D_1` and `D_2` spikes - conv 3x3
//! with stride 2 - norm, `D_3` spikes - conv 1x1 - norm; `U` spikes - conv 1x1 - norm - nearest up-sampling, `F` pairs
//! of blocks. Every spike is the stateless quantiser, whatever the neuron of the specification; the only state is `c`.
//! The second half of every second block is shared by all steps.
//!
//! Parameters, norms and neurons are named as in the released code. Where that code and the paper's text differ, the
//! specification's `levels` choose; their defaults are the code. What the code fixes to four steps is generalised: one
//! head a step, the last with spikes and two layers. `sizes.blocks` is the number of block pairs at each level, which
//! the code always takes as one.

mod block;
mod fusion;
mod head;
mod level;
mod ms_resnet;
mod stem;
mod width;

use std::rc::Rc;

use engine::layer::{Builder, Chain, Start};
use engine::model::{Block, Encoding, Levels, ModelEntry, ModelSpec, StepWidth, Wiring};
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::ops;
use engine::param::{Init, ParamId};
use engine::pass::Pass;
use engine::region::Grid;
use engine::site::{Role, Site};
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use fusion::Geometry;
use head::Heads;
use level::{Level, Plan};
use stem::Entry;

use crate::published::{DVS_128, IMAGENET, set_up};

const PAPER: &str = "T-RevSNN: Hu et al., ICML 2024";

/// The neuron that stands where one was turned off.
const QUANTISER: Neuron = Neuron::Quantiser { smooth: false };

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "trevsnn-tiny",
        summary: "four temporally reversible levels of 64 to 384 channels, weights per step",
        paper: PAPER,
        official: &[],
        published: || set_up(IMAGENET, TINY.steps, QUANTISER, NormOver::Step),
        build: |spec, builder| TINY.build(spec, builder),
    },
    ModelEntry {
        id: "trevsnn-small",
        summary: "four temporally reversible levels of 96 to 512 channels, weights per step",
        paper: PAPER,
        official: &["FullNet (models/spike_rev_reuse.py)"],
        published: || set_up(IMAGENET, SMALL.steps, QUANTISER, NormOver::Step),
        build: |spec, builder| SMALL.build(spec, builder),
    },
    ModelEntry {
        id: "trevsnn-dvs",
        summary: "four temporally reversible levels of 32 to 256 channels, a stem per step for its frame",
        paper: PAPER,
        official: &["FullNet (models/spike_rev_reuse.py) dvs=True"],
        published: || set_up(DVS_128, DVS.steps, QUANTISER, NormOver::Step),
        build: |spec, builder| DVS.build(spec, builder),
    },
    ms_resnet::ENTRY,
];

const TINY: Family = Family { widths: [64, 128, 256, 384], kernel: 5, steps: 4, input: Input::Images };
const SMALL: Family = Family { widths: [96, 192, 384, 512], kernel: 5, steps: 4, input: Input::Images };
const DVS: Family = Family { widths: [32, 64, 128, 256], kernel: 3, steps: 8, input: Input::Frames };

/// Kernel and stride of the convolution into each level from the one below; the shallowest takes the feature.
const STRIDES: [(usize, usize); 4] = [(1, 1), (3, 2), (3, 2), (1, 1)];

/// Published sizes.
struct Family {
    widths: [usize; 4],
    kernel: usize,
    steps: usize,
    input: Input,
}

#[derive(Clone, Copy, PartialEq)]
enum Input {
    /// One image for all steps, through a stem of stride 4; a head a step.
    Images,
    /// A frame a step, each through a stem of its own with stride 1; one head.
    Frames,
}

struct TRevSnn {
    /// Absent where each step has its own.
    stem: Option<Chain>,
    carries: Vec<Site>,
    /// The levels of each step.
    steps: Vec<Vec<Level>>,
    heads: Heads,
    grid: Option<Grid>,
}

impl Family {
    fn build(&self, spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
        // timm's truncated normal with its bounds at +-2, a hundred deviations away.
        builder.start_from(Start {
            conv: Init::Normal(0.02),
            linear: Init::Normal(0.02),
            uniform_biases: false,
        });
        let quantiser = Neuron::Quantiser { smooth: spec.neuron.is_smooth() };
        let pairs = spec.blocks([1; 4])?;
        let kernel = spec.sizes.kernel.unwrap_or(self.kernel);
        let widths = self.stage_widths(spec, pairs, kernel)?;
        let shrink = if self.input == Input::Images { 4 } else { 1 };
        let mut sides = [[spec.image[1].div_ceil(shrink), spec.image[2].div_ceil(shrink)]; 4];
        for level in 1..4 {
            sides[level] = sides[level - 1].map(|side: usize| side.div_ceil(STRIDES[level].1));
        }
        let geometry = Geometry { widths: &widths, sides: &sides };
        let plan = Plan { spec, quantiser, geometry, pairs, kernel };

        let stem = match self.input {
            Input::Images => Some(stem::of_images(builder, spec.image, widths[0])?),
            Input::Frames => None,
        };
        let carries = (0..4).map(|level| builder.site(&format!("c{level}"), Role::Carry)).collect();
        let mut shared = pairs.map(|pairs| vec![None; pairs]);
        let mut steps = Vec::with_capacity(spec.steps);
        for step in 0..spec.steps {
            let mut entry = Some(match self.input {
                Input::Images => Entry::of_images(builder, spec, widths[0], step)?,
                Input::Frames => Entry::of_frames(builder, spec, widths[0], step)?,
            });
            let levels = shared
                .iter_mut()
                .enumerate()
                .map(|(level, shared)| Level::new(builder, &plan, (step, level), entry.take(), shared))
                .collect::<Result<_>>()?;
            steps.push(levels);
        }
        let heads = match self.input {
            Input::Images => Heads::per_step(builder, spec, quantiser, widths[3])?,
            Input::Frames => Heads::shared(builder, spec, quantiser, widths[3])?,
        };
        Ok(Wiring::Levels(Rc::new(TRevSnn { stem, carries, steps, heads, grid: spec.grid })))
    }

    /// Channels of each level: the published ones or those in their place, divided if asked for, times the width.
    fn stage_widths(&self, spec: &ModelSpec, pairs: [usize; 4], kernel: usize) -> Result<[usize; 4]> {
        if spec.levels.width == StepWidth::PerStep {
            return spec.widths(self.widths);
        }
        let before = ModelSpec { width: 1.0, ..spec.clone() }.widths(self.widths)?;
        let form = width::Form { pairs, kernel, levels: spec.levels };
        let divided = width::divided(&form, before, self.steps, spec.steps);
        let mut widths = divided.map(|channels| spec.channels(channels));
        if spec.levels.encoding == Encoding::Grouped {
            let steps = spec.steps as f64;
            widths[0] = ((widths[0] as f64 / steps).round() as usize).max(2) * spec.steps;
        }
        Ok(widths)
    }
}

/// The step a pass is at, which picks the weights.
fn at<'s, T>(steps: &'s [T], pass: &Pass<'_>) -> Result<&'s T> {
    let found = pass.step().and_then(|step| steps.get(step));
    found.ok_or_else(|| {
        let step = pass.step().map_or("no single step".to_string(), |step| format!("step {step}"));
        Error::Misuse(format!("weights of {} steps were asked for {step}", steps.len()))
    })
}

impl Levels for TRevSnn {
    fn stem(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        match &self.stem {
            Some(stem) => ops::dense(pass, &stem.forward(pass, port, x)?),
            None => ops::dense(pass, x),
        }
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
        at(&self.steps, pass)?[level].forward(pass, port, below, deeper)
    }

    fn skip(&self, level: usize, step: usize) -> ParamId {
        self.steps[step][level].alpha
    }

    fn grid(&self) -> Option<Grid> {
        self.grid
    }

    fn head(&self, pass: &Pass<'_>, port: &mut dyn Unroll, top: &Value) -> Result<Value> {
        self.heads.at(pass)?.forward(pass, port, top)
    }
}
