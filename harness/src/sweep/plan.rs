//! From a suite of sweeps and a selection to a list of points, with every mistake found before the first one runs.

use std::collections::BTreeSet;

use engine::method::RunSpec;
use engine::model::{LevelChoices, ModelSpec};

use super::point::{Inference, Point, Task, Training, entry};
use super::room::Room;
use super::suite::{InferenceSweep, Sweep, Sweeps};
use crate::device;
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::select::Selection;
use crate::shelf;

/// A point that is about to run, or to be ruled out.
#[derive(Clone, Debug)]
pub(crate) struct PlannedPoint {
    pub(crate) point: Point,
    /// Its key in records.
    pub(crate) key: String,
    /// Hash of the point.
    pub(crate) hash: String,
    /// Recipe id.
    pub(crate) recipe: String,
    /// Number of trainable scalars, or of those that a trained network reads; nothing where it can't be built.
    pub(crate) parameters: Option<usize>,
    /// Why it can't be measured, if it can't.
    pub(crate) unsupported: Option<String>,
    /// Why it can't be measured here, where the device is missing.
    pub(crate) missing: Option<String>,
}

/// To start a process and to build a network takes about as long as so many time steps.
const START: f64 = 8.0;

impl PlannedPoint {
    /// A rough measure of how long it takes, in time steps.
    pub(crate) fn work(&self) -> f64 {
        if self.unsupported.is_some() || self.missing.is_some() {
            return 0.0;
        }
        START + self.point.network.steps as f64
    }
}

/// The points of a suite that are asked for, in order.
///
/// # Errors
/// Names the value, the rule and the place.
pub(crate) fn plan(suite: &Sweeps, selection: &Selection) -> Result<Vec<PlannedPoint>> {
    selection.check()?;
    has_use(suite, selection)?;
    let room = Room::of(selection)?;
    let is_wanted = |model: &String| selection.models.is_empty() || selection.models.contains(model);
    let mut drafts = Vec::new();
    for sweep in suite.sweeps.iter().filter(|sweep| is_wanted(&sweep.model)) {
        drafts.extend(training(suite, sweep, selection, &room)?);
    }
    // Inference has no method of training: where methods are chosen, it is not.
    let inference = suite.inference.iter().filter(|_| selection.methods.is_empty());
    for sweep in inference.filter(|sweep| is_wanted(&sweep.model)) {
        drafts.extend(evaluation(suite, sweep, selection)?);
    }
    let missing = if selection.rows_without_device { selection.device.missing() } else { None };
    let mut seen = BTreeSet::new();
    let mut points = Vec::new();
    for (point, recipe) in drafts {
        let key = point.key();
        // A method without time has one point, however many T are asked for; where two lines meet is one point too.
        if selection.admits(&key) && seen.insert(key) {
            points.push(PlannedPoint { missing: missing.clone(), ..finish(point, recipe)? });
        }
    }
    if points.is_empty() {
        let example = suite.sweeps.first().map(|sweep| format!("{}/{}/METHOD/t4", suite.id, sweep.id));
        return Err(Error::Nothing(format!(
            "no point of suite {} is of what was asked for (--model, --method, --filter); keys look like {}",
            suite.id,
            example.unwrap_or_else(|| format!("{}/{}/divided/t4", suite.id, suite.inference[0].id))
        )));
    }
    Ok(points)
}

/// Refuses what means nothing to a point.
fn has_use(suite: &Sweeps, selection: &Selection) -> Result<()> {
    let given: [(&str, Option<String>); 6] = [
        ("--dataset", (!selection.datasets.is_empty()).then(|| selection.datasets.join(","))),
        ("--epochs", selection.epochs.map(|epochs| epochs.to_string())),
        ("--limit", selection.limit.map(|limit| limit.to_string())),
        ("--seeds", (!selection.seeds.is_empty()).then(|| format!("{:?}", selection.seeds))),
        ("--data", selection.data.as_ref().map(|path| path.display().to_string())),
        ("--weights", selection.weights.as_ref().map(|path| path.display().to_string())),
    ];
    if let Some(bytes) = selection.memory_budget {
        let rule = format!("left out with suite {}: its points show what a step holds without one", suite.id);
        return Err(Error::value("--memory-budget", rule, bytes));
    }
    match given.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
        None => Ok(()),
        Some((flag, value)) => Err(Error::value(flag, no_use(&suite.id), value)),
    }
}

/// The rule that a flag of training breaks with a suite of sweeps.
pub(crate) fn no_use(suite: &str) -> String {
    format!("left out with suite {suite}: its points take a few steps on noise, and nothing is learned")
}

fn training(
    suite: &Sweeps,
    sweep: &Sweep,
    selection: &Selection,
    room: &Room,
) -> Result<Vec<(Point, String)>> {
    let recipe = shelf::recipe(&sweep.recipe, Some(&suite.document.name))?;
    let all: Vec<String> = registry::all().map(|entry| entry.id.to_owned()).collect();
    let own = sweep.methods.as_ref().unwrap_or(&all);
    let methods = if selection.methods.is_empty() { own } else { &selection.methods };
    let mut points = Vec::new();
    for method in methods {
        let training = Training {
            method: method.clone(),
            settings: sweep.settings.get(method).cloned().unwrap_or_default(),
            rebuilt_norms: recipe.model.rebuilt_norms,
            gradient_tiles: recipe.model.gradient_tiles,
            optimizer: recipe.optimizer,
            clip: recipe.clip,
            average: recipe.average,
        };
        let built = training.method(&format!("{}/{}/{method}", suite.id, sweep.id))?;
        for Place { steps, depth, batch } in places(sweep, selection) {
            let network = ModelSpec {
                width: sweep.width,
                depth,
                ..recipe.model.spec(sweep.image, sweep.classes, built.steps(steps))
            };
            let task = Task::Train(training.clone());
            let name = (sweep.id.as_str(), sweep.rev, sweep.model.as_str());
            let own = selection.batch.unwrap_or(sweep.batch);
            let point = point(suite, name, network, &recipe, batch, selection, task);
            let point = Point { batch_in_key: batch != own, ..point };
            points.push((room.point(point, &training), sweep.recipe.clone()));
        }
    }
    Ok(points)
}

/// Where a point stands.
struct Place {
    steps: usize,
    depth: Option<usize>,
    batch: usize,
}

/// The line along T, then the line along blocks, then the line along batches, unless a batch is chosen.
fn places(sweep: &Sweep, selection: &Selection) -> Vec<Place> {
    let batch = selection.batch.unwrap_or(sweep.batch);
    let along =
        |own: &[usize]| if selection.steps.is_empty() { own.to_vec() } else { selection.steps.clone() };
    let depth = sweep.crossing.map(|crossing| crossing.blocks);
    let mut places: Vec<Place> =
        along(&sweep.steps).into_iter().map(|steps| Place { steps, depth, batch }).collect();
    if let Some((blocks, crossing)) = sweep.blocks.as_ref().zip(sweep.crossing) {
        for steps in along(&[crossing.steps]) {
            places.extend(blocks.iter().map(|&blocks| Place { steps, depth: Some(blocks), batch }));
        }
    }
    if let Some(batches) =
        sweep.batches.as_ref().filter(|_| selection.batch.or(selection.batch_up_to).is_none())
    {
        for steps in along(&[batches.steps]) {
            places.extend(batches.samples.iter().map(|&batch| Place { steps, depth, batch }));
        }
    }
    places
}

fn evaluation(suite: &Sweeps, sweep: &InferenceSweep, selection: &Selection) -> Result<Vec<(Point, String)>> {
    let recipe = shelf::recipe(&sweep.recipe, Some(&suite.document.name))?;
    let steps = if selection.steps.is_empty() { &sweep.steps } else { &selection.steps };
    let published_steps = (entry(&sweep.model)?.published)().steps;
    let mut points = Vec::new();
    for &width in &sweep.step_widths {
        for &steps in steps {
            let network = ModelSpec {
                width: sweep.width,
                levels: LevelChoices { width, ..recipe.model.levels },
                ..recipe.model.spec(sweep.image, sweep.classes, steps)
            };
            let batch = selection.batch.unwrap_or(sweep.batch);
            let name = (sweep.id.as_str(), sweep.rev, sweep.model.as_str());
            let task = Task::Infer(Inference { published_steps });
            let point = point(suite, name, network, &recipe, batch, selection, task);
            points.push((point, sweep.recipe.clone()));
        }
    }
    Ok(points)
}

fn point(
    suite: &Sweeps,
    (sweep, sweep_rev, model): (&str, u32, &str),
    network: ModelSpec,
    recipe: &Recipe,
    batch: usize,
    selection: &Selection,
    task: Task,
) -> Point {
    Point {
        schema: results::SCHEMA,
        suite: suite.id.clone(),
        sweep: sweep.to_owned(),
        sweep_rev,
        model: model.to_owned(),
        network,
        loss: recipe.loss,
        batch,
        batch_in_key: false,
        warm_up: suite.warm_up,
        timed: suite.timed,
        device: selection.device.id().to_owned(),
        dtype: selection.dtype,
        task,
    }
}

fn finish(point: Point, recipe: String) -> Result<PlannedPoint> {
    let (parameters, unsupported) = match point.network(device::planning(point.dtype)) {
        Ok(network) => match &point.task {
            Task::Train(training) => {
                let method = training.method(&point.key())?;
                let run = RunSpec::new(point.network.steps, point.loss, point.key_for("run"));
                let reason = method.supports(&network, &run).err().map(|reason| reason.to_string());
                (Some(network.params.count()), reason)
            }
            Task::Infer(_) => (Some(network.params.count_in_use()), None),
        },
        Err(Error::Setting { source: engine::Error::Unsupported(reason), .. }) => {
            (None, Some(reason.to_string()))
        }
        Err(error) => return Err(error),
    };
    let (key, hash) = (point.key(), point.hash()?);
    Ok(PlannedPoint { point, key, hash, recipe, parameters, unsupported, missing: None })
}
