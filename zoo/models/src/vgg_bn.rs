//! `vgg11-bn`: the plain network of SLTT on events.
//!
//! Meng et al., ICCV 2023, appendix: 64C3-AP2-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-AP2, each convolution
//! (with bias) followed by a norm, a neuron and dropout; then an adaptive average pool to 7x7 and a linear read-out.
//! Unusual: the adaptive pool *up-samples*, from 1x1 at 48 pixels and from 4x4 at 128, so the read-out sees copies.

use engine::layer::{Builder, Start};
use engine::model::{ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::param::Init;
use engine::site::Role;
use engine::{Error, Result};

use crate::layers::Layers;
use crate::published::{DVS_48, SLTT, set_up};

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "vgg11-bn",
    summary: "eight convolutions with norms, for events",
    paper: "SLTT: Meng et al., ICCV 2023",
    official: &["SpikingVGGBN(VGG11)"],
    published: || ModelSpec { dropout: 0.3, ..set_up(DVS_48, 10, SLTT, NormOver::Step) },
    build,
}];

/// Convolutions of each stage; a pool ends it.
const STAGES: [usize; 5] = [1, 1, 2, 2, 2];

/// Side of the map that the read-out sees.
const BINS: usize = 7;

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let widths = spec.widths([64, 128, 256, 256, 512, 512, 512, 512])?;
    let smallest = 1 << STAGES.len();
    if let Some(side) = spec.image[1..].iter().find(|&&side| side < smallest) {
        return Err(Error::setting("model.image", format!("sides of at least {smallest}"), side));
    }
    builder.start_from(Start { linear: Init::Normal(0.01), ..Start::KAIMING });
    let mut layers = Layers::default();
    let (mut channels, mut next) = (spec.image[0], widths.into_iter());
    for (stage, convolutions) in STAGES.into_iter().enumerate() {
        let stage = format!("layer{}", stage + 1);
        for (index, width) in next.by_ref().take(convolutions).enumerate() {
            // Four modules a convolution: itself, norm, neuron, dropout.
            let name = |module: usize| format!("{stage}.{}", 4 * index + module);
            let role = if layers.is_empty() { Role::Encoder } else { Role::Hidden };
            let geometry = ConvSpec::same(channels, width, 3, 1);
            layers.push(builder.biased_conv(&name(0), role, geometry)?);
            layers.push(builder.norm(&name(1), width, spec.norm, 1.0)?);
            layers.push(builder.neurons(&name(2), spec.neuron));
            layers.cut();
            if spec.dropout > 0.0 {
                layers.push(builder.dropout(&name(3), spec.dropout));
            }
            channels = width;
        }
        let pool = PoolSpec { kind: PoolKind::Average, kernel: 2, stride: 2, pad: 0 };
        layers.push(builder.pool(&format!("{stage}.pool"), pool));
    }
    layers.push(builder.adaptive_average("avgpool", [BINS, BINS]));
    layers.push(builder.flatten("classifier.0"));
    let features = channels * BINS * BINS;
    layers.push(builder.linear("classifier.1", Role::Readout, features, spec.classes)?);
    Ok(layers.into_sequence())
}
