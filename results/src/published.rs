//! What papers report of training time, read from `results/published`.

use serde::Deserialize;

/// The files, one a paper.
const FILES: [&str; 2] = [include_str!("../published/sltt.toml"), include_str!("../published/trevsnn.toml")];

/// A paper's values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sheet {
    paper: String,
    time: Vec<Time>,
}

/// A ratio of two training times.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Time {
    pub(crate) id: String,
    /// What is divided.
    pub(crate) of: Side,
    /// What it is divided by.
    pub(crate) to: Side,
    pub(crate) ratio: f64,
    #[serde(default)]
    pub(crate) bound: Bound,
    /// T of the paper's networks.
    pub(crate) steps_t: u32,
    /// Where it stands.
    pub(crate) source: String,
    /// What is not the same there.
    pub(crate) differs: String,
}

/// One of the two that are compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Side {
    pub(crate) method: String,
    /// The network; where absent both sides are any network, and the same one.
    #[serde(default)]
    pub(crate) model: Option<String>,
}

/// What a paper says of its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    /// It is the number.
    #[default]
    Exact,
    /// It is smaller than the number.
    Below,
}

/// Every ratio with its paper, in the order of the files.
pub(crate) fn times() -> Vec<(String, Time)> {
    // A test reads every file, so that none is left out here.
    let sheets = FILES.iter().filter_map(|text| toml::from_str::<Sheet>(text).ok());
    sheets.flat_map(|sheet| sheet.time.into_iter().map(move |time| (sheet.paper.clone(), time))).collect()
}

#[cfg(test)]
mod tests {
    use super::{FILES, Sheet, times};
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_read_and_no_id_is_given_twice() {
        let mut count = 0;
        for text in FILES {
            count += toml::from_str::<Sheet>(text).unwrap().time.len();
        }
        let all = times();
        assert!(all.iter().all(|(_, time)| time.ratio > 0.0 && !time.source.is_empty()));
        assert_eq!(all.iter().map(|(_, time)| &time.id).collect::<BTreeSet<_>>().len(), count);
        assert!(toml::from_str::<Sheet>("paper = \"P\"\ntimes = []").is_err());
    }
}
