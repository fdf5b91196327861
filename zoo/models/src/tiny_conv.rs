//! `tiny-conv`: a plain convolutional network, small enough for a laptop and a test.
//!
//! 16C3s2 - 32C3 - 64C3s2 - FC, each convolution followed by a norm and a neuron. The read-out neither spikes
//! nor leaks, as in OTTT (NeurIPS 2022) and SLTT (ICCV 2023). Not a published network: it stands for their family.

use std::rc::Rc;

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::ops::ConvSpec;
use engine::site::Role;

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
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    let mut channels = spec.image[0];
    for (index, (width, stride)) in widths.into_iter().zip([2, 1, 2]).enumerate() {
        let name = format!("layer{}", index + 1);
        let role = if index == 0 { Role::Encoder } else { Role::Hidden };
        blocks.push(Box::new(builder.conv(
            &format!("{name}.conv"),
            role,
            ConvSpec::same(channels, width, 3, stride),
        )?));
        blocks.push(Box::new(builder.norm(&format!("{name}.norm"), width, spec.norm, 1.0)?));
        blocks.push(Box::new(builder.neurons(&format!("{name}.neuron"), spec.neuron)));
        channels = width;
    }
    // Two of the three convolutions halve the image, rounding up.
    let pixels = |side: usize| side.div_ceil(2).div_ceil(2);
    let features = channels * pixels(spec.image[1]) * pixels(spec.image[2]);
    blocks.push(Box::new(builder.flatten("flat")));
    blocks.push(Box::new(builder.linear("readout", Role::Readout, features, spec.classes)?));
    Ok(Wiring::Sequence(Rc::new([Segment::Plain(Rc::new(Chain(blocks)))])))
}
