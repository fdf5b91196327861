//! Which trials of a suite are asked for.

use std::path::PathBuf;

use crate::device::DeviceKind;
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::source;
use crate::suggest::Unknown;
use crate::suite::{Case, Suite};

/// What the command line changes about a suite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Only these methods; one that no selected case lists is added to all of them.
    pub methods: Vec<String>,
    /// Only cases of these models.
    pub models: Vec<String>,
    /// Only cases of these data sets.
    pub datasets: Vec<String>,
    /// Only trials whose key matches: a part of it, or a pattern with `*` and `?`.
    pub filter: Option<String>,
    /// T in place of the cases' own.
    pub steps: Vec<usize>,
    /// Epochs in place of the cases' own; 0 evaluates the weights file alone.
    pub epochs: Option<usize>,
    /// Batch size in place of the cases' own.
    pub batch: Option<usize>,
    /// In place of a batch size: up to so many samples, the largest power of two whose planned step fits into `fits`.
    pub batch_up_to: Option<usize>,
    /// Bytes that `batch_up_to` fits into; four fifths of the device's free memory where absent.
    pub fits: Option<usize>,
    /// Training samples; the test set is cut in the same proportion.
    pub limit: Option<usize>,
    /// Seeds in place of the cases' own.
    pub seeds: Vec<u64>,
    /// Bytes that a training step may hold in all.
    pub memory_budget: Option<usize>,
    /// Where it computes.
    pub device: DeviceKind,
    /// What it computes with.
    pub dtype: Precision,
    /// Whether points of a device that is missing are rows with the reason; else they are refused.
    pub rows_without_device: bool,
    /// Folder of data sets that do not ship.
    pub data: Option<PathBuf>,
    /// Weights file that every trial begins with.
    pub weights: Option<PathBuf>,
}

impl Selection {
    /// Refuses names that nothing goes by, and nothing to train with nothing to evaluate.
    ///
    /// # Errors
    /// With the nearest known name.
    pub fn check(&self) -> Result<()> {
        fn known(kind: &str, names: &[String], known: &[&str]) -> Result<()> {
            match names.iter().find(|name| !known.contains(&name.as_str())) {
                None => Ok(()),
                Some(name) => Err(Error::unknown(Unknown::new(kind, name, known.iter().copied()))),
            }
        }
        known("method", &self.methods, &registry::all().map(|entry| entry.id).collect::<Vec<_>>())?;
        known("model", &self.models, &models::all().map(|entry| entry.id).collect::<Vec<_>>())?;
        known("dataset", &self.datasets, &source::ids().collect::<Vec<_>>())?;
        if self.epochs == Some(0) && self.weights.is_none() {
            return Err(Error::value("--epochs", "at least 1 without --weights", 0));
        }
        if self.rows_without_device {
            return Ok(());
        }
        self.device.check()
    }

    /// What it asks of the trials of a suite that has sweeps too; `None` where they can't run, as their device is missing.
    #[must_use]
    pub fn of_trials(&self) -> Option<Self> {
        let runs = !self.rows_without_device || self.device.missing().is_none();
        runs.then(|| Self { batch_up_to: None, fits: None, rows_without_device: false, ..self.clone() })
    }

    /// What it asks of the sweeps of a suite that has trials too; `None` where it chooses data, which they have none of.
    #[must_use]
    pub fn of_points(&self) -> Option<Self> {
        self.datasets.is_empty().then(|| Self {
            epochs: None,
            limit: None,
            seeds: Vec::new(),
            memory_budget: None,
            data: None,
            weights: None,
            ..self.clone()
        })
    }

    /// The cases that are asked for.
    ///
    /// # Errors
    /// When there is none.
    pub fn cases<'s>(&self, suite: &'s Suite) -> Result<Vec<&'s Case>> {
        let wanted = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        let cases: Vec<&Case> = suite
            .cases
            .iter()
            .filter(|case| wanted(&self.models, &case.model) && wanted(&self.datasets, &case.dataset))
            .collect();
        if cases.is_empty() {
            let has = suite.cases.iter().map(|case| format!("{} on {}", case.model, case.dataset));
            return Err(Error::Nothing(format!(
                "suite {} has no case of the models and datasets asked for; it has {}",
                suite.id,
                has.collect::<Vec<_>>().join(", ")
            )));
        }
        Ok(cases)
    }

    /// The methods that a case is run with.
    ///
    /// A method that a case of the selection lists is run where it is listed. One that none lists is run on all of
    /// them: so a method can be tried on a model that no suite pairs it with, and answers with a row or a reason.
    #[must_use]
    pub fn methods<'c>(&'c self, case: &'c Case, cases: &[&Case]) -> Vec<&'c str> {
        if self.methods.is_empty() {
            return case.methods.iter().map(String::as_str).collect();
        }
        let listed_anywhere = |method: &String| cases.iter().any(|case| case.methods.contains(method));
        let wanted = self.methods.iter().filter(|m| case.methods.contains(m) || !listed_anywhere(m));
        wanted.map(String::as_str).collect()
    }

    /// Whether a trial's key is asked for.
    #[must_use]
    pub fn admits(&self, key: &str) -> bool {
        match &self.filter {
            None => true,
            Some(pattern) if pattern.contains(['*', '?']) => glob(pattern.as_bytes(), key.as_bytes()),
            Some(part) => key.contains(part.as_str()),
        }
    }
}

/// Whether the whole text matches: `*` is any run of bytes, `?` any one byte.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Where to take up again when the bytes after the last star did not fit: the star eats one byte more.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                None => return false,
                Some((after, eaten)) => {
                    star = Some((after, eaten + 1));
                    (p, t) = (after, eaten + 1);
                }
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Selection, glob};

    #[test]
    fn patterns_match_whole_keys_and_parts_match_anywhere() {
        assert!(glob(b"smoke/*/stbp/*", b"smoke/tiny-conv/stbp/t4/s1"));
        assert!(glob(b"*t?/s1", b"smoke/tiny-conv/stbp/t4/s1"));
        assert!(!glob(b"smoke/*/stbp", b"smoke/tiny-conv/stbp/t4/s1"));
        assert!(glob(b"**", b""));
        let part = Selection { filter: Some("tiny-rev/st".into()), ..Selection::default() };
        assert!(part.admits("smoke/tiny-rev/stbp/t4/s1"));
        assert!(!part.admits("smoke/tiny-conv/stbp/t4/s1"));
    }
}
