//! What the trials or points share, and where they differ.

use crate::read::Records;
use crate::record::{InferenceRow, ScalingRow, Trial};

/// A setting's name and how a row tells its value; empty where it has none.
type Setting<R> = (&'static str, fn(&R) -> String);

/// Names of settings, each with its values in the order of the records.
pub(super) fn settings(records: &Records) -> Vec<(&'static str, String)> {
    let trials: [Setting<Trial>; 14] = [
        ("datasets", |trial| trial.dataset.clone()),
        ("dataset manifests", |trial| trial.dataset_manifest.clone()),
        ("protocols", |trial| trial.protocol.clone()),
        ("training samples", |trial| trial.train_samples.to_string()),
        ("test samples", |trial| trial.test_samples.to_string()),
        ("time steps T", |trial| trial.steps_t.to_string()),
        ("epochs", |trial| trial.epochs.to_string()),
        ("batch size", |trial| trial.batch.to_string()),
        ("seeds", |trial| trial.seed.to_string()),
        ("recipes", |trial| trial.recipe.clone()),
        ("weights files", |trial| trial.weights.clone()),
        ("device", |trial| trial.device.clone()),
        ("threads", |trial| trial.threads.to_string()),
        ("source revisions", |trial| trial.git_rev.clone()),
    ];
    let points: [Setting<ScalingRow>; 11] = [
        ("training sweeps", |row| format!("{} ({} at width {})", row.sweep, row.model, row.width)),
        ("images", |row| row.image.clone()),
        ("time steps T", |row| row.steps_t.to_string()),
        ("blocks a stage", |row| row.blocks.map(|blocks| blocks.to_string()).unwrap_or_default()),
        ("batch size", |row| row.batch.to_string()),
        ("numbers", |row| row.dtype.clone()),
        ("timed steps", |row| row.timed_steps.map(|steps| steps.to_string()).unwrap_or_default()),
        ("recipes", |row| row.recipe.clone()),
        ("device", |row| row.device.clone()),
        ("threads", |row| row.threads.to_string()),
        ("source revisions", |row| row.git_rev.clone()),
    ];
    let inference: [Setting<InferenceRow>; 4] = [
        ("inference sweeps", |row| format!("{} ({} at width {})", row.sweep, row.model, row.width)),
        ("inference images", |row| row.image.clone()),
        ("inference batch", |row| row.batch.to_string()),
        ("inference T", |row| row.steps_t.to_string()),
    ];
    let mut pairs = of(&trials, &records.trials);
    pairs.extend(of(&points, &records.scaling));
    pairs.extend(of(&inference, &records.inference));
    pairs
}

fn of<R>(settings: &[Setting<R>], rows: &[R]) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    for (name, read) in settings {
        let mut values: Vec<String> = Vec::new();
        for value in rows.iter().map(read).filter(|value| !value.is_empty()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        pairs.push((*name, values.join(", ")));
    }
    pairs
}
