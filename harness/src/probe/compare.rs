//! Ours against theirs, tensor by tensor.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};

use super::case::{Case, Tensors};
use super::replay::Replayed;

/// How far a tensor may be off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    /// `max|a - b| / max|b|`.
    pub(super) relative: f64,
    /// `max|a - b|`, for tensors that are zero or rounding noise.
    pub(super) absolute: f64,
}

impl Tolerance {
    /// What a precision allows: golden networks keep every membrane 1e-4 away from its threshold.
    pub(super) fn of(dtype: DType, neurons_alone: bool) -> Self {
        match dtype {
            DType::F64 if neurons_alone => Self { relative: 1e-12, absolute: 1e-12 },
            DType::F64 => Self { relative: 1e-9, absolute: 1e-12 },
            _ => Self { relative: 1e-4, absolute: 1e-6 },
        }
    }
}

/// One tensor, compared.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) name: String,
    /// Relative, or absolute where the tensor is zero or noise; infinite where shapes differ or ours has a NaN.
    pub(super) error: f64,
    pub(super) bound: f64,
    /// Why there is no number.
    pub(super) problem: Option<String>,
}

impl Compared {
    pub(super) fn passes(&self) -> bool {
        self.problem.is_none() && self.error <= self.bound
    }
}

/// Everything a file holds beside its inputs.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// By group, in the order of names.
    pub(super) groups: BTreeMap<String, Vec<Compared>>,
    /// Tensors nobody knows what to compare with.
    pub(super) unknown: Vec<String>,
}

impl Comparison {
    pub(super) fn passes(&self) -> bool {
        !self.groups.is_empty() && self.groups.values().flatten().all(Compared::passes)
    }
}

/// What a step starts from: nothing to compare.
const INPUTS: [&str; 4] = ["param", "buffer", "x", "y"];
const TABLE_INPUTS: [&str; 3] = ["x", "gs", "gy"];

/// Compares a file with what was replayed.
pub(super) fn compare(case: &Case, file: &Tensors, ours: &Replayed) -> candle_core::Result<Comparison> {
    let tables = !case.variants.is_empty();
    let tolerance = Tolerance::of(file.dtype, tables);
    let noise: BTreeSet<&str> = case.noise().into_iter().collect();
    let before = file.under("buffer/");
    let mut comparison = Comparison::default();
    for (name, theirs) in file.iter() {
        let first = name.split('/').next().unwrap_or(name);
        let last = name.rsplit('/').next().unwrap_or(name);
        let is_input = if tables { TABLE_INPUTS.contains(&last) } else { INPUTS.contains(&first) };
        if is_input {
            continue;
        }
        let group = if tables { last } else { first };
        let Some(found) = ours.get(name) else {
            // A site that never fired, or a name nobody knows.
            if ours.keys().any(|known| known.starts_with(&format!("{first}/"))) || ours.contains_key(first) {
                let problem = Some("nothing of this name here".to_owned());
                let compared = Compared {
                    name: name.to_owned(),
                    error: f64::INFINITY,
                    bound: tolerance.relative,
                    problem,
                };
                comparison.groups.entry(group.to_owned()).or_default().push(compared);
            } else {
                comparison.unknown.push(name.to_owned());
            }
            continue;
        };
        let found = matched(name, found, theirs, &before)?;
        let compared = one(name, &found, theirs, tolerance, noise.contains(name))?;
        comparison.groups.entry(group.to_owned()).or_default().push(compared);
    }
    Ok(comparison)
}

/// Ours in the form of theirs: scores without time are the mean over it, and counters start where theirs did.
fn matched(
    name: &str,
    ours: &Tensor,
    theirs: &Tensor,
    before: &BTreeMap<String, Tensor>,
) -> candle_core::Result<Tensor> {
    let is_scores = matches!(name, "logits" | "eval_logits" | "eval_logits_after");
    if is_scores && theirs.rank() + 1 == ours.rank() {
        return ours.mean(0);
    }
    match name.strip_prefix("buffer_after/").filter(|name| name.ends_with("num_batches_tracked")) {
        Some(counter) => match before.get(counter) {
            Some(start) => ours + start.to_dtype(ours.dtype())?,
            None => Ok(ours.clone()),
        },
        None => Ok(ours.clone()),
    }
}

fn one(
    name: &str,
    ours: &Tensor,
    theirs: &Tensor,
    tolerance: Tolerance,
    is_noise: bool,
) -> candle_core::Result<Compared> {
    let list = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (list(ours)?, list(theirs)?);
    let name = name.to_owned();
    if a.len() != b.len() {
        let problem = Some(format!("shape {:?}, theirs has {:?}", ours.dims(), theirs.dims()));
        return Ok(Compared { name, error: f64::INFINITY, bound: tolerance.relative, problem });
    }
    // Written so that a NaN of ours is the largest difference there is.
    let off = a.iter().zip(&b).fold(0.0_f64, |most, (x, y)| {
        let off = (x - y).abs();
        if off <= most {
            most
        } else if off.is_nan() {
            f64::INFINITY
        } else {
            off
        }
    });
    let scale = b.iter().fold(0.0_f64, |most, y| most.max(y.abs()));
    let exact = matches!(theirs.dtype(), DType::U8 | DType::I64 | DType::U32);
    let (error, bound) = match (is_noise || scale == 0.0, exact) {
        (_, true) => (off, 0.0),
        (true, false) => (off, tolerance.absolute),
        (false, false) => (off / scale, tolerance.relative),
    };
    Ok(Compared { name, error, bound, problem: None })
}
