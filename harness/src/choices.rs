//! What a recipe says of its model.

use engine::model::{LevelChoices, ModelSpec, Sizes};
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::pass::{NormUpdates, Tiles};
use engine::region::Grid;
use serde::{Deserialize, Serialize};

/// What the zoo leaves open: a [`ModelSpec`] without what data set and T decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelChoices {
    /// Multiplies every channel count of the published model.
    pub width: f64,
    /// Blocks per stage, where the family has stages that can be deepened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Which axes a norm's statistics span.
    pub norm: NormOver,
    /// Whether a rebuilt forward moves the running statistics of norms once more, as the released codes of the
    /// reversible methods do.
    #[serde(default = "keep", skip_serializing_if = "is_keep")]
    pub rebuilt_norms: NormUpdates,
    /// Tiles of outputs that input gradients of 3x3 convolutions are computed by on a processor: `four` is faster, with
    /// larger rounding errors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gradient_tiles: Tiles,
    /// Rate of dropout, where the family has it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
    /// Rate at which residual branches are dropped, where the family has it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drop_path: f64,
    /// The neuron of stateful sites.
    pub neuron: Neuron,
    /// The grid of reversible streams; plain floating point where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
    /// Sizes in place of the published ones.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sizes: Sizes,
    /// Choices of networks with weights of their own at every step.
    #[serde(default, skip_serializing_if = "is_default")]
    pub levels: LevelChoices,
}

fn keep() -> NormUpdates {
    NormUpdates::Keep
}

fn is_keep(rule: &NormUpdates) -> bool {
    *rule == NormUpdates::Keep
}

fn is_zero(rate: &f64) -> bool {
    *rate == 0.0
}

pub(crate) fn is_default<T: Default + PartialEq>(choices: &T) -> bool {
    *choices == T::default()
}

/// Largest factor on a published model's channels, and the most blocks of a stage: beyond them, parameters are
/// counted in trillions.
const MOST: f64 = 1024.0;

impl ModelChoices {
    pub(crate) fn check(&self) -> engine::Result<()> {
        let rule = format!("above 0 and at most {MOST}");
        if !(self.width > 0.0 && self.width <= MOST) {
            return Err(engine::Error::setting("model.width", rule, self.width));
        }
        match self.depth {
            Some(depth) if depth == 0 || depth as f64 > MOST => {
                Err(engine::Error::setting("model.depth", rule, depth))
            }
            _ => self.neuron.check(),
        }
    }

    /// The whole specification for images `[C, H, W]` of so many classes at T = `steps`.
    #[must_use]
    pub fn spec(&self, image: [usize; 3], classes: usize, steps: usize) -> ModelSpec {
        ModelSpec {
            image,
            classes,
            steps,
            width: self.width,
            depth: self.depth,
            sizes: self.sizes.clone(),
            neuron: self.neuron,
            norm: self.norm,
            grid: self.grid,
            dropout: self.dropout,
            drop_path: self.drop_path,
            levels: self.levels,
        }
    }
}
