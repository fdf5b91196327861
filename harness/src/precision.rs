//! The number type of a run.

use candle_core::DType;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What activations are held in. Of halves, sums, weights and states are single precision all
/// the same (`engine::pass::Session::real`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single.
    #[default]
    F32,
    /// Double.
    F64,
    /// A half with the exponents of single precision and eight bits of fraction.
    Bf16,
    /// A half with eleven bits of fraction; the loss is scaled.
    F16,
}

impl Precision {
    /// Its id in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }

    /// Whether it is what every name means that tells none.
    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::F32
    }

    /// What stands behind a name in records, so that rows of two types never share one.
    pub(crate) fn behind(self, mark: char) -> String {
        if self.is_usual() { String::new() } else { format!("{mark}{}", self.id()) }
    }
}
