//! Half precision: what is summed up stays single, reversal stays exact, and gradients stay near.

use candle_core::{DType, Tensor};
use engine::ledger::{Bytes, Category, Ledger};
use engine::method::{Outcome, RunSpec, Settings};
use engine::model::ModelSpec;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::Session;
use engine::region::Grid;
use keys::Key;
use std::rc::Rc;
use tests::{Gradients, batch, gradients, per_step, small, spec, trainer};

/// One step: outcome, gradients, and what a rebuilt forward fired otherwise than the forward pass.
struct Step {
    outcome: Outcome,
    gradients: Gradients,
    flips: (u64, u64),
}

fn step(method: &str, model: &str, spec: &ModelSpec, dtype: DType) -> engine::Result<Step> {
    let mut trainer = trainer(method, model, spec, dtype, per_step())?;
    let batch = batch(trainer.session(), spec, 4)?;
    // A loss scale begins too large, and is halved until it fits.
    let left_out = |trainer: &dyn engine::method::Trainer| trainer.session().loss_scale().left_out();
    while dtype == DType::F16 {
        let before = left_out(&*trainer);
        trainer.step(&batch, &mut tests::Hold)?;
        if left_out(&*trainer) == before {
            break;
        }
    }
    trainer.session().watch();
    let (outcome, gradients) = gradients(&mut *trainer, &batch)?;
    let flips = trainer.session().take_journal().unwrap_or_default().flips()?;
    Ok(Step { outcome, gradients, flips })
}

/// Cosine between all gradients of two steps, and the ratio of their norms.
fn agreement(own: &Gradients, other: &Gradients) -> (f64, f64) {
    let flat = |all: &Gradients| all.iter().flat_map(|(_, g)| g.clone()).collect::<Vec<f64>>();
    let (a, b) = (flat(own), flat(other));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (own, other) = (dot(&a, &a).sqrt(), dot(&b, &b).sqrt());
    (dot(&a, &b) / (own * other), own / other)
}

/// Networks with every kind of op between them, and the least cosine that was found on each, rounded down: a spike that
/// fires otherwise for an input that was rounded turns a gradient more than all rounding after it.
const NETWORKS: [(&str, f64); 6] = [
    ("tiny-conv", 0.95),
    ("tiny-rev", 0.6),
    ("tiny-trev", 0.6),
    ("preact-resnet18", 0.6),
    ("trevsnn-tiny", 0.6),
    ("spike-driven-transformer-8-512", 0.6),
];

/// The gradient of each method in a half beside its own in single precision: measured, printed, bounded from what was found.
#[test]
fn gradients_of_every_method_are_near_those_of_single_precision() {
    println!("network, method: losses in bf16 and f32; cosine and ratio of norms of the gradients");
    let mut compared = 0;
    for (model, least) in NETWORKS {
        let spec = small(models::find(model).unwrap(), 4);
        for method in registry::all() {
            let run = |dtype| step(method.id, model, &spec, dtype);
            let (Ok(half), Ok(single)) = (run(DType::BF16), run(DType::F32)) else {
                let refused = |dtype| run(dtype).err().map(|error| error.to_string());
                assert_eq!(refused(DType::BF16), refused(DType::F32), "{} on {model}", method.id);
                continue;
            };
            let (cosine, ratio) = agreement(&half.gradients, &single.gradients);
            println!(
                "{model:<31} {:<13} {:.5} {:.5}  {cosine:.5} {ratio:.4}",
                method.id, half.outcome.loss, single.outcome.loss
            );
            assert!(cosine > least, "{} on {model}: cosine {cosine}", method.id);
            assert_ne!(half.gradients, single.gradients, "{} on {model}: nothing was rounded", method.id);
            compared += 1;
        }
    }
    assert!(compared > 15, "{compared}");
}

#[test]
fn spatial_reversal_of_halves_is_bit_equal_on_the_grid() {
    for (depth, steps) in [(1, 1), (1, 4), (3, 2), (6, 4), (16, 4)] {
        let spec = ModelSpec { depth: Some(depth), steps, ..spec() };
        assert_exact("spatial-rev", "tiny-rev", &spec);
    }
}

#[test]
fn temporal_reversal_of_halves_is_bit_equal_on_the_grid() {
    for steps in [1, 2, 4, 8] {
        let spec = ModelSpec { steps, grid: Some(Grid { bits: 20, range: 4 }), ..spec() };
        assert_exact("temporal-rev", "tiny-trev", &spec);
    }
}

fn assert_exact(method: &str, model: &str, spec: &ModelSpec) {
    let place = format!("{method} on {model}, depth {:?}, T = {}", spec.depth, spec.steps);
    for dtype in [DType::BF16, DType::F16] {
        let rebuilt = step(method, model, spec, dtype).unwrap();
        let stored = step("stbp", model, spec, dtype).unwrap();
        assert!(rebuilt.flips.1 > 0, "{place}: nothing was rebuilt");
        assert_eq!(rebuilt.flips.0, 0, "{place}: spikes flipped, of {}", rebuilt.flips.1);
        assert_eq!(rebuilt.outcome, stored.outcome, "{place}");
        assert!(rebuilt.gradients == stored.gradients, "{place}: gradients differ, {dtype:?}");
    }
}

/// A step so small that a half would not move.
#[test]
fn masters_keep_what_a_half_would_lose() {
    let mut trainer = trainer("stbp", "tiny-conv", &spec(), DType::BF16, per_step()).unwrap();
    let batch = batch(trainer.session(), &spec(), 4).unwrap();
    let values = |trainer: &dyn engine::method::Trainer| -> Vec<Tensor> {
        trainer.network().params.iter().map(|param| param.value().tensor().unwrap().copy().unwrap()).collect()
    };
    let before = values(&*trainer);
    let mut optimizer = OptimSpec::sgd(0.9, 0.0).build(&trainer.network().params).unwrap();
    optimizer.set_learning_rate(1e-5);
    trainer.step(&batch, &mut *optimizer).unwrap();
    let after = values(&*trainer);
    let mut moved = 0;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.dtype(), DType::F32);
        let list = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (before, after) in list(before).into_iter().zip(list(after)) {
            moved += usize::from(before != after && (before - after).abs() < before.abs() / 512.0);
        }
    }
    assert!(moved > 100, "{moved}");
}

#[test]
fn a_step_of_halves_has_the_same_bits_for_any_threads() {
    for (method, model) in
        [("stbp", "preact-resnet18"), ("ottt-a", "tiny-conv"), ("temporal-rev", "trevsnn-tiny")]
    {
        let spec = small(models::find(model).unwrap(), 4);
        let run = |threads| {
            let pool = kernels::threads::pool(threads, 16 << 20).unwrap();
            pool.install(|| {
                step(method, model, &spec, DType::BF16).map(|step| (step.outcome, step.gradients))
            })
            .unwrap()
        };
        let one = run(1);
        for threads in [2, 3] {
            assert!(run(threads) == one, "{method} on {model} differs with {threads} threads");
        }
    }
}

/// What the second step of a method holds, by category, and what its laws are stated on.
fn held(method: &str, model: &str, spec: &ModelSpec, session: Session) -> Option<(Vec<usize>, Bytes, usize)> {
    let method = (registry::find(method).unwrap().build)(&Settings::default()).unwrap();
    let spec = ModelSpec { steps: method.steps(spec.steps), ..spec.clone() };
    let network =
        models::find(model).unwrap().network(&spec, Params::new(Rc::new(session), Key::new(7))).ok()?;
    let run = RunSpec::new(spec.steps, per_step(), Key::new(7));
    method.supports(&network, &run).ok()?;
    let mut trainer = method.trainer(network, run).unwrap();
    let mut optimizer = OptimSpec::adam_w(0.0).build(&trainer.network().params).unwrap();
    let batch = batch(trainer.session(), &spec, 3).unwrap();
    let ledger: Rc<Ledger> = Rc::clone(trainer.session().ledger());
    for _ in 0..2 {
        ledger.restart();
        trainer.step(&batch, &mut *optimizer).unwrap();
    }
    let most = Category::ALL.map(|category| ledger.most(category)).to_vec();
    Some((most, ledger.peak_of_all().held, ledger.peak_in_laws()))
}

#[test]
fn a_plan_of_halves_is_what_the_ledger_books() {
    let mut compared = 0;
    for (model, _) in NETWORKS {
        let spec = small(models::find(model).unwrap(), 4);
        for method in registry::all() {
            let device = candle_core::Device::Cpu;
            let run = held(method.id, model, &spec, Session::new(device.clone(), DType::BF16));
            let plan = held(method.id, model, &spec, Session::plan(DType::BF16));
            assert_eq!(plan, run, "{} on {model}", method.id);
            let Some((half, ..)) = run else { continue };
            let Some((single, ..)) = held(method.id, model, &spec, Session::new(device, DType::F32)) else {
                continue;
            };
            let of = |most: &[usize], category: Category| most[category as usize];
            for category in [Category::Parameters, Category::Gradients, Category::Optimiser, Category::State]
            {
                // Sums are single in both; what a level carries between steps is one.
                assert_eq!(
                    of(&half, category),
                    of(&single, category),
                    "{} on {model}: {category:?}",
                    method.id
                );
            }
            assert_eq!(2 * of(&half, Category::Input), of(&single, Category::Input));
            // Where streams are reversible, what is coupled into them is kept beside them.
            if ["tiny-conv", "preact-resnet18", "spike-driven-transformer-8-512"].contains(&model) {
                let (half, single) = (of(&half, Category::Saved), of(&single, Category::Saved));
                assert!(half <= single, "{} on {model}: {half} beside {single}", method.id);
            }
            compared += 1;
        }
    }
    assert!(compared > 15, "{compared}");
}

/// A loss scale that is too large for the weights of the head: updates are left out until it fits.
#[test]
fn a_loss_scale_that_overflows_leaves_updates_out_and_is_halved() {
    let mut trainer = trainer("stbp", "tiny-conv", &spec(), DType::F16, per_step()).unwrap();
    let batch = batch(trainer.session(), &spec(), 4).unwrap();
    let session = Rc::clone(trainer.session());
    let first = session.loss_scale().factor();
    assert_eq!((first, session.loss_scale().left_out()), (65536.0, 0));
    let params = &trainer.network().params;
    let head = params.iter().filter(|param| param.shape().len() == 2).last().unwrap();
    let large = (head.value().tensor().unwrap() * 3000.0).unwrap();
    params.assign(head.name(), &large).unwrap();
    let mut optimizer = OptimSpec::sgd(0.0, 0.0).build(params).unwrap();
    optimizer.set_learning_rate(1e-3);
    let values = |trainer: &dyn engine::method::Trainer| -> Vec<Vec<f32>> {
        let params = trainer.network().params.iter();
        params.map(|p| p.value().tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let before = values(&*trainer);
    trainer.step(&batch, &mut *optimizer).unwrap();
    assert_eq!((session.loss_scale().factor(), session.loss_scale().left_out()), (first / 2.0, 1));
    assert!(values(&*trainer) == before, "an update was not left out");
    for _ in 0..12 {
        trainer.step(&batch, &mut *optimizer).unwrap();
    }
    let (factor, left_out) = (session.loss_scale().factor(), session.loss_scale().left_out());
    assert!(left_out < 13 && factor == first / f64::from(1u32 << left_out), "{factor}, {left_out}");
    assert!(values(&*trainer) != before && values(&*trainer).iter().flatten().all(|x| x.is_finite()));
}

/// Putting a scale on and taking it off moves no bits: `f16` has the gradients that it would have with more range.
#[test]
fn gradients_of_f16_come_back_unscaled() {
    for (method, model) in [("stbp", "tiny-conv"), ("ottt-o", "tiny-conv"), ("temporal-rev", "tiny-trev")] {
        let run = |dtype| step(method, model, &spec(), dtype).unwrap().gradients;
        let (cosine, ratio) = agreement(&run(DType::F16), &run(DType::F32));
        println!("{method} on {model}: cosine {cosine:.6}, ratio of norms {ratio:.5}");
        assert!(cosine > 0.95 && (ratio - 1.0).abs() < 0.05, "{method} on {model}: {cosine}, {ratio}");
    }
}
