//! What is computed again in backward gives the gradients of what was kept, to the bit, and holds what was planned.

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::ledger::{Bytes, Category};
use engine::method::{Outcome, RunSpec, Settings, Trainer};
use engine::model::{ModelEntry, ModelSpec};
use engine::param::Params;
use engine::pass::Session;
use keys::Key;
use tests::{Gradients, batch, gradients, per_step, small};

const EXACT: &str = "stbp";
const SPARING: [&str; 2] = ["stbp-checkpoint", "stbp-bits"];

struct Step {
    outcome: Outcome,
    gradients: Gradients,
    most: Bytes,
    /// All that was held when most was held.
    whole: usize,
}

fn trainer(
    method: &str,
    entry: &ModelEntry,
    spec: &ModelSpec,
    session: Session,
    budget: Option<usize>,
) -> engine::Result<Option<Box<dyn Trainer>>> {
    let method = registry::find(method).map(|entry| (entry.build)(&Settings::default())).unwrap()?;
    let network = entry.network(spec, Params::new(Rc::new(session), Key::new(7).fork("init")))?;
    let run =
        RunSpec { memory_budget: budget, ..RunSpec::new(spec.steps, per_step(), Key::new(7).fork("run")) };
    if method.supports(&network, &run).is_err() {
        return Ok(None);
    }
    method.trainer(network, run).map(Some)
}

/// The second of two equal steps: running statistics live from the first one on.
fn step(
    method: &str,
    entry: &ModelEntry,
    spec: &ModelSpec,
    session: Session,
    budget: Option<usize>,
) -> engine::Result<Option<Step>> {
    let planned = session.is_planned();
    let Some(mut trainer) = trainer(method, entry, spec, session, budget)? else { return Ok(None) };
    let batch = batch(trainer.session(), spec, 4)?;
    let ledger = Rc::clone(trainer.session().ledger());
    trainer.step(&batch, &mut tests::Hold)?;
    ledger.restart();
    let (outcome, gradients) = match planned {
        true => (trainer.step(&batch, &mut tests::Hold)?, Vec::new()),
        false => gradients(&mut *trainer, &batch)?,
    };
    let most = Category::ALL.map(|category| ledger.most(category));
    let whole = ledger.peak_of_all().total + most[Category::Workspace as usize];
    Ok(Some(Step { outcome, gradients, most, whole }))
}

fn run(method: &str, entry: &ModelEntry, spec: &ModelSpec, budget: Option<usize>) -> Option<Step> {
    step(method, entry, spec, Session::new(Device::Cpu, DType::F32), budget).unwrap()
}

fn saved(step: &Step) -> usize {
    step.most[Category::Saved as usize]
}

#[test]
fn every_network_has_the_gradients_of_what_was_kept() {
    for entry in models::all() {
        let dropout =
            if ["vgg11-bn", "vgg11-ws", "preact-resnet18"].contains(&entry.id) { 0.25 } else { 0.0 };
        let spec = ModelSpec { dropout, ..small(entry, 3) };
        let Some(kept) = run(EXACT, entry, &spec, None) else { continue };
        for method in SPARING {
            let Some(spared) = run(method, entry, &spec, None) else { continue };
            let place = format!("{method} on {}", entry.id);
            assert_eq!(spared.outcome, kept.outcome, "{place}");
            assert_eq!(spared.gradients, kept.gradients, "{place}");
            assert!(saved(&spared) <= saved(&kept), "{place}: saves more");
            let planned = step(method, entry, &spec, Session::plan(DType::F32), None).unwrap().unwrap();
            let but_state = |step: &Step| {
                // The remainders of a reversible state are planned as an expectation.
                Category::ALL.map(|c| if c == Category::State { 0 } else { step.most[c as usize] })
            };
            assert_eq!(but_state(&planned), but_state(&spared), "{place}: held otherwise than planned");
        }
    }
}

#[test]
fn a_budget_is_kept_or_refused_with_what_is_needed() {
    let entry = models::find("preact-resnet18").unwrap();
    let spec = small(entry, 4);
    let most = run(EXACT, entry, &spec, None).unwrap();
    for method in SPARING {
        let least = run(method, entry, &spec, None).unwrap();
        assert!(least.whole < most.whole, "{method}");
        let mut looser = usize::MAX;
        for share in [1.0, 0.5, 0.25, 0.0] {
            let budget = least.whole + ((most.whole - least.whole) as f64 * share) as usize;
            let within = run(method, entry, &spec, Some(budget)).unwrap();
            assert!(within.whole <= budget, "{method}: {} of {budget}", within.whole);
            assert_eq!(within.gradients, most.gradients, "{method}");
            assert!(within.whole <= looser, "{method}: a tighter budget holds more");
            looser = within.whole;
        }
        let session = Session::new(Device::Cpu, DType::F32);
        let refusal = match step(method, entry, &spec, session, Some(least.whole / 2)) {
            Err(engine::Error::Unsupported(reason)) => reason.to_string(),
            _ => panic!("{method} fits into half of its least"),
        };
        assert!(refusal.starts_with(method) && refusal.contains("the memory budget is"), "{refusal}");
    }
}
