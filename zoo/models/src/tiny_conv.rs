//! `tiny-conv`: a plain convolutional network, small enough for a laptop and a test.
//!
//! 16C3s2 - 32C3 - 64C3s2 - FC, each convolution followed by a norm and a neuron. The read-out neither spikes
//! nor leaks, as in OTTT (NeurIPS 2022) and SLTT (ICCV 2023). Not a published network: it stands for their family.

use engine::Result;
use engine::layer::Builder;
use engine::model::{ModelEntry, ModelSpec, Wiring};
use engine::ops::ConvSpec;
use engine::site::Role;

use crate::layers::Layers;

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "tiny-conv",
    summary: "three convolutions and a read-out",
    paper: "none: a small stand-in for the plain networks of OTTT and SLTT",
    official: &[],
    published: crate::published::tiny,
    build,
}];

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let widths = [16, 32, 64].map(|published| spec.channels(published));
    let mut layers = Layers::default();
    let mut channels = spec.image[0];
    for (index, (width, stride)) in widths.into_iter().zip([2, 1, 2]).enumerate() {
        let name = format!("layer{}", index + 1);
        let role = if index == 0 { Role::Encoder } else { Role::Hidden };
        let geometry = ConvSpec::same(channels, width, 3, stride);
        layers.push(builder.conv(&format!("{name}.conv"), role, geometry)?);
        layers.push(builder.norm(&format!("{name}.norm"), width, spec.norm, 1.0)?);
        layers.push(builder.neurons(&format!("{name}.neuron"), spec.neuron));
        layers.cut();
        channels = width;
    }
    // Two of the three convolutions halve the image, rounding up.
    let pixels = |side: usize| side.div_ceil(2).div_ceil(2);
    let features = channels * pixels(spec.image[1]) * pixels(spec.image[2]);
    layers.push(builder.flatten("flat"));
    layers.push(builder.linear("readout", Role::Readout, features, spec.classes)?);
    Ok(layers.into_sequence())
}
