//! `tiny-conv`: a plain convolutional network, small enough for a laptop and a test.
//!
//! 16C3 - 32C3s2 - 64C3s2 - AP3s2 - FC, each convolution followed by a norm and a neuron. The read-out neither spikes
//! nor leaks, as in OTTT (NeurIPS 2022) and SLTT (ICCV 2023). Not a published network: it stands for their family.

use std::rc::Rc;

use engine::layer::{Builder, Chain};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::site::Role;
use engine::{Error, Result};

pub(crate) const ENTRY: ModelEntry = ModelEntry {
    id: "tiny-conv",
    summary: "three convolutions, average pool, read-out",
    paper: "none: a small stand-in for the plain networks of OTTT and SLTT",
    build,
};

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let widths = [16, 32, 64].map(|published| spec.channels(published));
    let mut blocks: Vec<Box<dyn Block>> = Vec::new();
    let mut channels = spec.image[0];
    for (index, (width, stride)) in widths.into_iter().zip([1, 2, 2]).enumerate() {
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
    let pool = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 2, pad: 0 };
    let [h, w] = [spec.image[1], spec.image[2]].map(|side| pooled(side.div_ceil(2).div_ceil(2), &pool));
    if h == 0 || w == 0 {
        return Err(Error::setting("model.image", "at least 9 pixels a side for tiny-conv", spec.image[1].min(spec.image[2])));
    }
    blocks.push(Box::new(builder.pool("pool", pool)));
    blocks.push(Box::new(builder.flatten("flat")));
    blocks.push(Box::new(builder.linear("readout", Role::Readout, channels * h * w, spec.classes)?));
    Ok(Wiring::Sequence(Rc::new([Segment::Plain(Rc::new(Chain(blocks)))])))
}

/// Windows that fit along a side.
fn pooled(side: usize, pool: &PoolSpec) -> usize {
    if side < pool.kernel { 0 } else { (side - pool.kernel) / pool.stride + 1 }
}
