//! An evaluation, measured: what one image computes, what it holds, how long it takes.

use std::io::Write;
use std::time::Instant;

use engine::drive;
use engine::method::{Batch, Outcome, RunSpec};
use engine::operations::Operations;
use engine::pass::{Mode, Pass};
use engine::run::Run;
use engine::tape::Tape;
use engine::unroll::{Through, TimeGradient};

use super::measure::pool;
use super::point::{InferenceFound, Point};
use crate::device;
use crate::event::Event;
use crate::gauge::{Gauge, Reading};
use crate::noise;
use crate::spread::Spread;
use crate::trial::{Failure, Reporter};

/// Forward passes in training mode before anything is read. Running statistics begin at mean 0 and variance 1, with
/// which the small weights of the beginning would hardly fire a neuron; each pass takes a tenth of the way to the batch's.
const SETTLING: usize = 100;

/// Measures a point's evaluation; one lane after the other, each with a network of its own.
pub(super) fn infer<W: Write + Send>(
    point: &Point,
    threads: usize,
    reporter: &mut Reporter<W>,
) -> Result<InferenceFound, Failure> {
    reporter.tell(&Event::Probe { steps: point.network.steps })?;
    let (counts, outcome, seconds) = pool(threads)?.install(|| {
        let (mut run, batch) = settled(point)?;
        let session = run.session();
        session.count_operations();
        let outcome = evaluate(&mut run, &batch)?;
        let counts = session.take_counts()?.unwrap_or_default();
        Ok::<_, Failure>((counts, outcome, clock(point, &mut run, &batch, reporter)?))
    })?;
    // On one thread, so that no byte depends on which of several packs a matrix at which moment.
    let held = pool(1)?.install(|| memory(point))?;
    let each = |of: fn(&Operations) -> u64| counts.total(of) as f64 / point.batch as f64;
    Ok(InferenceFound {
        dense_macs_per_sample: each(|sums| sums.dense_macs),
        macs_per_sample: each(|sums| sums.macs),
        acs_per_sample: each(|sums| sums.acs),
        firing_rate: (outcome.neuron_steps > 0).then(|| outcome.spikes as f64 / outcome.neuron_steps as f64),
        law_bytes: held.in_laws as u64,
        whole_bytes: held.whole as u64,
        heap_peak_bytes: held.reading.peak,
        accelerator: held.reading.accelerator,
        seconds,
    })
}

/// The network as it begins, and a batch for it.
fn fresh(point: &Point) -> Result<(Run, Batch), Failure> {
    let network = point.network(device::session(&point.device, point.dtype)?)?;
    let run = Run::new(network, RunSpec::new(point.network.steps, point.loss, point.key_for("run")));
    let batch = noise::batch(&run.session(), &point.network, point.batch)?;
    Ok((run, batch))
}

/// The network with running statistics of the batch.
fn settled(point: &Point) -> Result<(Run, Batch), Failure> {
    let (mut run, batch) = fresh(point)?;
    let session = run.session();
    for _ in 0..SETTLING {
        let tape = Tape::off();
        let Run { network, statistics, spec, .. } = &mut run;
        let pass = Pass::new(&session, &network.params, &tape, Mode::Train, spec.steps, spec.key);
        let mut through = Through::new(statistics, TimeGradient::Kept);
        drive::all_steps(&pass, &mut through, &network.wiring, &batch.images)?;
    }
    Ok((run, batch))
}

fn evaluate(run: &mut Run, batch: &Batch) -> engine::Result<Outcome> {
    run.evaluate(batch, |statistics| Through::new(statistics, TimeGradient::Kept))
}

fn clock<W: Write>(
    point: &Point,
    run: &mut Run,
    batch: &Batch,
    reporter: &mut Reporter<W>,
) -> Result<Spread, Failure> {
    for _ in 0..point.warm_up {
        evaluate(run, batch)?;
    }
    let mut seconds = Vec::with_capacity(point.timed);
    for step in 0..point.timed {
        reporter.tell_sometimes(|| Event::Clock { step: step + 1, of: point.timed })?;
        let session = run.session();
        device::wait(&session)?;
        let began = Instant::now();
        evaluate(run, batch)?;
        device::wait(&session)?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(Spread::of(&seconds))
}

struct Held {
    in_laws: usize,
    whole: usize,
    reading: Reading,
}

/// One evaluation, read by the ledger and by the device's allocator at once; the one before it leaves scratch in place. Bytes depend on
/// shapes, so the network need not have settled.
fn memory(point: &Point) -> Result<Held, Failure> {
    let (mut run, batch) = fresh(point)?;
    evaluate(&mut run, &batch)?;
    let session = run.session();
    let ledger = session.ledger();
    ledger.restart();
    let gauge = Gauge::set(&session)?;
    evaluate(&mut run, &batch)?;
    let reading = gauge.read()?;
    Ok(Held { in_laws: ledger.peak_in_laws(), whole: ledger.peak_of_all().total, reading })
}
