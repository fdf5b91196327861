//! From a suite and a selection to a list of trials, with every mistake found before the first one runs.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::rc::Rc;

use datasets::{Protocol, Split};
use engine::method::{Method, Unsupported};

use crate::configuration::Configuration;
use crate::device;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::select::Selection;
use crate::setup::Setup;
use crate::shelf;
use crate::source::{Entry, Feed, Source};
use crate::suite::{Budget, Case, Suite};
use crate::weights::WeightsFile;

/// A trial that is about to run, or to be ruled out.
#[derive(Clone, Debug)]
pub struct Planned {
    /// All that decides its numbers.
    pub configuration: Configuration,
    /// Its key in records.
    pub key: String,
    /// Hash of the configuration.
    pub hash: String,
    /// Recipe id.
    pub recipe: String,
    /// Whether its case's other methods are compared with it.
    pub baseline: bool,
    /// Number of trainable scalars.
    pub parameters: usize,
    /// Samples in an epoch.
    pub train_samples: usize,
    /// Samples in an evaluation.
    pub test_samples: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Whether its data set stands for another: then no accuracy of it compares with a published one.
    pub stand_in: bool,
    /// Why the method can't train this model, if it can't.
    pub unsupported: Option<String>,
}

impl Planned {
    /// A rough measure of how long it takes: samples times epochs times steps.
    #[must_use]
    pub fn work(&self) -> f64 {
        if self.unsupported.is_some() {
            return 0.0;
        }
        (self.train_samples * self.configuration.budget.epochs * self.configuration.network.steps) as f64
    }
}

/// The trials of a suite that are asked for, in order.
///
/// Opens every data set and the weights file once: what is unreadable or does not fit is told before anything runs.
///
/// # Errors
/// Names the value, the rule and the place.
pub fn plan(suite: &Suite, selection: &Selection) -> Result<Vec<Planned>> {
    selection.check()?;
    let cases = selection.cases(suite)?;
    let weights = selection.weights.as_deref().map(WeightsFile::read).transpose()?;
    let mut opened = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut trials = Vec::new();
    for case in &cases {
        let mut drafts = Vec::new();
        for method in selection.methods(case, &cases) {
            drafts.extend(drafts_of(suite, case, method, selection)?);
        }
        // A method without time has one trial, however many T are asked for.
        drafts.retain(|draft| {
            let key = draft.configuration.key();
            selection.admits(&key) && seen.insert(key)
        });
        if drafts.is_empty() {
            continue;
        }
        for draft in drafts {
            let set = open(&mut opened, case, &draft, selection)?;
            trials.push(draft.finish(case, set, weights.as_ref())?);
        }
    }
    if trials.is_empty() {
        let filter = selection.filter.as_deref().unwrap_or_default();
        return Err(Error::Nothing(format!(
            "no trial of suite {} matches '{filter}' (--filter); keys look like {}/{}/{}/t{}/s1",
            suite.id, suite.id, suite.cases[0].id, suite.cases[0].methods[0], suite.cases[0].steps
        )));
    }
    Ok(trials)
}

/// A trial before its data set is open.
struct Draft {
    configuration: Configuration,
    recipe: String,
}

fn drafts_of(suite: &Suite, case: &Case, method: &str, selection: &Selection) -> Result<Vec<Draft>> {
    let recipe_id = case.recipe_of(method);
    let recipe = shelf::recipe(recipe_id, Some(&suite.document.name))?;
    let dataset = case.dataset_from(selection.data.as_deref());
    let entry = Entry::find(dataset)?;
    let budget = Budget {
        epochs: selection.epochs.unwrap_or(case.budget.epochs),
        batch: selection.batch.unwrap_or(case.budget.batch),
    };
    let data = limited(&recipe, case, entry, selection.limit);
    let shape = entry.shape(&data, &format!("case {}, recipe {recipe_id}", case.id))?;
    let mut drafts = Vec::new();
    let own = [case.steps];
    for &requested in if selection.steps.is_empty() { own.as_slice() } else { &selection.steps } {
        let seeds = if selection.seeds.is_empty() { &case.seeds } else { &selection.seeds };
        for &seed in seeds {
            let mut configuration = Configuration {
                schema: results::SCHEMA,
                suite: suite.id.clone(),
                // Tables and charts put trials of one case side by side.
                case: format!("{}{}", case.id, selection.dtype.behind('-')),
                case_rev: case.rev,
                dataset: dataset.to_owned(),
                dataset_manifest: String::new(),
                protocol: String::new(),
                protocol_hash: String::new(),
                model: case.model.clone(),
                network: recipe.model.spec(shape, entry.classes(), requested),
                rebuilt_norms: recipe.model.rebuilt_norms,
                gradient_tiles: recipe.model.gradient_tiles,
                method: method.to_owned(),
                settings: case.settings.get(method).cloned().unwrap_or_default(),
                loss: recipe.loss,
                optimizer: recipe.optimizer,
                clip: recipe.clip,
                average: recipe.average,
                weights: None,
                schedule: recipe.schedule.clone(),
                data,
                budget,
                seed,
                memory_probe: case.memory_probe.clone(),
                gradient_weights: case.gradient_weights,
                device: selection.device.id().to_owned(),
                dtype: selection.dtype,
                memory_budget: selection.memory_budget,
            };
            configuration.network.steps = configuration.method()?.steps(requested);
            entry.check_steps(configuration.network.steps, &format!("case {}", case.id))?;
            let method = configuration.method()?;
            for &probed in &case.memory_probe {
                entry.check_steps(method.steps(probed), &format!("case {}: memory-probe", case.id))?;
            }
            drafts.push(Draft { configuration, recipe: recipe_id.to_owned() });
        }
    }
    Ok(drafts)
}

/// The recipe's protocol with the case's samples, or with `--limit`: so many training samples, and as large a share of the
/// test set.
fn limited(recipe: &Recipe, case: &Case, entry: Entry, limit: Option<usize>) -> Protocol {
    let (train, test) = match (limit, case.samples) {
        (Some(train), _) => {
            let [all_train, all_test] = entry.counts();
            (train, (all_test * train).div_ceil(all_train).min(all_test))
        }
        (None, Some([train, test])) => (train, test),
        (None, None) => return recipe.data,
    };
    Protocol { train_limit: Some(train), test_limit: Some(test), ..recipe.data }
}

/// An open set, with what a record says of it.
struct Opened {
    source: Source,
    manifest: String,
}

/// The set of a draft, opened once for all drafts that see the same of it.
fn open<'o>(
    opened: &'o mut BTreeMap<(String, Option<usize>, String), Opened>,
    case: &Case,
    draft: &Draft,
    selection: &Selection,
) -> Result<&'o Opened> {
    let configuration = &draft.configuration;
    let steps = configuration.network.steps;
    let entry = Entry::find(&configuration.dataset)?;
    // Images are the same at every T and under every recipe; frames are made for one.
    let key = match entry {
        Entry::Images(_) => (configuration.dataset.clone(), None, String::new()),
        Entry::Frames(_) => (configuration.dataset.clone(), Some(steps), configuration.data.id()),
    };
    match opened.entry(key) {
        btree_map::Entry::Occupied(found) => Ok(found.into_mut()),
        btree_map::Entry::Vacant(vacant) => {
            let fault = |source| Error::Data { place: format!("case {}", case.id), source };
            let source = entry.open(&configuration.data, selection.data.as_deref(), steps).map_err(fault)?;
            let manifest = source.manifest().map_err(fault)?;
            Ok(vacant.insert(Opened { source, manifest }))
        }
    }
}

/// The feeds of both splits. Batches of the training set are all full, so that every timed step is alike.
pub(crate) fn feeds(
    configuration: &Configuration,
    source: &Source,
) -> std::result::Result<(Feed, Feed), datasets::DataError> {
    let (batch, key) = (configuration.budget.batch, configuration.seed_for("data"));
    let feed = |split, batch, drop_last| source.feed(split, configuration.data, batch, key, drop_last);
    let train = feed(Split::Train, batch, true)?;
    let test = feed(Split::Test, 1, false)?.samples().min(batch);
    Ok((train, feed(Split::Test, test, false)?))
}

/// Why a trial's step does not fit into its memory budget, if it doesn't.
fn beyond_budget(configuration: &Configuration, method: &dyn Method) -> Result<Option<Unsupported>> {
    let setup = Setup::of(configuration)?;
    match setup.forecast(method, configuration.network.steps, configuration.budget.batch) {
        Ok(_) => Ok(None),
        Err(engine::Error::Unsupported(reason)) => Ok(Some(reason)),
        Err(source) => Err(Error::Setting { place: configuration.key(), source }),
    }
}

impl Draft {
    fn finish(self, case: &Case, set: &Opened, weights: Option<&WeightsFile>) -> Result<Planned> {
        let Self { mut configuration, recipe } = self;
        set.manifest.clone_into(&mut configuration.dataset_manifest);
        [configuration.protocol, configuration.protocol_hash] = set.source.protocol(&configuration.data);
        let (train, test) = feeds(&configuration, &set.source)
            .map_err(|source| Error::Data { place: format!("case {}", case.id), source })?;
        configuration.weights = weights.map(|file| file.sha256.clone());
        let steps = configuration.network.steps;
        let (parameters, unsupported) =
            match configuration.network(Rc::new(device::planning(configuration.dtype)), steps) {
                Ok(network) => {
                    let method = configuration.method()?;
                    let reason = method.supports(&network, &configuration.run_spec(steps)).err();
                    let reason = match (reason, configuration.memory_budget) {
                        (None, Some(_)) => beyond_budget(&configuration, &*method)?,
                        (reason, _) => reason,
                    };
                    if let (Some(file), None) = (weights, &reason) {
                        file.check(&network)?;
                    }
                    (network.params.count(), reason.map(|reason| reason.to_string()))
                }
                Err(Error::Setting { source: engine::Error::Unsupported(reason), .. }) => {
                    (0, Some(reason.to_string()))
                }
                Err(error) => return Err(error),
            };
        Ok(Planned {
            key: configuration.key(),
            hash: configuration.hash()?,
            baseline: case.baseline.as_ref() == Some(&configuration.method),
            recipe,
            parameters,
            train_samples: train.batches() * configuration.budget.batch,
            test_samples: test.samples(),
            batches: train.batches(),
            stand_in: Entry::find(&configuration.dataset)?.is_stand_in(),
            unsupported,
            configuration,
        })
    }
}
