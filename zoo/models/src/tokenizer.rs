//! The convolutional tokenizer of Spikingformer and RevSFormer.
//!
//! conv3x3 - norm, then four times neuron (- maximum over 3x3 with stride 2) - conv3x3 - norm, with D/8, D/4, D/2, D and
//! D channels: images are halved in front of the last two convolutions, frames in front of all four. It ends with a
//! norm: the stream is real-valued.

use engine::Result;
use engine::layer::Builder;
use engine::model::{Block, ModelSpec, Segment};
use engine::ops::ConvSpec;
use engine::site::Role;

use crate::layers::plain;
use crate::residual::{STEM_MAXIMUM, conv_norm, repeated_conv_norm};

/// What is tokenized: the authors name and pool the two differently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokenizer {
    /// Images, `patch_embed.block0_conv`, ..
    Image,
    /// Event frames, `patch_embed.proj_conv`, `patch_embed.proj1_conv`, ..
    Events,
}

/// The tokenizer, each convolution a segment of its own.
pub(crate) fn tokenizer(
    spec: &ModelSpec,
    builder: &mut Builder,
    kind: Tokenizer,
    channels: usize,
) -> Result<Vec<Segment>> {
    let widths = [channels / 8, channels / 4, channels / 2, channels, channels];
    let mut from = spec.image[0];
    let mut segments = Vec::new();
    for (index, width) in widths.into_iter().enumerate() {
        let name = match (kind, index) {
            (Tokenizer::Image, _) => format!("patch_embed.block{index}"),
            (Tokenizer::Events, 0) => "patch_embed.proj".to_string(),
            (Tokenizer::Events, _) => format!("patch_embed.proj{index}"),
        };
        let pooled = match kind {
            Tokenizer::Image => index >= 3,
            Tokenizer::Events => index >= 1,
        };
        let mut blocks: Vec<Box<dyn Block>> = Vec::new();
        if index > 0 {
            blocks.push(Box::new(builder.neurons(&format!("{name}_lif"), spec.neuron)));
        }
        if pooled {
            blocks.push(Box::new(builder.pool_of_spikes(&format!("{name}_mp"), STEM_MAXIMUM)));
        }
        let shape = ConvSpec::same(from, width, 3, 1);
        let (conv, norm) = (format!("{name}_conv"), format!("{name}_bn"));
        blocks.extend(match index {
            0 => repeated_conv_norm(spec, builder, (&conv, &norm), shape)?,
            _ => conv_norm(spec, builder, (&conv, &norm), Role::Hidden, shape)?,
        });
        segments.push(plain(blocks));
        from = width;
    }
    Ok(segments)
}
