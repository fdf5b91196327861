//! How a picture becomes the feature that the shallowest level of a step starts from.

use engine::layer::{Builder, Chain, Conv};
use engine::model::{Block, Encoding, ModelSpec};
use engine::ops::{self, ConvSpec};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};

use super::block::STANDARDISATION;

/// The stem of still images: 7x7 with stride 2, then 3x3 with stride 2. Between the two the released code has a leaky
/// rectifier whose slope on negatives is annealed from 0 to 1, but the annealed slope never reaches the layers: it is
/// 1 throughout, the identity, and so it is here. The same holds between the two layers of the last head.
pub(super) fn of_images(builder: &mut Builder, image: [usize; 3], channels: usize) -> Result<Chain> {
    let first = ConvSpec::same(image[0], channels, 7, 2);
    let second = ConvSpec::same(channels, channels, 3, 2);
    Ok(Chain(vec![
        Box::new(builder.standardised_conv("stem.down1.0", Role::Encoder, first, STANDARDISATION)?),
        Box::new(builder.standardised_conv("stem.down2.0", Role::Hidden, second, STANDARDISATION)?),
    ]))
}

/// What a step does with the network's feature before its shallowest level.
pub(super) enum Entry {
    /// Takes it as it is (the released code, on images).
    Whole,
    /// Takes its own channels and lifts them to all (the paper's text).
    Group { first: usize, count: usize, lift: Conv },
    /// Encodes the frame itself: with frames the network has no common stem, and each step a 3x3 convolution.
    Frame(Conv),
}

impl Entry {
    /// A step's share of an image's feature.
    ///
    /// The text does not say how its `C0 / T` channels become `C0`: here by a 1x1 convolution, weight-standardised as
    /// every convolution of the released code that no norm follows.
    pub(super) fn of_images(
        builder: &mut Builder,
        spec: &ModelSpec,
        channels: usize,
        step: usize,
    ) -> Result<Self> {
        if spec.levels.encoding == Encoding::Full {
            return Ok(Self::Whole);
        }
        // A standardised weight of one input alone is zero.
        if !channels.is_multiple_of(spec.steps) || channels < 2 * spec.steps {
            let rule = format!("full, or T = {} groups of 2 or more of {channels} channels", spec.steps);
            return Err(Error::setting("model.levels.encoding", rule, "grouped"));
        }
        let count = channels / spec.steps;
        let lift = ConvSpec::same(count, channels, 1, 1);
        let name = format!("subnet{step}.encode");
        let lift = builder.standardised_conv(&name, Role::Encoder, lift, STANDARDISATION)?;
        Ok(Self::Group { first: step * count, count, lift })
    }

    /// A step's own stem.
    pub(super) fn of_frames(
        builder: &mut Builder,
        spec: &ModelSpec,
        channels: usize,
        step: usize,
    ) -> Result<Self> {
        if spec.levels.encoding == Encoding::Grouped {
            let rule = "full where each step has a frame and a stem of its own";
            return Err(Error::setting("model.levels.encoding", rule, "grouped"));
        }
        let conv = ConvSpec::same(spec.image[0], channels, 3, 1);
        let name = format!("stem.{step}.down.0");
        Ok(Self::Frame(builder.standardised_conv(&name, Role::Encoder, conv, STANDARDISATION)?))
    }

    pub(super) fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, feature: &Value) -> Result<Value> {
        match self {
            Self::Whole => Ok(feature.clone()),
            Self::Group { first, count, lift } => {
                let own = ops::channels(pass, lift.site.name(), feature, *first..first + count)?;
                lift.forward(pass, port, &own)
            }
            Self::Frame(conv) => conv.forward(pass, port, feature),
        }
    }
}
