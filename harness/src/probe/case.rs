//! A golden case as it lies in its folder: `case.json`, and one file of tensors for each precision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::suite::MOST_STEPS;

/// What `case.json` says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Case {
    pub(super) case: String,
    /// Which rule trained it, in the words of whoever made the case.
    pub(super) method: String,
    /// Class of the authors' code; absent in a table of neurons.
    #[serde(default)]
    pub(super) model: Option<String>,
    /// Arguments that the class was built with.
    #[serde(default)]
    pub(super) constructor: BTreeMap<String, Value>,
    #[serde(rename = "T")]
    pub(super) steps: usize,
    #[serde(default)]
    pub(super) neuron: String,
    #[serde(default)]
    pub(super) surrogate: String,
    #[serde(default)]
    pub(super) loss: String,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    /// Steps that went backward, where not all did.
    #[serde(default, rename = "selected_steps_0based")]
    pub(super) selected: Option<Vec<usize>>,
    /// Tables of neurons, by the name of the variant.
    #[serde(default)]
    pub(super) variants: BTreeMap<String, super::neurons::Variant>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// Begins the key of the gradients that are zero but for rounding.
const NOISE: &str = "gradients_that_are_only_rounding_noise";
const ZERO: &str = "gradients_exactly_zero";

impl Case {
    /// Reads the `case.json` of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("case.json");
        let text =
            std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let case: Self = serde_json::from_str(&text).map_err(|error| Error::Document {
            place: path.display().to_string(),
            message: error.to_string(),
        })?;
        if !(1..=MOST_STEPS).contains(&case.steps) {
            let rule = format!("at least 1 and at most {MOST_STEPS}");
            return Err(Error::value(format!("{}: T", path.display()), rule, case.steps));
        }
        if case.model.is_none() && case.variants.is_empty() {
            let place = format!("{}: model", path.display());
            return Err(Error::value(place, "given where there are no variants of a neuron", "nothing"));
        }
        Ok(case)
    }

    /// Names of tensors that are zero, or rounding noise around it: they are compared absolutely.
    pub(super) fn noise(&self) -> Vec<&str> {
        let keys = self.rest.iter().filter(|(key, _)| key.starts_with(NOISE) || *key == ZERO);
        keys.filter_map(|(_, names)| names.as_array()).flatten().filter_map(Value::as_str).collect()
    }

    /// A whole number among the constructor's arguments.
    pub(super) fn number(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.constructor.get(*name)?.as_u64()).map(|n| n as usize)
    }

    /// A list of whole numbers among the constructor's arguments; one number counts as a list of one.
    pub(super) fn numbers(&self, names: &[&str]) -> Option<Vec<usize>> {
        names.iter().find_map(|name| match self.constructor.get(*name)? {
            Value::Array(list) => list.iter().map(|n| n.as_u64().map(|n| n as usize)).collect(),
            other => Some(vec![other.as_u64()? as usize]),
        })
    }
}

/// One file of tensors.
pub(super) struct Tensors {
    pub(super) path: PathBuf,
    pub(super) dtype: DType,
    all: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Reads one file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let refuse = |message: String| Error::Document { place: path.display().to_string(), message };
        let all: BTreeMap<_, _> = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|error| refuse(format!("not a whole safetensors file: {error}")))?
            .into_iter()
            .collect();
        let real = all.values().map(Tensor::dtype).find(|dtype| matches!(dtype, DType::F32 | DType::F64));
        let dtype = real.ok_or_else(|| refuse("holds no tensor of f32 or f64".to_owned()))?;
        Ok(Self { path: path.to_owned(), dtype, all })
    }

    /// A tensor that must be there.
    pub(super) fn get(&self, name: &str) -> Result<&Tensor> {
        self.all.get(name).ok_or_else(|| Error::Document {
            place: self.path.display().to_string(),
            message: format!("tensor {name} is missing; the file has {}", self.some_names()),
        })
    }

    /// Everything, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.all.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensors behind a prefix, by the rest of their names.
    pub(super) fn under(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let all = self.all.iter();
        all.filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone())))
            .collect()
    }

    fn some_names(&self) -> String {
        let names: Vec<&str> = self.all.keys().map(String::as_str).take(8).collect();
        format!("{} tensors: {}, ...", self.all.len(), names.join(", "))
    }
}

/// The tensor files of a folder, in the order of their names.
pub(super) fn tensor_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(folder).map_err(|source| Error::Read { path: folder.to_owned(), source })?;
    let mut paths: Vec<PathBuf> = list
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        let message = "no safetensors file beside case.json".to_owned();
        return Err(Error::Document { place: folder.display().to_string(), message });
    }
    Ok(paths)
}
