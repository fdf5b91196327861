//! From a suite and a selection to a list of trials, with every mistake found before the first one runs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use datasets::{Card, Dataset, Loader, Named, Protocol, Split};
use engine::method::{Method, Unsupported};

use crate::configuration::Configuration;
use crate::device;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::select::Selection;
use crate::setup::Setup;
use crate::shelf;
use crate::suggest::Unknown;
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
        let dataset = open(&mut opened, case, selection)?;
        for draft in drafts {
            trials.push(draft.finish(case, &dataset, weights.as_ref())?);
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
    let entry = datasets::find(dataset).ok_or_else(|| {
        Error::unknown(Unknown::new("dataset", dataset, datasets::DATASETS.iter().map(|e| e.id)))
    })?;
    let budget = Budget {
        epochs: selection.epochs.unwrap_or(case.budget.epochs),
        batch: selection.batch.unwrap_or(case.budget.batch),
    };
    let data = limited(&recipe, entry.card, selection.limit);
    data.check(entry.card).map_err(|source| Error::Data { place: format!("case {}", case.id), source })?;
    let shape = image_shape(&data, entry.card, &format!("case {}, recipe {recipe_id}", case.id))?;
    let mut drafts = Vec::new();
    let own = [case.steps];
    for &requested in if selection.steps.is_empty() { own.as_slice() } else { &selection.steps } {
        let seeds = if selection.seeds.is_empty() { &case.seeds } else { &selection.seeds };
        for &seed in seeds {
            let mut configuration = Configuration {
                schema: results::SCHEMA,
                suite: suite.id.clone(),
                case: case.id.clone(),
                case_rev: case.rev,
                dataset: dataset.to_owned(),
                dataset_manifest: String::new(),
                model: case.model.clone(),
                network: recipe.model.spec(shape, entry.card.classes, requested),
                rebuilt_norms: recipe.model.rebuilt_norms,
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
                device: selection.device.id().to_owned(),
                memory_budget: selection.memory_budget,
            };
            configuration.network.steps = configuration.method()?.steps(requested);
            drafts.push(Draft { configuration, recipe: recipe_id.to_owned() });
        }
    }
    Ok(drafts)
}

/// The recipe's protocol with `--limit`: so many training samples, and as large a share of the test set.
fn limited(recipe: &Recipe, card: &Card, limit: Option<usize>) -> Protocol {
    let Some(train) = limit else { return recipe.data };
    let [all_train, all_test] = card.counts;
    let test = (all_test * train).div_ceil(all_train).min(all_test);
    Protocol { train_limit: Some(train), test_limit: Some(test), ..recipe.data }
}

/// Shape of the images `[C, H, W]` that a protocol makes of a set, where a trial can use them.
fn image_shape(data: &Protocol, card: &Card, place: &str) -> Result<[usize; 3]> {
    let place = || format!("{place}: data.protocol");
    if data.named.is_some_and(|Named(pipeline)| pipeline.mix.is_some()) {
        let rule = "one without mixup and cutmix: the losses here read one class a sample, not mixed targets";
        return Err(Error::value(place(), rule, data.id()));
    }
    let (shape, judged) = (data.shape(card, Split::Train), data.shape(card, Split::Test));
    if shape != judged {
        let rule = "one that trains and judges at one size: a network here is built for one";
        let found = format!("{} with {shape:?} and {judged:?}", data.id());
        return Err(Error::value(place(), rule, found));
    }
    Ok(shape)
}

fn open(
    opened: &mut BTreeMap<String, Arc<dyn Dataset>>,
    case: &Case,
    selection: &Selection,
) -> Result<Arc<dyn Dataset>> {
    let folder = selection.data.as_deref();
    let id = case.dataset_from(folder);
    if let Some(dataset) = opened.get(id) {
        return Ok(Arc::clone(dataset));
    }
    let place = || format!("case {}", case.id);
    let dataset = open_dataset(id, folder).map_err(|error| match error {
        Error::Data { source, .. } => Error::Data { place: place(), source },
        other => other,
    })?;
    opened.insert(id.to_owned(), Arc::clone(&dataset));
    Ok(dataset)
}

/// Opens a data set by its id.
pub(crate) fn open_dataset(id: &str, folder: Option<&std::path::Path>) -> Result<Arc<dyn Dataset>> {
    let entry = datasets::find(id).ok_or_else(|| {
        Error::unknown(Unknown::new("dataset", id, datasets::DATASETS.iter().map(|entry| entry.id)))
    })?;
    (entry.open)(folder).map_err(|source| Error::Data { place: format!("dataset {id}"), source })
}

/// The loaders of both splits. Batches of the training set are all full, so that every timed step is alike.
pub(crate) fn loaders(
    configuration: &Configuration,
    dataset: &Arc<dyn Dataset>,
) -> Result<(Loader, Loader), datasets::DataError> {
    let (batch, key) = (configuration.budget.batch, configuration.seed_for("data"));
    let loader = |split, batch, drop_last| {
        Loader::new(Arc::clone(dataset), split, configuration.data, batch, key, drop_last)
    };
    let train = loader(Split::Train, batch, true)?;
    let test = loader(Split::Test, 1, false)?.samples().min(batch);
    Ok((train, loader(Split::Test, test, false)?))
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
    fn finish(
        self,
        case: &Case,
        dataset: &Arc<dyn Dataset>,
        weights: Option<&WeightsFile>,
    ) -> Result<Planned> {
        let Self { mut configuration, recipe } = self;
        dataset.manifest().clone_into(&mut configuration.dataset_manifest);
        let (train, test) = loaders(&configuration, dataset)
            .map_err(|source| Error::Data { place: format!("case {}", case.id), source })?;
        configuration.weights = weights.map(|file| file.sha256.clone());
        let steps = configuration.network.steps;
        let (parameters, unsupported) = match configuration.network(Rc::new(device::planning()), steps) {
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
            unsupported,
            configuration,
        })
    }
}

#[cfg(test)]
mod tests {
    use datasets::Pipeline;

    use super::*;

    fn shape(pipeline: &str, set: &str) -> Result<[usize; 3]> {
        let data = Protocol::of(Pipeline::find(pipeline).unwrap());
        image_shape(&data, datasets::find(set).unwrap().card, "case a")
    }

    #[test]
    fn a_protocol_decides_the_shape_of_the_images() {
        assert_eq!(shape("imagenet/small-64", "imagenet").unwrap(), [3, 64, 64]);
        assert_eq!(shape("cifar10/ottt", "cifar10").unwrap(), [3, 32, 32]);
        let card = datasets::find("fashion-mnist-mini").unwrap().card;
        assert_eq!(image_shape(&Protocol::PLAIN, card, "case a").unwrap(), [1, 28, 28]);
    }

    #[test]
    fn protocols_that_no_trial_can_follow_are_refused() {
        let refused = |pipeline, set| shape(pipeline, set).unwrap_err().to_string();
        assert_eq!(
            refused("cifar10/sdt", "cifar10"),
            "case a: data.protocol must be one without mixup and cutmix: the losses here read one class a sample, not mixed \
             targets, got cifar10/sdt@1"
        );
        let wide = Pipeline { test_side: 96, ..*Pipeline::find("imagenet/small-64").unwrap() };
        let data = Protocol::of(Box::leak(Box::new(wide)));
        let refusal = image_shape(&data, datasets::find("imagenet").unwrap().card, "case a").unwrap_err();
        assert!(refusal.to_string().ends_with("with [3, 64, 64] and [3, 96, 96]"), "{refusal}");
    }
}
