//! The heads: mean over space, then one or two 1x1 convolutions to the classes.

use engine::Result;
use engine::layer::{AdaptiveAverage, Builder, Chain, Conv, Scale, Spiking};
use engine::model::{Block, ModelSpec};
use engine::neuron::Neuron;
use engine::ops::{self, ConvSpec};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;

use super::block::STANDARDISATION;

/// The heads of a network, first step first.
pub(super) enum Heads {
    /// One at every step (images). All but the last read the membrane, only train and are dropped after it.
    PerStep(Vec<Chain>),
    /// One for all steps, which reads `c / T` (frames).
    Shared(Chain),
}

impl Heads {
    /// A head for every step. The released code has four whatever T, after every T/4 steps.
    pub(super) fn per_step(
        builder: &mut Builder,
        spec: &ModelSpec,
        quantiser: Neuron,
        features: usize,
    ) -> Result<Self> {
        let heads = (0..spec.steps)
            .map(|step| {
                let name = format!("cls_blocks.{step}");
                if step + 1 == spec.steps {
                    return spiking(builder, &name, spec, quantiser, features, None);
                }
                let linear = readout(builder, &format!("{name}.classifier.0"), features, spec.classes)?;
                builder.mark_training_only(&format!("{name}."));
                Ok(Chain(vec![Box::new(mean(builder, &name)), Box::new(linear), Box::new(Scores { name })]))
            })
            .collect::<Result<_>>()?;
        Ok(Self::PerStep(heads))
    }

    /// One head for all steps.
    pub(super) fn shared(
        builder: &mut Builder,
        spec: &ModelSpec,
        quantiser: Neuron,
        features: usize,
    ) -> Result<Self> {
        let share = 1.0 / spec.steps as f64;
        Ok(Self::Shared(spiking(builder, "cls_blocks", spec, quantiser, features, Some(share))?))
    }

    /// The head of the step a pass is at.
    pub(super) fn at(&self, pass: &Pass<'_>) -> Result<&Chain> {
        match self {
            Self::PerStep(heads) => super::at(heads, pass),
            Self::Shared(head) => Ok(head),
        }
    }
}

/// Spikes - mean - two linear maps with nothing between them, so that the second merges into the first.
fn spiking(
    builder: &mut Builder,
    name: &str,
    spec: &ModelSpec,
    quantiser: Neuron,
    features: usize,
    factor: Option<f64>,
) -> Result<Chain> {
    let mut parts: Vec<Box<dyn Block>> = Vec::new();
    if let Some(factor) = factor {
        parts.push(Box::new(Scale { site: builder.site(&format!("{name}.share"), Role::Mix), factor }));
    }
    let spikes: Spiking = builder.neurons(&format!("{name}.in"), quantiser);
    parts.push(Box::new(spikes));
    parts.push(Box::new(mean(builder, name)));
    parts.push(Box::new(readout(builder, &format!("{name}.classifier1.0"), features, spec.classes)?));
    parts.push(Box::new(readout(builder, &format!("{name}.classifier2"), spec.classes, spec.classes)?));
    parts.push(Box::new(Scores { name: name.to_string() }));
    builder.mark_training_only(&format!("{name}.classifier2."));
    Ok(Chain(parts))
}

fn readout(builder: &mut Builder, name: &str, inputs: usize, classes: usize) -> Result<Conv> {
    builder.standardised_conv(name, Role::Readout, ConvSpec::same(inputs, classes, 1, 1), STANDARDISATION)
}

fn mean(builder: &mut Builder, name: &str) -> AdaptiveAverage {
    AdaptiveAverage { site: builder.site(&format!("{name}.mean"), Role::Mix), out: [1, 1] }
}

/// `[1, B, classes, 1, 1]` to `[1, B, classes]`. No place of its own: a method that trains the heads alone has to see
/// the scores.
struct Scores {
    name: String,
}

impl Block for Scores {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::flatten(pass, &self.name, x)
    }
}
