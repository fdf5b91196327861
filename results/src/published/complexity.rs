//! What a paper claims of growth: a class, and what it means along T and along depth.

use super::figure::Tag;
use serde::Deserialize;

/// A claimed class of memory of a training step, or of the operations of one image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Complexity {
    /// The method whose training step it is of; a claim of inference has none.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// The networks whose inference it is of.
    #[serde(default)]
    pub(crate) models: Vec<String>,
    /// As it is written, with L for layers.
    pub(crate) class: String,
    /// Against the number of time steps.
    pub(crate) along_t: Growth,
    /// Against the blocks of a stage; nothing where the claim says nothing of depth.
    #[serde(default)]
    pub(crate) along_blocks: Option<Growth>,
    pub(crate) tag: Tag,
    /// Where it stands.
    pub(crate) source: String,
}

/// How a number grows along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Growth {
    /// It does not.
    Flat,
    /// By as much at every step.
    Linear,
}

impl Complexity {
    /// What a table calls it; no two claims of a file share it.
    pub(crate) fn subject(&self) -> String {
        self.method.clone().unwrap_or_else(|| format!("inference of {}", self.models.join(", ")))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.method.is_some() != self.models.is_empty() {
            return Err("a claim must be of a `method`, or of the inference of `models`".to_owned());
        }
        if self.source.trim().is_empty() {
            return Err("`source` must say where it stands".to_owned());
        }
        Ok(())
    }
}
