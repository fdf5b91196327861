//! How often a training step waits for a device, to read numbers: what it found is read once, before its update. A processor
//! counts what a device would.

use candle_core::DType;
use engine::model::ModelSpec;
use engine::optim::{Clip, OptimSpec};
use kernels::scalar;
use tests::{batch, per_step, small, trainer_of};

use crate::pairs::{Pair, on_every_pair, supported};

const STEPS: usize = 3;

/// Waits of a step that clips by the norm of all gradients and updates by one that is clipped too.
fn waits(pair: &Pair, spec: &ModelSpec, dtype: DType) -> Result<u64, String> {
    let mut trainer =
        trainer_of(pair.method.id, pair.model, spec, dtype, per_step()).map_err(|error| error.to_string())?;
    let spec = ModelSpec { steps: trainer.network().spec.steps, ..spec.clone() };
    let batch = batch(trainer.session(), &spec, 2).unwrap();
    let OptimSpec::Lamb { weight_decay, betas, eps, undecayed, trust_clip, always_adapt, .. } =
        OptimSpec::lamb(0.01)
    else {
        return Err("LAMB is LAMB".into());
    };
    let max_grad_norm = Some(0.1);
    let lamb =
        OptimSpec::Lamb { weight_decay, betas, eps, undecayed, trust_clip, always_adapt, max_grad_norm };
    let optimizer = lamb.build(&trainer.network().params).unwrap();
    let mut optimizer = Clip::Norm { at: 0.2 }.before(optimizer);
    optimizer.set_learning_rate(0.001);
    let before = scalar::waits();
    let outcome = trainer.step(&batch, &mut *optimizer).map_err(|error| error.to_string())?;
    assert!(outcome.loss > 0.0 && outcome.samples == 2, "{outcome:?}");
    Ok(scalar::waits() - before)
}

/// What a step has to wait for beside: the lengths of the streams in which an exact carried state writes down what it loses,
/// at each level and step but the first, and whether they fit on the way back.
fn of_remainders(pair: &Pair, exact: bool) -> u64 {
    let carries = ["temporal-rev", "temporal-spatial-rev"].contains(&pair.method.id);
    let levels = |spec: &ModelSpec| {
        let network = crate::network(pair.model, spec, engine::pass::Session::plan(DType::F32));
        match &network.wiring {
            engine::model::Wiring::Levels(levels) => levels.sites().len() as u64,
            _ => 0,
        }
    };
    if carries && exact { 2 * (STEPS as u64 - 1) * levels(&small(pair.model, STEPS)) } else { 0 }
}

fn expect(expected: u64, found: u64) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found} waits, expected {expected}")) }
}

#[test]
fn a_training_step_waits_once_whatever_the_method() {
    on_every_pair(supported(), |pair| {
        let spec = ModelSpec { grid: None, ..small(pair.model, STEPS) };
        expect(1, waits(pair, &spec, DType::F32)?)
    });
}

#[test]
fn streams_on_a_grid_are_checked_without_a_wait_and_remainders_cost_two_a_level() {
    let streams = |pair: &Pair| matches!(pair.model.id, "tiny-rev" | "tiny-trev" | "tiny-trev-rev");
    on_every_pair(supported().into_iter().filter(streams).collect(), |pair| {
        expect(1 + of_remainders(pair, true), waits(pair, &small(pair.model, STEPS), DType::F32)?)
    });
}

#[test]
fn halves_wait_no_more_often_but_for_each_update_where_a_loss_is_scaled() {
    let tiny = |pair: &Pair| pair.model.id.starts_with("tiny-");
    on_every_pair(supported().into_iter().filter(tiny).collect(), |pair| {
        let spec = ModelSpec { grid: None, ..small(pair.model, STEPS) };
        expect(1, waits(pair, &spec, DType::BF16)?)?;
        // It has to be known whether gradients are finite before each update.
        let updates = if pair.method.id == "ottt-o" { STEPS as u64 + 1 } else { 1 };
        expect(updates, waits(pair, &spec, DType::F16)?)
    });
}
