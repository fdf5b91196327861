//! The probe lane: what a network computes for one sample, counted by the engine where it is computed.
//!
//! Evaluation is counted from real numbers, over the whole test split, with the trained network, in a pass of its own: no
//! clock runs. A training step is counted in a plan: its products depend on shapes alone.

use engine::operations::{Counted, Counts, During};
use results::OpsRow;

use super::Failure;
use super::learner::Learner;
use crate::configuration::Configuration;
use crate::device;
use crate::event::Measured;
use crate::source::Feed;

/// Adds the rows of an evaluation, or says in the note why there are none.
pub(super) fn evaluate(learner: &mut Learner, test: &Feed, measured: &mut Measured) {
    let found = evaluated(learner, test);
    // Whatever stopped it, nobody counts any more.
    let left = learner.session.take_counts();
    match found.and_then(|()| left.map_err(Failure::from)) {
        Ok(Some(counts)) => measured.ops.extend(rows(&counts)),
        Ok(None) => {}
        Err(Failure { note, .. }) => measured.add_note(&format!("no operation counts: {note}")),
    }
}

fn evaluated(learner: &mut Learner, test: &Feed) -> Result<(), Failure> {
    learner.session.count_operations();
    for batch in test.epoch(0) {
        let batch = learner.batch(test, batch?)?;
        learner.trainer.evaluate(&batch)?;
        learner.session.end_counted(batch.labels.len())?;
    }
    Ok(())
}

/// Adds the rows of a training step at the trial's own T, or says in the note why there are none.
pub(super) fn plan(
    configuration: &Configuration,
    loader: &Feed,
    batch: &datasets::Batch,
    measured: &mut Measured,
) {
    match planned(configuration, loader, batch) {
        Ok(counts) => measured.ops.extend(counts.iter().flat_map(rows)),
        Err(Failure { note, .. }) => measured.add_note(&format!("no operation counts of training: {note}")),
    }
}

fn planned(
    configuration: &Configuration,
    loader: &Feed,
    batch: &datasets::Batch,
) -> Result<Option<Counts>, Failure> {
    let mut learner = Learner::new(
        configuration,
        device::planning(configuration.dtype),
        configuration.network.steps,
        None,
    )?;
    let batch = learner.batch(loader, batch.clone())?;
    learner.session.count_operations();
    learner.step(&batch)?;
    learner.session.end_counted(batch.labels.len())?;
    Ok(learner.session.take_counts()?)
}

/// The rows of a count, for one sample each.
pub(crate) fn rows(counts: &Counts) -> Vec<OpsRow> {
    let samples = counts.samples.max(1) as f64;
    counts.rows.iter().map(|row| of(row, samples)).collect()
}

fn of(row: &Counted, samples: f64) -> OpsRow {
    let Counted { during, layer, kind, reads, step, weights, neurons, sums } = row;
    let each = |count: u64| count as f64 / samples;
    let evaluated = *during == During::Evaluation;
    let forward = *during != During::Backward;
    // A plan holds shapes: it can't tell how many spikes there are, and so what they cause.
    let seen = |value: f64| evaluated.then_some(value);
    let on_the_way_there = |count: u64| forward.then(|| each(count));
    OpsRow {
        during: during.id().to_owned(),
        layer: layer.clone(),
        kind: kind.id().to_owned(),
        reads: reads.id().to_owned(),
        step: *step as u32,
        weights: *weights,
        neurons: *neurons,
        dense_macs_per_sample: each(sums.dense_macs),
        macs_per_sample: (evaluated || *reads != engine::operations::Reads::Spikes).then(|| each(sums.macs)),
        acs_per_sample: seen(each(sums.acs)),
        chained_acs_per_sample: seen(sums.chained_acs / samples),
        multiplies_per_sample: Some(each(sums.multiplies)),
        adds_per_sample: Some(each(sums.adds)),
        compares_per_sample: Some(each(sums.compares)),
        inputs_per_sample: on_the_way_there(sums.inputs),
        input_spikes_per_sample: seen(each(sums.input_spikes)),
        outputs_per_sample: on_the_way_there(sums.outputs),
        spikes_per_sample: seen(each(sums.spikes)),
        ..OpsRow::default()
    }
}
