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

/// A suite: cases that are trained on data, sweeps whose steps are measured, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct AnySuite {
    /// Networks that are trained on data; at least these or the sweeps are there.
    pub cases: Option<Suite>,
    /// Networks whose steps are measured along T, blocks and batches.
    pub sweeps: Option<Sweeps>,
}

impl AnySuite {
    fn parse(id: &str, document: Document) -> Result<Self> {
        let sweeps = match Sweeps::is(&document) {
            true => Some(Sweeps::parse(id, document.clone())?),
            false => None,
        };
        let cases = match sweeps.is_none() || Suite::is(&document) {
            true => Some(Suite::parse(id, document.clone(), sweeps.is_some())?),
            false => None,
        };
        let of_cases = cases.iter().flat_map(|suite| suite.cases.iter().map(|case| &case.id));
        for case in of_cases {
            if sweeps.as_ref().is_some_and(|suite| suite.has(case)) {
                let place = format!("{}: case id", document.name);
                return Err(Error::value(place, "one that no sweep has", case));
            }
        }
        Ok(Self { cases, sweeps })
    }

    /// The file's name without its ending.
    #[must_use]
    pub fn id(&self) -> &str {
        let cases = self.cases.as_ref().map(|suite| &suite.id);
        cases.or(self.sweeps.as_ref().map(|suite| &suite.id)).map_or("", String::as_str)
    }

    /// What it is, for a list.
    #[must_use]
    pub fn title(&self) -> &str {
        let cases = self.cases.as_ref().map(|suite| &suite.title);
        cases.or(self.sweeps.as_ref().map(|suite| &suite.title)).map_or("", String::as_str)
    }
}

/// Every recipe, in the order of `list`.
pub static RECIPES: &[Shipped] = &[
    Shipped { id: "plain-lif", text: include_str!("../recipes/plain-lif.toml") },
    Shipped { id: "plain-lif-fast", text: include_str!("../recipes/plain-lif-fast.toml") },
    Shipped { id: "coupled-lif", text: include_str!("../recipes/coupled-lif.toml") },
    Shipped { id: "levels-quantised", text: include_str!("../recipes/levels-quantised.toml") },
    Shipped { id: "levels-small-64", text: include_str!("../recipes/levels-small-64.toml") },
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
            let read = suite(file.id).unwrap_or_else(|error| panic!("{error}"));
            assert!(read.cases.is_some() || read.sweeps.is_some());
            let cases = read.cases.iter().flat_map(|suite| &suite.cases);
            let of_cases = cases.flat_map(|case| case.methods.iter().map(|method| case.recipe_of(method)));
            let sweeps = read.sweeps.iter().flat_map(|suite| &suite.sweeps).map(|sweep| &*sweep.recipe);
            let inference = read.sweeps.iter().flat_map(|suite| &suite.inference).map(|sweep| &*sweep.recipe);
            for name in of_cases.chain(sweeps).chain(inference) {
                recipe(name, None).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        for file in RECIPES {
            let read = recipe(file.id, None).unwrap_or_else(|error| panic!("{error}"));
            let again: crate::Recipe = toml::from_str(&read.to_toml().unwrap()).unwrap();
            assert_eq!(again, read, "{}", file.id);
        }
    }

    const CASE: &str = "[[case]]\nid = \"a\"\nrev = 1\ndataset = \"fashion-mnist-mini\"\nmodel = \"tiny-conv\"\n\
        recipe = \"plain-lif\"\nsteps = 2\nbudget = { epochs = 1, batch = 100 }\nmethods = [\"stbp\"]\nseeds = [1]\n";
    const SWEEP: &str = "[[sweep]]\nid = \"b\"\nrev = 1\nmodel = \"tiny-conv\"\nrecipe = \"plain-lif\"\n\
        image = [1, 28, 28]\nclasses = 10\nwidth = 1.0\nbatch = 2\nsteps = [2]\n";

    fn read(parts: &[&str]) -> Result<AnySuite, String> {
        let text = ["title = \"t\"\nanalysis = \"a\"\n", &parts.concat()].concat();
        let document = crate::document::Document { name: "own.toml".to_owned(), text };
        AnySuite::parse("own", document).map_err(|error| error.to_string())
    }

    #[test]
    fn one_file_may_hold_cases_and_sweeps() {
        let both = read(&["warm-up = 1\ntimed = 1\n", CASE, SWEEP]).unwrap();
        assert_eq!((both.id(), both.title()), ("own", "t"));
        assert_eq!(both.cases.unwrap().cases.len(), 1);
        assert_eq!(both.sweeps.unwrap().sweeps.len(), 1);
        assert!(read(&[CASE]).unwrap().sweeps.is_none());
        assert!(read(&["warm-up = 1\ntimed = 1\n", SWEEP]).unwrap().cases.is_none());
    }

    #[test]
    fn what_only_the_other_kind_reads_is_refused() {
        let complaint = read(&["timed = 1\n", CASE]).unwrap_err();
        assert!(complaint.contains("own.toml: timed") && complaint.contains("[[sweep]]"), "{complaint}");
        assert!(read(&[CASE, SWEEP]).unwrap_err().contains("warm-up"));
        let twice = SWEEP.replace("\"b\"", "\"a\"");
        let complaint = read(&["warm-up = 1\ntimed = 1\n", CASE, &twice]).unwrap_err();
        assert!(complaint.contains("case id must be one that no sweep has"), "{complaint}");
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
