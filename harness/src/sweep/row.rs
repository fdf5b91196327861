//! From a point and its verdict to its row.

use results::{InferenceRow, ScalingRow, Status};

use super::plan::PlannedPoint;
use super::point::{Inference, InferenceFound, Point, StepFound, Training};
use crate::campaign::Setup;

/// How a point ended, and when.
pub(super) struct Ended<'v> {
    pub(super) status: Status,
    pub(super) note: &'v str,
    pub(super) started_utc: String,
    pub(super) wall_seconds: Option<f64>,
}

/// `<channels>x<height>x<width>`.
fn image(point: &Point) -> String {
    point.network.image.map(|side| side.to_string()).join("x")
}

pub(super) fn scaling(
    planned: &PlannedPoint,
    training: &Training,
    setup: &Setup,
    ended: &Ended<'_>,
    found: Option<&StepFound>,
) -> ScalingRow {
    let point = &planned.point;
    let row = ScalingRow {
        point: planned.key.clone(),
        suite: point.suite.clone(),
        sweep: point.sweep.clone(),
        sweep_rev: point.sweep_rev,
        method: training.method.clone(),
        model: point.model.clone(),
        status: ended.status,
        note: ended.note.to_owned(),
        steps_t: point.network.steps as u32,
        blocks: point.network.depth.map(|blocks| blocks as u32),
        batch: point.batch as u32,
        image: image(point),
        classes: point.network.classes as u32,
        width: point.network.width,
        dtype: point.dtype.id().to_owned(),
        recipe: planned.recipe.clone(),
        parameters: planned.parameters.map(|count| count as u64),
        device: point.device.clone(),
        threads: setup.threads as u32,
        config_hash: planned.hash.clone(),
        git_rev: setup.environment.git_rev.clone(),
        dirty: setup.environment.dirty,
        started_utc: ended.started_utc.clone(),
        wall_seconds: ended.wall_seconds,
        ..ScalingRow::default()
    };
    match found {
        Some(found) => measured(row, found),
        None => row,
    }
}

fn measured(row: ScalingRow, found: &StepFound) -> ScalingRow {
    let [
        parameters,
        gradients,
        optimiser,
        average,
        saved,
        state,
        traces,
        input,
        passing,
        activation_gradients,
    ] = std::array::from_fn(|category| {
        (Some(found.most_bytes[category]), Some(found.at_peak_bytes[category]))
    });
    ScalingRow {
        law_bytes: Some(found.law_bytes),
        whole_bytes: Some(found.whole_bytes),
        parameters_most_bytes: parameters.0,
        gradients_most_bytes: gradients.0,
        optimiser_most_bytes: optimiser.0,
        average_most_bytes: average.0,
        saved_most_bytes: saved.0,
        state_most_bytes: state.0,
        traces_most_bytes: traces.0,
        input_most_bytes: input.0,
        passing_most_bytes: passing.0,
        activation_gradients_most_bytes: activation_gradients.0,
        parameters_at_peak_bytes: parameters.1,
        gradients_at_peak_bytes: gradients.1,
        optimiser_at_peak_bytes: optimiser.1,
        average_at_peak_bytes: average.1,
        saved_at_peak_bytes: saved.1,
        state_at_peak_bytes: state.1,
        traces_at_peak_bytes: traces.1,
        input_at_peak_bytes: input.1,
        passing_at_peak_bytes: passing.1,
        activation_gradients_at_peak_bytes: activation_gradients.1,
        workspace_bytes: Some(found.workspace_bytes),
        heap_peak_bytes: found.heap_peak_bytes,
        planned_law_bytes: found.planned_bytes.map(|[law, _]| law),
        planned_whole_bytes: found.planned_bytes.map(|[_, whole]| whole),
        step_seconds_median: found.seconds.median,
        step_seconds_mad: found.seconds.mad,
        step_seconds_min: found.seconds.min,
        timed_steps: Some(found.seconds.count),
        ..row
    }
}

pub(super) fn inference(
    planned: &PlannedPoint,
    inference: &Inference,
    setup: &Setup,
    ended: &Ended<'_>,
    found: Option<&InferenceFound>,
) -> InferenceRow {
    let point = &planned.point;
    let row = InferenceRow {
        point: planned.key.clone(),
        suite: point.suite.clone(),
        sweep: point.sweep.clone(),
        sweep_rev: point.sweep_rev,
        step_width: point.line().to_owned(),
        model: point.model.clone(),
        status: ended.status,
        note: ended.note.to_owned(),
        steps_t: point.network.steps as u32,
        published_steps_t: inference.published_steps as u32,
        batch: point.batch as u32,
        image: image(point),
        classes: point.network.classes as u32,
        width: point.network.width,
        dtype: point.dtype.id().to_owned(),
        recipe: planned.recipe.clone(),
        parameters: planned.parameters.map(|count| count as u64),
        device: point.device.clone(),
        threads: setup.threads as u32,
        config_hash: planned.hash.clone(),
        git_rev: setup.environment.git_rev.clone(),
        dirty: setup.environment.dirty,
        started_utc: ended.started_utc.clone(),
        wall_seconds: ended.wall_seconds,
        ..InferenceRow::default()
    };
    let Some(found) = found else { return row };
    let each = |seconds: f64| seconds / point.batch as f64;
    InferenceRow {
        dense_macs_per_sample: Some(found.dense_macs_per_sample),
        macs_per_sample: Some(found.macs_per_sample),
        acs_per_sample: Some(found.acs_per_sample),
        firing_rate: found.firing_rate,
        law_bytes: Some(found.law_bytes),
        law_bytes_per_sample: Some(found.law_bytes as f64 / point.batch as f64),
        whole_bytes: Some(found.whole_bytes),
        heap_peak_bytes: found.heap_peak_bytes,
        seconds_per_sample_median: found.seconds.median.map(each),
        seconds_per_sample_mad: found.seconds.mad.map(each),
        timed_evaluations: Some(found.seconds.count),
        ..row
    }
}
