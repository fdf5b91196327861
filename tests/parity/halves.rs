//! Half precision: what is summed up stays single, reversal stays exact, and gradients stay near.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::journal::Journal;
use engine::ledger::{Bytes, Category, Ledger};
use engine::method::{Outcome, RunSpec, Settings, Trainer};
use engine::model::ModelSpec;
use engine::neuron::Neuron;
use engine::optim::OptimSpec;
use engine::param::Params;
use engine::pass::Session;
use engine::region::Grid;
use keys::Key;
use tests::{Gradients, Hold, batch, gradients, per_step, small, spec, trainer};

/// One step: outcome, gradients, and what the neurons fired.
struct Step {
    outcome: Outcome,
    gradients: Gradients,
    journal: Journal,
}

/// How a step is taken, beside the method, the network and its number type.
#[derive(Clone, Copy)]
struct Taken {
    /// Relative size of a random change of every weight before the step.
    moved: f64,
    /// Which images; `None`: those of all tests.
    images: Option<u32>,
    samples: usize,
    /// Steps before it that hold still.
    before: usize,
}

const PLAIN: Taken = Taken { moved: 0.0, images: None, samples: 4, before: 0 };

fn step(method: &str, model: &str, spec: &ModelSpec, dtype: DType) -> engine::Result<Step> {
    Ok(step_as(method, model, spec, dtype, PLAIN)?.0)
}

/// A step, and how many were taken before it: a loss scale begins too large, and is halved until it fits.
fn step_as(
    method: &str,
    model: &str,
    spec: &ModelSpec,
    dtype: DType,
    how: Taken,
) -> engine::Result<(Step, usize)> {
    let mut trainer = trainer(method, model, spec, dtype, per_step())?;
    if how.moved > 0.0 {
        move_weights(&trainer.network().params, how.moved)?;
    }
    let mut batch = batch(trainer.session(), spec, how.samples)?;
    if let Some(index) = how.images {
        let mut stream = Key::new(13).index(u64::from(index)).stream();
        let shape = batch.images.shape().to_vec();
        let numbers = (0..batch.images.len()).map(|_| stream.normal() as f32).collect();
        batch.images = trainer.session().input(&shape, numbers)?;
    }
    for _ in 0..how.before {
        trainer.step(&batch, &mut Hold)?;
    }
    let mut before = how.before;
    loop {
        trainer.session().watch();
        let seen = trainer.session().loss_scale().left_out();
        let (outcome, gradients) = gradients(&mut *trainer, &batch)?;
        let journal = trainer.session().take_journal().unwrap_or_default();
        if trainer.session().loss_scale().left_out() == seen {
            return Ok((Step { outcome, gradients, journal }, before));
        }
        before += 1;
    }
}

/// Multiplies each weight with `1 + size * n`, n normal.
fn move_weights(params: &Params, size: f64) -> engine::Result<()> {
    let mut stream = Key::new(17).stream();
    for param in params.iter() {
        let numbers = param.value().tensor()?.flatten_all()?.to_vec1::<f32>()?;
        let moved = numbers.into_iter().map(|x| (f64::from(x) * (1.0 + size * stream.normal())) as f32);
        let moved = Tensor::from_vec(moved.collect::<Vec<_>>(), param.shape(), &Device::Cpu)?;
        params.assign(param.name(), &moved)?;
    }
    Ok(())
}

/// `|own - other| / |other|` over all gradients of two steps.
fn distance(own: &Gradients, other: &Gradients) -> f64 {
    let pairs = || own.iter().zip(other).flat_map(|((_, a), (_, b))| a.iter().zip(b));
    let off: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    let all: f64 = pairs().map(|(_, b)| b.powi(2)).sum();
    (off / all).sqrt()
}

/// Networks with every kind of op between them.
const NETWORKS: [&str; 6] = [
    "tiny-conv",
    "tiny-rev",
    "tiny-trev",
    "preact-resnet18",
    "trevsnn-tiny",
    "spike-driven-transformer-2-512",
];

/// The halves, with the relative error of a rounding in the mean: an ulp is `2^-7` and `2^-10` of the numbers from 1 to 2.
const HALVES: [(DType, f64); 2] = [(DType::BF16, 1.0 / 512.0), (DType::F16, 1.0 / 4096.0)];

/// How much further than by a change of the weights alone a gradient may move where activations and gradients are rounded
/// too. Measured: 1.2 times in the mean, 2.6 times at most.
const MORE: f64 = 4.0;

/// The same network with spikes replaced by the surrogate's primitive: no rounding flips anything.
fn smooth(spec: &ModelSpec) -> ModelSpec {
    let neuron = match spec.neuron {
        Neuron::Lif { decay, input_decay, threshold, reset, reset_gradient, surrogate, firing, .. } => {
            Neuron::Lif {
                decay,
                input_decay,
                threshold,
                reset,
                reset_gradient,
                surrogate,
                firing,
                smooth: true,
            }
        }
        Neuron::Quantiser { .. } => Neuron::Quantiser { smooth: true },
    };
    ModelSpec { neuron, ..spec.clone() }
}

/// A gradient in a half beside its own in single precision. How far it may be depends on the network: the yardstick is how
/// far the gradient in single precision moves when every weight is changed by the size of one rounding.
///
/// Neurons are smooth here. With spikes the yardstick itself is long: in `f32`, a change of the weights by `2^-10` flips 14 % of
/// `tiny-trev`'s spikes and leaves a cosine of -0.08 to the gradient before, where `bf16` flips 13 % and leaves -0.01.
#[test]
fn gradients_of_halves_move_as_far_as_rounding_moves_them() {
    println!("network, method, type: distance to f32, and of f32 with weights moved by a rounding; losses");
    let (mut compared, mut far, mut sum, mut most) = (0, Vec::new(), 0.0, 0.0_f64);
    for model in NETWORKS {
        let spec = smooth(&small(models::find(model).unwrap(), 2));
        for (method, (dtype, unit)) in registry::all().flat_map(|m| HALVES.map(|half| (m, half))) {
            let half = step_as(method.id, model, &spec, dtype, PLAIN);
            let before = half.as_ref().map_or(0, |(_, before)| *before);
            // A method that draws steps at random draws them by the number of the step.
            let single =
                |moved| step_as(method.id, model, &spec, DType::F32, Taken { moved, before, ..PLAIN });
            let ((half, _), (single, _), (moved, _)) = match (half, single(0.0), single(unit)) {
                (Ok(half), Ok(single), Ok(moved)) => (half, single, moved),
                (half, single, _) => {
                    let said = |step: engine::Result<(Step, usize)>| step.err().map(|e| e.to_string());
                    assert_eq!(said(half), said(single), "{} on {model}", method.id);
                    continue;
                }
            };
            let off = distance(&half.gradients, &single.gradients);
            let yardstick = distance(&moved.gradients, &single.gradients);
            let place = format!("{model:<31} {:<21} {dtype:?}", method.id);
            let (a, b) = (half.outcome.loss, single.outcome.loss);
            println!("{place:<58} {off:.5} {yardstick:.5} {:.2}  {a:.5} {b:.5}", off / yardstick);
            assert!(off > 0.0, "{place}: nothing was rounded");
            if off > MORE * yardstick {
                far.push(format!("{place}: {off} where rounding the weights moves {yardstick}"));
            }
            (compared, sum, most) = (compared + 1, sum + off / yardstick, most.max(off / yardstick));
        }
    }
    println!(
        "{compared} compared, {:.2} times the yardstick in the mean, {most:.2} at most",
        sum / f64::from(compared)
    );
    assert!(far.is_empty(), "{}", far.join("\n"));
    assert!(compared > 60, "{compared}");
}

/// Spikes too: where a half fires what single precision fires, its gradient is the same but for the roundings on the way.
///
/// Images are drawn until no neuron is near its threshold. A quantiser's window has two more edges, which no spike tells of: one
/// state that crosses one turns the gradient, and so the middle one of several draws is judged. Measured: 7.4 roundings at most.
#[test]
fn halves_that_fire_alike_have_the_gradient_of_single_precision() {
    const DRAWN: u32 = 60;
    const JUDGED: usize = 5;
    let mut compared = 0;
    for model in ["tiny-conv", "tiny-rev", "tiny-trev"] {
        let spec = ModelSpec { steps: 2, ..spec() };
        for (method, (dtype, unit)) in registry::all().flat_map(|m| HALVES.map(|half| (m, half))) {
            // The reference row has no spikes.
            if method.id == "ann" || step(method.id, model, &spec, DType::F32).is_err() {
                continue;
            }
            let alike = (0..DRAWN).filter_map(|images| {
                let how = Taken { images: Some(images), samples: 2, ..PLAIN };
                let (half, before) = step_as(method.id, model, &spec, dtype, how).unwrap();
                let (single, _) =
                    step_as(method.id, model, &spec, DType::F32, Taken { before, ..how }).unwrap();
                let spikes = fired(&single);
                let ones = spikes.iter().filter(|&&spike| spike != 0.0).count();
                assert!(ones > spikes.len() / 50 && ones < spikes.len(), "{model}: {ones} spikes");
                (fired(&half) == spikes).then(|| distance(&half.gradients, &single.gradients) / unit)
            });
            let mut roundings: Vec<f64> = alike.take(JUDGED).collect();
            roundings.sort_by(f64::total_cmp);
            let place = format!("{model} {} {dtype:?}", method.id);
            println!("{place:<40} {roundings:.1?} roundings");
            if roundings.len() == JUDGED {
                let middle = roundings[JUDGED / 2];
                assert!(middle > 0.0 && middle < 12.0, "{place}: {middle} roundings");
                compared += 1;
            }
        }
    }
    assert!(compared > 30, "{compared}");
}

/// All spikes of the forward pass, in the order of their sites.
fn fired(step: &Step) -> Vec<f32> {
    let noted = step.journal.spikes.values().flatten();
    noted
        .flat_map(|noted| {
            noted.values.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        })
        .collect()
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
        let (flips, all) = rebuilt.journal.flips().unwrap();
        assert!(all > 0, "{place}: nothing was rebuilt");
        assert_eq!(flips, 0, "{place}: spikes flipped, of {all}");
        assert_eq!(rebuilt.outcome, stored.outcome, "{place}");
        assert!(rebuilt.gradients == stored.gradients, "{place}: gradients differ, {dtype:?}");
    }
}

/// A step so small that a half would not move.
#[test]
fn masters_keep_what_a_half_would_lose() {
    let mut trainer = trainer("stbp", "tiny-conv", &spec(), DType::BF16, per_step()).unwrap();
    let batch = batch(trainer.session(), &spec(), 4).unwrap();
    let values = |trainer: &dyn Trainer| -> Vec<Tensor> {
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
    for model in NETWORKS {
        let spec = small(models::find(model).unwrap(), 4);
        for method in registry::all() {
            let device = Device::Cpu;
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
            let (half, single) = (of(&half, Category::Saved), of(&single, Category::Saved));
            assert!(half <= single, "{} on {model}: {half} beside {single}", method.id);
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
    let values = |trainer: &dyn Trainer| -> Vec<Vec<f32>> {
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

/// What puts a scale on takes it off, wherever a method updates: a factor of two that was left on would be a distance of 1.
#[test]
fn gradients_of_f16_come_back_unscaled() {
    let spec = smooth(&spec());
    for (method, model) in [("stbp", "tiny-conv"), ("ottt-o", "tiny-conv"), ("temporal-rev", "tiny-trev")] {
        let run = |dtype| step(method, model, &spec, dtype).unwrap().gradients;
        let off = distance(&run(DType::F16), &run(DType::F32));
        println!("{method} on {model}: {off:.5}");
        assert!(off < 0.25, "{method} on {model}: {off}");
    }
}
