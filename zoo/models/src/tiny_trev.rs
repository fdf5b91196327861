//! `tiny-trev`: three levels with temporally reversible turn-on neurons, everything else turned off.
//!
//! The form of T-RevSNN (ICML 2024; the released network): at every step t, level l computes
//! `c_l[t] = F_l(D_l(c_{l-1}[t]) + U_l(c_{l+1}[t-1])) + alpha_l c_l[t-1]` with weights of its own for each step and
//! one learned `alpha` a channel. D: spike - conv - norm, U: spike - conv1x1 - norm - nearest up-sampling,
//! F: `z + norm(conv(spike(z)))`. Every spike is the stateless quantiser; the only state is `c`. Unusual: the step
//! picks the weights, so parameters grow with T. `tiny-trev-rev` has coupled blocks (S-RevSNN, AAAI 2024) in the place
//! of F, so that a level can be run backwards in depth while steps are run backwards in time. Smaller than published: three levels, one block a level, a 3x3
//! convolution where the paper has a depthwise pair, a norm inside the block, and a read-out of all pixels.

use std::rc::Rc;

use engine::layer::{Builder, Chain, Flatten, Linear, Spiking};
use engine::model::{Block, Coupling, Levels, ModelEntry, ModelSpec, Stage, Wiring};
use engine::neuron::Neuron;
use engine::ops::{self, ConvSpec};
use engine::param::{Init, ParamId, ParamKind};
use engine::pass::Pass;
use engine::region::{self, Grid};
use engine::site::{Role, Site};
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

pub(crate) static ENTRIES: &[ModelEntry] = &[
    ModelEntry {
        id: "tiny-trev",
        summary: "three levels of temporally reversible neurons, weights per step",
        paper: "after T-RevSNN: ICML 2024",
        official: &[],
        published: crate::published::tiny,
        build: |spec, builder| build(spec, builder, None),
    },
    ModelEntry {
        id: "tiny-trev-rev",
        summary: "the same levels of coupled blocks: reversible in time and in depth",
        paper: "after T-RevSNN: ICML 2024, and S-RevSNN: AAAI 2024, which name the combination and give no network",
        official: &[],
        published: crate::published::tiny,
        build: |spec, builder| build(spec, builder, Some(spec.depth.unwrap_or(2))),
    },
];

/// Down-sampling into each level.
const STRIDES: [usize; 3] = [1, 2, 1];

struct TinyTrev {
    stem: Chain,
    carries: Vec<Site>,
    steps: Vec<Step>,
    grid: Option<Grid>,
}

/// The weights of one step.
struct Step {
    levels: Vec<Level>,
    top: Spiking,
    flat: Flatten,
    readout: Linear,
}

struct Level {
    /// From the level below: spike - conv - norm; the shallowest takes the stem as it is.
    down: Option<Chain>,
    /// From the next deeper level at the step before, and how far it is up-sampled; none at the first step and for
    /// the deepest level.
    up: Option<(Chain, usize)>,
    body: Body,
    alpha: ParamId,
}

/// F of a level.
enum Body {
    /// Spike - conv - norm, added to its own input.
    Residual(Chain),
    /// Coupled blocks of spike - conv - norm.
    Coupled(Rc<Stage>),
}

/// `coupled` is the number of coupled blocks of a level; one residual block without it.
fn build(spec: &ModelSpec, builder: &mut Builder, coupled: Option<usize>) -> Result<Wiring> {
    let quantiser = Neuron::Quantiser { smooth: spec.neuron.is_smooth() };
    let mut widths = [16, 32, 32].map(|published| spec.channels(published));
    if coupled.is_some() {
        // Two halves of a stream.
        widths = widths.map(|width| width.next_multiple_of(2));
    }
    let stem: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv("stem.conv", Role::Encoder, ConvSpec::same(spec.image[0], widths[0], 3, 2))?),
        Box::new(builder.norm("stem.norm", widths[0], spec.norm, 1.0)?),
    ];
    // The stem halves the image, rounding up; what is fed back from the second level must fit again.
    if let Some(side) = spec.image[1..].iter().find(|side| side.div_ceil(2) % 2 != 0) {
        return Err(Error::setting(
            "model.image",
            "a side whose half, rounded up, is even for tiny-trev",
            side,
        ));
    }
    // The stem and the second level halve the image, rounding up.
    let pixels = |side: usize| side.div_ceil(2).div_ceil(2);
    let features = widths[2] * pixels(spec.image[1]) * pixels(spec.image[2]);
    let carries =
        (0..widths.len()).map(|level| builder.site(&format!("level{level}.carry"), Role::Carry)).collect();
    let steps = (0..spec.steps)
        .map(|step| {
            let name = format!("step{step}");
            let levels = (0..widths.len())
                .map(|level| build_level(spec, builder, quantiser, &widths, (step, level), coupled))
                .collect::<Result<Vec<_>>>()?;
            Ok(Step {
                levels,
                top: builder.neurons(&format!("{name}.top"), quantiser),
                flat: builder.flatten(&format!("{name}.flat")),
                readout: builder.linear(&format!("{name}.readout"), Role::Readout, features, spec.classes)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Wiring::Levels(Rc::new(TinyTrev { stem: Chain(stem), carries, steps, grid: spec.grid })))
}

fn build_level(
    spec: &ModelSpec,
    builder: &mut Builder,
    quantiser: Neuron,
    widths: &[usize; 3],
    (step, level): (usize, usize),
    coupled: Option<usize>,
) -> Result<Level> {
    let name = format!("step{step}.level{level}");
    let width = widths[level];
    let down = match level {
        0 => None,
        _ => {
            let (kernel, stride) = if STRIDES[level] == 2 { (3, 2) } else { (1, 1) };
            let conv = ConvSpec::same(widths[level - 1], width, kernel, stride);
            Some(spiking_conv(spec, builder, &format!("{name}.down"), quantiser, conv)?)
        }
    };
    let up = if step == 0 || level + 1 == widths.len() {
        None
    } else {
        let conv = ConvSpec::same(widths[level + 1], width, 1, 1);
        Some((spiking_conv(spec, builder, &format!("{name}.up"), quantiser, conv)?, STRIDES[level + 1]))
    };
    let body = match coupled {
        None => {
            let conv = ConvSpec::same(width, width, 3, 1);
            Body::Residual(spiking_conv(spec, builder, &format!("{name}.block"), quantiser, conv)?)
        }
        Some(blocks) => {
            let conv = ConvSpec::same(width / 2, width / 2, 3, 1);
            let mut branch = |name: String| -> Result<Box<dyn Block>> {
                Ok(Box::new(spiking_conv(spec, builder, &name, quantiser, conv)?))
            };
            let blocks = (0..blocks)
                .map(|block| {
                    let name = format!("{name}.block{block}");
                    Ok(Coupling { f: branch(format!("{name}.f"))?, g: branch(format!("{name}.g"))? })
                })
                .collect::<Result<_>>()?;
            Body::Coupled(Rc::new(Stage { name: format!("{name}.stream"), blocks, grid: spec.grid }))
        }
    };
    let alpha = builder.param(&format!("{name}.alpha"), ParamKind::Skip, &[width], Init::Constant(0.5))?;
    Ok(Level { down, up, body, alpha })
}

/// Spike - conv - norm.
fn spiking_conv(
    spec: &ModelSpec,
    builder: &mut Builder,
    name: &str,
    quantiser: Neuron,
    conv: ConvSpec,
) -> Result<Chain> {
    Ok(Chain(vec![
        Box::new(builder.neurons(&format!("{name}.spike"), quantiser)),
        Box::new(builder.conv(&format!("{name}.conv"), Role::Hidden, conv)?),
        Box::new(builder.norm(&format!("{name}.norm"), conv.c_out, spec.norm, 1.0)?),
    ]))
}

impl TinyTrev {
    fn at(&self, pass: &Pass<'_>) -> Result<&Step> {
        let step = pass.step().unwrap_or(usize::MAX);
        self.steps.get(step).ok_or_else(|| {
            Error::Misuse(format!(
                "tiny-trev was built for {} steps; step {step} has no weights",
                self.steps.len()
            ))
        })
    }
}

impl Levels for TinyTrev {
    fn stem(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let x = self.stem.forward(pass, port, x)?;
        ops::dense(pass, &x)
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
        let this = &self.at(pass)?.levels[level];
        let place = self.carries[level].name();
        let mut z = match &this.down {
            None => below.clone(),
            Some(down) => down.forward(pass, port, below)?,
        };
        if let (Some((up, factor)), Some(next)) = (&this.up, deeper.first()) {
            let fed_back = up.forward(pass, port, next)?;
            let fed_back = ops::upsample(pass, place, &fed_back, *factor)?;
            z = ops::add(pass, place, &z, &fed_back)?;
        }
        match &this.body {
            Body::Residual(block) => {
                let f = block.forward(pass, port, &z)?;
                ops::add(pass, place, &z, &f)
            }
            Body::Coupled(stage) => region::stage(pass, port, stage, &z),
        }
    }

    fn is_coupled(&self) -> bool {
        let bodies = self.steps.iter().flat_map(|step| &step.levels).map(|level| &level.body);
        bodies.into_iter().any(|body| matches!(body, Body::Coupled(_)))
    }

    fn skip(&self, level: usize, step: usize) -> ParamId {
        self.steps[step].levels[level].alpha
    }

    fn grid(&self) -> Option<Grid> {
        self.grid
    }

    fn head(&self, pass: &Pass<'_>, port: &mut dyn Unroll, top: &Value) -> Result<Value> {
        let step = self.at(pass)?;
        let spikes = step.top.forward(pass, port, top)?;
        let features = step.flat.forward(pass, port, &spikes)?;
        step.readout.forward(pass, port, &features)
    }
}
