//! What to build: every choice a model file leaves open.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::neuron::Neuron;
use crate::norm::NormOver;
use crate::region::Grid;

/// What to build: every choice a model file leaves open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelSpec {
    /// Image or frame shape `[C, H, W]`.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// T.
    pub steps: usize,
    /// Multiplies every channel count of the published model.
    pub width: f64,
    /// Blocks in every stage, where the family has stages that can be deepened.
    pub depth: Option<usize>,
    /// Sizes in place of the published ones.
    #[serde(default)]
    pub sizes: Sizes,
    /// The neuron of stateful sites.
    pub neuron: Neuron,
    /// Which axes a norm's statistics span.
    pub norm: NormOver,
    /// The grid of reversible streams; `None` is plain floating point.
    pub grid: Option<Grid>,
    /// Rate of dropout where the family has it; the same mask at every step.
    #[serde(default)]
    pub dropout: f64,
    /// Rate at which residual branches are dropped, where the family has it.
    #[serde(default)]
    pub drop_path: f64,
    /// Choices of networks with weights of their own at every step.
    #[serde(default)]
    pub levels: LevelChoices,
}

/// Sizes in place of the published ones, before the width factor. A family refuses a list of another length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sizes {
    /// Channels, stage by stage (plain networks: convolution by convolution).
    pub widths: Option<Vec<usize>>,
    /// Blocks, stage by stage.
    pub blocks: Option<Vec<usize>>,
    /// Plain networks: after how many convolutions a pool follows, ascending.
    pub pools: Option<Vec<usize>>,
    /// Side of the depthwise kernels.
    pub kernel: Option<usize>,
    /// Heads of an attention.
    pub heads: Option<usize>,
}

/// How the stage widths of a network with weights for each step depend on T.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepWidth {
    /// Every step has the published widths: parameters and work grow with T (the released code).
    #[default]
    PerStep,
    /// Chosen so that the sub-networks of all T steps together have the parameters and the work of the published
    /// T: inference does not grow with T (the paper's claim).
    Divided,
}

/// What each step's sub-network sees of the encoded image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// All channels of the stem (the released code).
    #[default]
    Full,
    /// Its own C0 / T channels, lifted to C0 by a 1x1 convolution of its own (the paper's text).
    Grouped,
}

/// Which deeper stages reach a stage at the next step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// None.
    None,
    /// The next deeper one, through its spikes, a 1x1 convolution and a norm (the released code).
    #[default]
    Next,
    /// All deeper ones, each through its own spikes, convolution and norm, scaled by `1 - 1/tau` (the paper's text).
    All,
}

/// The residual branch of a block: `x + gamma * F(x)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Residual {
    /// No gamma.
    Plain,
    /// A learned gamma a channel, from 1 (the released code).
    #[default]
    Learned,
    /// A learned gamma a channel, from 0 (the paper calls it ReZero-like).
    Rezero,
}

/// Choices of networks with weights of their own at every step; the default is what the released code of T-RevSNN
/// does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LevelChoices {
    /// How widths depend on T.
    pub width: StepWidth,
    /// What a step sees of the image.
    pub encoding: Encoding,
    /// What is fed back.
    pub fusion: Fusion,
    /// The residual branch.
    pub residual: Residual,
}

/// Most channels and blocks of a stage: far beyond any paper, and far below where a shape's product overflows.
const MOST_CHANNELS: usize = 1 << 20;
const MOST_BLOCKS: usize = 1024;

impl ModelSpec {
    /// Checks the ranges that hold for every family.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::setting("model.steps (T)", "at least 1", self.steps));
        }
        if self.classes < 2 {
            return Err(Error::setting("model.classes", "at least 2", self.classes));
        }
        if self.image.contains(&0) {
            return Err(Error::setting("model.image", "positive in every axis", format!("{:?}", self.image)));
        }
        if !(self.width > 0.0 && self.width.is_finite()) {
            return Err(Error::setting("model.width", "a positive number", self.width));
        }
        if self.depth == Some(0) {
            return Err(Error::setting("model.depth", "at least 1", 0));
        }
        let lists =
            [("widths", &self.sizes.widths, MOST_CHANNELS), ("blocks", &self.sizes.blocks, MOST_BLOCKS)];
        for (field, list, most) in lists {
            let Some(list) = list else { continue };
            if list.is_empty() || !list.iter().all(|size| (1..=most).contains(size)) {
                let rule = format!("a list of positive numbers of at most {most}");
                return Err(Error::setting(format!("model.sizes.{field}"), rule, format!("{list:?}")));
            }
        }
        match self.sizes.kernel {
            Some(kernel) if kernel % 2 == 0 => {
                return Err(Error::setting("model.sizes.kernel", "odd", kernel));
            }
            _ => {}
        }
        for (place, rate) in [("model.dropout", self.dropout), ("model.drop-path", self.drop_path)] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::setting(place, "in [0, 1)", rate));
            }
        }
        if let Some(grid) = self.grid {
            grid.check_range()?;
        }
        self.neuron.check()
    }

    /// A published channel count at this width, at least 1.
    #[must_use]
    pub fn channels(&self, published: usize) -> usize {
        ((published as f64 * self.width).round() as usize).max(1)
    }

    /// Channels of each stage at this width: the published ones, or `sizes.widths`.
    ///
    /// # Errors
    /// When the list has another length than the published one.
    pub fn widths<const N: usize>(&self, published: [usize; N]) -> Result<[usize; N]> {
        let own = replaced("widths", self.sizes.widths.as_deref(), published)?;
        Ok(own.map(|channels| self.channels(channels)))
    }

    /// Blocks of each stage: the published ones, `sizes.blocks`, or `depth` in every stage.
    ///
    /// # Errors
    /// When the list has another length than the published one.
    pub fn blocks<const N: usize>(&self, published: [usize; N]) -> Result<[usize; N]> {
        match self.depth {
            Some(depth) => Ok([depth; N]),
            None => replaced("blocks", self.sizes.blocks.as_deref(), published),
        }
    }
}

fn replaced<const N: usize>(field: &str, own: Option<&[usize]>, published: [usize; N]) -> Result<[usize; N]> {
    match own {
        None => Ok(published),
        Some(own) => <[usize; N]>::try_from(own).map_err(|_| {
            Error::setting(format!("model.sizes.{field}"), format!("{N} numbers"), format!("{own:?}"))
        }),
    }
}
