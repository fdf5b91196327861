//! Spiking ResNet-18: an ordinary residual network with neurons in place of rectifiers.
//!
//! The network of the gradient-similarity study of T-RevSNN (Hu et al., ICML 2024, figure 2, CIFAR-10), of which no code was
//! released: this is ResNet-18 (He et al., 2016) with the stem of its CIFAR form and the block
//!
//! ```text
//! y = fire(norm(conv3x3(fire(norm(conv3x3(x))))) + x')        x' = x or norm(conv1x1(x))
//! ```
//!
//! The neuron is the paper's leaky one (tau = 2, input decay, hard detached reset). The last spiking layer of stage s
//! is the site `layer<s>.1.sn2`.

use engine::Result;
use engine::layer::{Builder, Chain};
use engine::model::{ModelEntry, ModelSpec, Wiring};
use engine::norm::NormOver;
use engine::ops::ConvSpec;
use engine::site::Role;

use crate::layers::plain;
use crate::published::{CIFAR, TRANSFORMER, set_up};
use crate::residual::{Place, Residual, START, classifier, conv_norm, stages};

pub(crate) static ENTRIES: &[ModelEntry] = &[ModelEntry {
    id: "spiking-resnet18",
    summary: "ResNet-18 with neurons in place of rectifiers",
    paper: "the network of T-RevSNN's figure 2: Hu et al., ICML 2024",
    official: &[],
    published: || set_up(CIFAR, 4, TRANSFORMER, NormOver::Time),
    build,
}];

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    builder.start_from(START);
    let widths = spec.widths([64, 128, 256, 512])?;
    let blocks = spec.blocks([2, 2, 2, 2])?;
    let shape = ConvSpec::same(spec.image[0], widths[0], 3, 1);
    let mut stem = conv_norm(spec, builder, ("conv1", "bn1"), Role::Encoder, shape)?;
    stem.push(Box::new(builder.neurons("sn1", spec.neuron)));
    let mut segments = vec![plain(stem)];
    let build = |builder: &mut Builder, place: &Place| block(spec, builder, place);
    segments.extend(stages(builder, (widths[0], 1), (&widths, &blocks), build)?);
    segments.push(plain(classifier(spec, builder, widths[3])?));
    Ok(Wiring::Sequence(segments.into()))
}

fn block(spec: &ModelSpec, builder: &mut Builder, place: &Place) -> Result<Chain> {
    let Place { name, from, width, stride } = place;
    let names = |conv: &str, norm: &str| (format!("{name}.{conv}"), format!("{name}.{norm}"));
    let (conv, norm) = names("conv1", "bn1");
    let shape = ConvSpec::same(*from, *width, 3, *stride);
    let mut branch = conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?;
    branch.push(Box::new(builder.neurons(&format!("{name}.sn1"), spec.neuron)));
    let (conv, norm) = names("conv2", "bn2");
    let shape = ConvSpec::same(*width, *width, 3, 1);
    branch.extend(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?);
    let shortcut = if place.changes_shape(*width) {
        let (conv, norm) = names("downsample.0", "downsample.1");
        let shape = ConvSpec::same(*from, *width, 1, *stride);
        Some(Chain(conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?))
    } else {
        None
    };
    let sum = builder.sum(&format!("{name}.sum"));
    Ok(Chain(vec![
        Box::new(Residual { branch: Chain(branch), shortcut, sum }),
        Box::new(builder.neurons(&format!("{name}.sn2"), spec.neuron)),
    ]))
}
