//! Parameters and running statistics by the names that the authors' code gives them.
//!
//! The zoo names every parameter as the published code does, so a state dictionary of that code is a weights file of
//! ours: `<parameter>`, `<norm>.running_mean`, `<norm>.running_var` and, ignored on the way in,
//! `<norm>.num_batches_tracked`. A
//! parameter that several places share may stand under any of its names.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;

use crate::error::{Error, Result};
use crate::journal::snapshot;
use crate::model::Network;
use crate::site::Role;
use crate::unroll::Statistics;

/// What does not fit between a weights file and a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfit {
    /// Names the network has and the file lacks.
    pub missing: Vec<String>,
    /// Names the file has and the network lacks.
    pub unexpected: Vec<String>,
    /// Names with another shape: the network's, the file's.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Misfit {
    fn is_none(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shapes.is_empty()
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("{} missing: {}", self.missing.len(), self.missing.join(", ")));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!(
                "{} not of this network: {}",
                self.unexpected.len(),
                self.unexpected.join(", ")
            ));
        }
        if !self.shapes.is_empty() {
            let shapes = self
                .shapes
                .iter()
                .map(|(name, ours, found)| format!("{name} must have shape {ours:?}, got {found:?}"));
            parts.push(shapes.collect::<Vec<_>>().join(", "));
        }
        f.write_str(&parts.join("; "))
    }
}

/// Names of a norm's running statistics.
const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";
const UPDATES: &str = "num_batches_tracked";

/// Refuses tensors that do not fit a network by name and shape, both ways; it may be planned.
///
/// # Errors
/// Lists every name that is missing, not of this network, or of another shape.
pub fn check(network: &Network, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let misfit = compare(network, tensors);
    if misfit.is_none() {
        return Ok(());
    }
    Err(Error::Weights { network: network.id.to_string(), misfit: Box::new(misfit) })
}

/// Puts every tensor in its place; all names must fit, both ways.
///
/// # Errors
/// Lists every name that is missing, not of this network, or of another shape.
pub fn load(
    network: &Network,
    statistics: &mut Statistics,
    tensors: &BTreeMap<String, Tensor>,
) -> Result<()> {
    check(network, tensors)?;
    let params = &network.params;
    for param in params.iter() {
        if let Some(tensor) = find(network, tensors, param.name()) {
            params.assign(param.name(), tensor)?;
        }
    }
    for site in network.sites.iter().filter(|site| site.role() == Role::Norm) {
        let part = |what: &str| tensors.get(&format!("{}.{what}", site.name()));
        if let (Some(mean), Some(variance)) = (part(MEAN), part(VARIANCE)) {
            statistics.assign(params.session(), site, mean, variance)?;
        }
    }
    Ok(())
}

/// Copies of all parameters and running statistics by the names under which [`load`] takes them. A norm that was never
/// met has the statistics it would start with.
///
/// # Errors
/// In a plan.
pub fn store(network: &Network, statistics: &Statistics) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors: BTreeMap<String, Tensor> = snapshot(&network.params, false)?.into_iter().collect();
    let session = network.params.session();
    let (dtype, device) = (session.real(), session.device());
    for (site, channels) in network.norms() {
        let met = statistics.iter().find(|(index, ..)| *index == site.index());
        let (mean, variance, updates) = match met {
            Some((_, mean, variance, updates)) => {
                (mean.tensor()?.copy()?, variance.tensor()?.copy()?, updates)
            }
            None => (Tensor::zeros(channels, dtype, device)?, Tensor::ones(channels, dtype, device)?, 0),
        };
        for (what, tensor) in
            [(MEAN, mean), (VARIANCE, variance), (UPDATES, Tensor::new(updates as i64, device)?)]
        {
            tensors.insert(format!("{}.{what}", site.name()), tensor);
        }
    }
    Ok(tensors)
}

fn find<'t>(network: &Network, tensors: &'t BTreeMap<String, Tensor>, name: &str) -> Option<&'t Tensor> {
    tensors.get(name).or_else(|| {
        let mut aliases = network.params.aliases().filter(|(_, own)| *own == name);
        aliases.find_map(|(alias, _)| tensors.get(alias))
    })
}

fn compare(network: &Network, tensors: &BTreeMap<String, Tensor>) -> Misfit {
    let mut misfit = Misfit::default();
    let mut known: BTreeSet<String> = network.params.aliases().map(|(alias, _)| alias.to_string()).collect();
    let mut check = |name: String, shape: &[usize], found: Option<&Tensor>| match found {
        None => misfit.missing.push(name),
        Some(found) if found.dims() != shape => {
            misfit.shapes.push((name, shape.to_vec(), found.dims().to_vec()));
        }
        Some(_) => {}
    };
    for param in network.params.iter() {
        known.insert(param.name().to_string());
        check(param.name().to_string(), param.shape(), find(network, tensors, param.name()));
    }
    for (site, channels) in network.norms() {
        for what in [MEAN, VARIANCE] {
            let name = format!("{}.{what}", site.name());
            check(name.clone(), &[channels], tensors.get(&name));
            known.insert(name);
        }
        known.insert(format!("{}.{UPDATES}", site.name()));
    }
    misfit.unexpected = tensors.keys().filter(|name| !known.contains(*name)).cloned().collect();
    misfit
}
