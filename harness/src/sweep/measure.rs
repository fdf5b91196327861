//! A training step, measured: what it holds on one thread, what it takes on all of them, what a plan says of it.

use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

use engine::ledger::{Bytes, Category};
use engine::method::Method;
use rayon::ThreadPool;
use results::MeterRow;

use super::point::{CATEGORIES, Point, StepFound, Training};
use crate::device;
use crate::event::Event;
use crate::gauge::{Gauge, Reading};
use crate::meter::Meter;
use crate::setup::Setup;
use crate::spread::Spread;
use crate::trial::{Failure, Reporter, STACK_BYTES};

/// Steps before the one that is read: scratch, gradients and the optimiser's state are then in place.
const BEFORE_READING: usize = 2;

/// Measures a point's training step; one lane after the other, each with a network of its own.
pub(super) fn train<W: Write + Send>(
    point: &Point,
    training: &Training,
    threads: usize,
    reporter: &mut Reporter<W>,
) -> Result<StepFound, Failure> {
    let (setup, steps) = (training.setup(point)?, point.network.steps);
    reporter.tell(&Event::Probe { steps })?;
    // On one thread, so that no byte depends on which of several packs a matrix at which moment.
    let held = pool(1)?.install(|| {
        let method = training.method(&point.key())?;
        let held = memory(point, &setup, &*method)?;
        let planned = setup.forecast(&*method, steps, point.batch).ok();
        Ok::<_, Failure>(Held {
            planned_bytes: planned.map(|plan| [plan.in_laws, plan.without_workspace()]),
            ..held
        })
    })?;
    let timed = pool(threads)?.install(|| clock(point, training, &setup, reporter))?;
    Ok(StepFound {
        law_bytes: held.in_laws as u64,
        whole_bytes: held.whole as u64,
        most_bytes: without_workspace(held.most),
        at_peak_bytes: without_workspace(held.at_peak),
        workspace_bytes: timed.workspace as u64,
        heap_peak_bytes: held.reading.peak,
        accelerator: held.reading.accelerator,
        energy: timed.energy.map(Box::new),
        planned_bytes: held.planned_bytes.map(|planned| planned.map(|bytes| bytes as u64)),
        seconds: timed.seconds,
    })
}

pub(super) fn pool(threads: usize) -> Result<ThreadPool, Failure> {
    kernels::threads::pool(threads, STACK_BYTES).map_err(Failure::because)
}

fn without_workspace(bytes: Bytes) -> [u64; CATEGORIES] {
    // The workspace stands last.
    std::array::from_fn(|category| bytes[category] as u64)
}

struct Held {
    in_laws: usize,
    whole: usize,
    most: Bytes,
    at_peak: Bytes,
    reading: Reading,
    planned_bytes: Option<[usize; 2]>,
}

/// The probe lane: one step, read by the ledger and by the device's allocator at once.
fn memory(point: &Point, setup: &Setup, method: &dyn Method) -> Result<Held, Failure> {
    let session = device::session(&point.device, point.dtype)?;
    let mut learner = setup.learner(session, method, point.network.steps, point.batch)?;
    for _ in 0..BEFORE_READING {
        learner.step()?;
    }
    let ledger = Rc::clone(learner.trainer.session().ledger());
    ledger.restart();
    let gauge = Gauge::set(learner.trainer.session())?;
    learner.step()?;
    let reading = gauge.read()?;
    let peak = ledger.peak_of_all();
    Ok(Held {
        in_laws: ledger.peak_in_laws(),
        whole: peak.total,
        most: Category::ALL.map(|category| ledger.most(category)),
        at_peak: peak.held,
        reading,
        planned_bytes: None,
    })
}

struct Timed {
    seconds: Spread,
    workspace: usize,
    energy: Option<MeterRow>,
}

/// The clock lane: steps that nothing else is read in. An accelerator's energy is read at both ends of them, and further steps
/// follow that are not timed where they were too short for its meter.
fn clock<W: Write>(
    point: &Point,
    training: &Training,
    setup: &Setup,
    reporter: &mut Reporter<W>,
) -> Result<Timed, Failure> {
    let method = training.method(&point.key())?;
    let session = device::session(&point.device, point.dtype)?;
    let mut learner = setup.learner(session, &*method, point.network.steps, point.batch)?;
    let device = learner.trainer.session().device();
    // Before the warm-up, which leaves a device at its full clock.
    let meter = device.is_cuda().then(|| Meter::at_rest(device));
    for _ in 0..point.warm_up {
        learner.step()?;
    }
    let mut steps = |least: Duration| {
        let (mut seconds, all) = (Vec::with_capacity(point.timed), Instant::now());
        let mut taken = 0;
        while taken < point.timed || all.elapsed() < least {
            if taken < point.timed {
                reporter.tell_sometimes(|| Event::Clock { step: taken + 1, of: point.timed })?;
            }
            device::wait(learner.trainer.session())?;
            let began = Instant::now();
            learner.step()?;
            device::wait(learner.trainer.session())?;
            if taken < point.timed {
                seconds.push(began.elapsed().as_secs_f64());
            }
            taken += 1;
        }
        Ok::<_, Failure>((seconds, taken))
    };
    let (seconds, energy) = match meter {
        None => (steps(Duration::ZERO)?.0, None),
        Some(meter) => {
            let (taken, span) = meter.watch(|| steps(meter.shortest()));
            let (seconds, taken) = taken?;
            (seconds, Some(meter.row("training", &[span], taken * point.batch)))
        }
    };
    let workspace = learner.trainer.session().ledger().most(Category::Workspace);
    Ok(Timed { seconds: Spread::of(&seconds), workspace, energy })
}
