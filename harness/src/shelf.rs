//! The suites and recipes that ship with the program: one line a file.

use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::suggest::Unknown;
use crate::suite::Suite;
use crate::sweep::Sweeps;

/// A file that was built in.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name without the ending.
    pub id: &'static str,
    text: &'static str,
}

/// Every suite, in the order of `list`.
pub static SUITES: &[Shipped] = &[
    Shipped { id: "smoke", text: include_str!("../suites/smoke.toml") },
    Shipped { id: "fashion", text: include_str!("../suites/fashion.toml") },
    Shipped { id: "cifar", text: include_str!("../suites/cifar.toml") },
    Shipped { id: "neuromorphic", text: include_str!("../suites/neuromorphic.toml") },
    Shipped { id: "temporal", text: include_str!("../suites/temporal.toml") },
    Shipped { id: "scaling", text: include_str!("../suites/scaling.toml") },
    Shipped { id: "imagenet", text: include_str!("../suites/imagenet.toml") },
    Shipped { id: "gpu", text: include_str!("../suites/gpu.toml") },
    Shipped { id: "claims", text: include_str!("../suites/claims.toml") },
    Shipped { id: "paper-trevsnn", text: include_str!("../suites/paper-trevsnn.toml") },
    Shipped { id: "paper-trevsnn-training", text: include_str!("../suites/paper-trevsnn-training.toml") },
    Shipped { id: "paper-sltt", text: include_str!("../suites/paper-sltt.toml") },
    Shipped { id: "paper-sltt-training", text: include_str!("../suites/paper-sltt-training.toml") },
    Shipped { id: "paper-ottt", text: include_str!("../suites/paper-ottt.toml") },
    Shipped { id: "paper-ottt-training", text: include_str!("../suites/paper-ottt-training.toml") },
    Shipped { id: "paper-revsnn", text: include_str!("../suites/paper-revsnn.toml") },
    Shipped { id: "paper-revsnn-training", text: include_str!("../suites/paper-revsnn-training.toml") },
];

/// The kinds of suite.
#[derive(Clone, Debug, PartialEq)]
pub enum AnySuite {
    /// Networks are trained on data.
    Cases(Suite),
    /// Steps of networks are measured along T, blocks and batches.
    Sweeps(Sweeps),
}

impl AnySuite {
    fn parse(id: &str, document: Document) -> Result<Self> {
        if Sweeps::is(&document) {
            Sweeps::parse(id, document).map(Self::Sweeps)
        } else {
            Suite::parse(id, document).map(Self::Cases)
        }
    }
}

/// Every recipe, in the order of `list`.
pub static RECIPES: &[Shipped] = &[
    Shipped { id: "plain-lif", text: include_str!("../recipes/plain-lif.toml") },
    Shipped { id: "plain-lif-fast", text: include_str!("../recipes/plain-lif-fast.toml") },
    Shipped { id: "coupled-lif", text: include_str!("../recipes/coupled-lif.toml") },
    Shipped { id: "levels-quantised", text: include_str!("../recipes/levels-quantised.toml") },
    Shipped { id: "temporal-lif", text: include_str!("../recipes/temporal-lif.toml") },
    Shipped { id: "ottt-cifar10", text: include_str!("../recipes/ottt-cifar10.toml") },
    Shipped { id: "ottt-cifar100", text: include_str!("../recipes/ottt-cifar100.toml") },
    Shipped { id: "ottt-cifar10-dvs", text: include_str!("../recipes/ottt-cifar10-dvs.toml") },
    Shipped { id: "ottt-dvs-gesture", text: include_str!("../recipes/ottt-dvs-gesture.toml") },
    Shipped { id: "ottt-imagenet", text: include_str!("../recipes/ottt-imagenet.toml") },
    Shipped { id: "sltt-cifar10", text: include_str!("../recipes/sltt-cifar10.toml") },
    Shipped { id: "sltt-cifar100", text: include_str!("../recipes/sltt-cifar100.toml") },
    Shipped { id: "sltt-cifar10-dvs", text: include_str!("../recipes/sltt-cifar10-dvs.toml") },
    Shipped { id: "sltt-dvs-gesture", text: include_str!("../recipes/sltt-dvs-gesture.toml") },
    Shipped { id: "sltt-imagenet-stage1", text: include_str!("../recipes/sltt-imagenet-stage1.toml") },
    Shipped { id: "sltt-imagenet-stage2", text: include_str!("../recipes/sltt-imagenet-stage2.toml") },
    Shipped { id: "revsnn-cifar10", text: include_str!("../recipes/revsnn-cifar10.toml") },
    Shipped { id: "revsnn-cifar100", text: include_str!("../recipes/revsnn-cifar100.toml") },
    Shipped { id: "revsformer-cifar10", text: include_str!("../recipes/revsformer-cifar10.toml") },
    Shipped { id: "revsformer-cifar100", text: include_str!("../recipes/revsformer-cifar100.toml") },
    Shipped { id: "revsnn-cifar10-dvs", text: include_str!("../recipes/revsnn-cifar10-dvs.toml") },
    Shipped { id: "revsformer-cifar10-dvs", text: include_str!("../recipes/revsformer-cifar10-dvs.toml") },
    Shipped { id: "revsnn-dvs-gesture", text: include_str!("../recipes/revsnn-dvs-gesture.toml") },
    Shipped { id: "revsformer-dvs-gesture", text: include_str!("../recipes/revsformer-dvs-gesture.toml") },
    Shipped { id: "trevsnn-imagenet", text: include_str!("../recipes/trevsnn-imagenet.toml") },
    Shipped { id: "trevsnn-imagenet-paper", text: include_str!("../recipes/trevsnn-imagenet-paper.toml") },
    Shipped { id: "trevsnn-cifar10-dvs", text: include_str!("../recipes/trevsnn-cifar10-dvs.toml") },
    Shipped { id: "stbp-cifar10", text: include_str!("../recipes/stbp-cifar10.toml") },
    Shipped { id: "stbp-mnist", text: include_str!("../recipes/stbp-mnist.toml") },
    Shipped { id: "tdbn-cifar10", text: include_str!("../recipes/tdbn-cifar10.toml") },
    Shipped { id: "sdt-imagenet", text: include_str!("../recipes/sdt-imagenet.toml") },
    Shipped { id: "sew-imagenet", text: include_str!("../recipes/sew-imagenet.toml") },
    Shipped { id: "levels-exact", text: include_str!("../recipes/levels-exact.toml") },
];

/// A suite by its name, or by the path of its file.
///
/// # Errors
/// When there is none, or it can't be understood.
pub fn suite(name: &str) -> Result<AnySuite> {
    if let Some(path) = as_path(name, None) {
        let id = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        return AnySuite::parse(&id, read(&path)?);
    }
    AnySuite::parse(name, shipped("suite", SUITES, name)?)
}

/// A recipe by its name, or by the path of its file, which may be relative to `beside` (the suite that names it).
///
/// # Errors
/// When there is none, or it can't be understood.
pub fn recipe(name: &str, beside: Option<&str>) -> Result<Recipe> {
    match as_path(name, beside) {
        Some(path) => Recipe::parse(&read(&path)?),
        None => Recipe::parse(&shipped("recipe", RECIPES, name)?),
    }
}

fn shipped(kind: &str, shelf: &[Shipped], name: &str) -> Result<Document> {
    match shelf.iter().find(|file| file.id == name) {
        Some(file) => {
            Ok(Document { name: format!("{kind}s/{name}.toml (built in)"), text: file.text.to_owned() })
        }
        None => Err(Error::unknown(Unknown::new(kind, name, shelf.iter().map(|file| file.id)))),
    }
}

/// A name that ends in `.toml` is a path.
pub(crate) fn is_path(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

fn as_path(name: &str, beside: Option<&str>) -> Option<PathBuf> {
    let folder = beside.and_then(|file| Path::new(file).parent()).unwrap_or(Path::new(""));
    is_path(name).then(|| folder.join(name))
}

pub(crate) fn read(path: &Path) -> Result<Document> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Document { name: path.display().to_string(), text }),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::{AnySuite, RECIPES, SUITES, recipe, suite};

    #[test]
    fn all_that_ships_can_be_read_and_written_again() {
        for file in SUITES {
            match suite(file.id).unwrap_or_else(|error| panic!("{error}")) {
                AnySuite::Cases(suite) => {
                    for case in &suite.cases {
                        for method in &case.methods {
                            recipe(case.recipe_of(method), None).unwrap_or_else(|error| panic!("{error}"));
                        }
                    }
                }
                AnySuite::Sweeps(suite) => {
                    let named = suite.sweeps.iter().map(|sweep| &sweep.recipe);
                    for name in named.chain(suite.inference.iter().map(|sweep| &sweep.recipe)) {
                        recipe(name, None).unwrap_or_else(|error| panic!("{error}"));
                    }
                }
            }
        }
        for file in RECIPES {
            let read = recipe(file.id, None).unwrap_or_else(|error| panic!("{error}"));
            let again: crate::Recipe = toml::from_str(&read.to_toml().unwrap()).unwrap();
            assert_eq!(again, read, "{}", file.id);
        }
    }

    #[test]
    fn unknown_names_come_with_a_suggestion() {
        let complaint = suite("smoek").unwrap_err().to_string();
        assert!(
            complaint.starts_with("unknown suite 'smoek'; did you mean 'smoke'? Known: smoke, "),
            "{complaint}"
        );
    }
}
