//! The clock lane: training, epoch by epoch, with an evaluation after each.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use engine::method::Outcome;
use kernels::heap;
use results::CurvePoint;

use super::learner::Learner;
use super::report::Reporter;
use super::{Failure, clock, operations};
use crate::configuration::Configuration;
use crate::device;
use crate::event::{Assignment, Event, Measured};
use crate::gauge::Gauge;
use crate::meter::Meter;
use crate::precision::Precision;
use crate::source::Feed;
use crate::weights;

/// Trains for the whole budget; with a budget of no epochs, judges the weights that it begins with. The trained weights
/// are saved to each of the folders `left_in`.
pub(super) fn train<W: Write>(
    assignment: &Assignment,
    train: &Feed,
    test: &Feed,
    left_in: &[&Path],
    reporter: &mut Reporter<W>,
) -> Result<Measured, Failure> {
    let configuration = &assignment.configuration;
    let epochs = configuration.budget.epochs;
    let session = device::session(&configuration.device, configuration.dtype)?;
    let weights = assignment.weights.as_deref();
    let mut learner = Learner::new(configuration, session, configuration.network.steps, weights)?;
    let mut seconds = Seconds::default();
    let (mut judged, mut trained_samples) = (Sum::default(), 0);
    let meter = Meter::at_rest(learner.session.device());
    let (mut trainings, mut evaluations) = (Vec::new(), Vec::new());
    let gauge = Gauge::set(&learner.session)?;
    if epochs == 0 {
        let (found, span) = meter.watch(|| judge(&mut learner, test));
        judged = found?;
        evaluations.push(span);
        let point = CurvePoint { test_top1: judged.top1(), ..CurvePoint::default() };
        reporter.tell(&Event::Epoch { point, samples_per_second: 0.0, peak_bytes: heap::peak_bytes() })?;
    }
    for epoch in 0..epochs {
        let (trained, span) =
            meter.watch(|| train_epoch(configuration, train, &mut learner, epoch, reporter, &mut seconds));
        let (learned, rate, samples_per_second) = trained?;
        trainings.push(span);
        trained_samples += learned.samples;
        let began = Instant::now();
        let (found, span) = meter.watch(|| judge(&mut learner, test));
        judged = found?;
        evaluations.push(span);
        let averaged = learner.averaged(|learner| judge(learner, test))?;
        seconds.eval += began.elapsed().as_secs_f64();
        let point = CurvePoint {
            epoch: 1 + epoch as u32,
            train_loss: learned.loss(),
            train_top1: learned.top1(),
            test_top1: judged.top1(),
            test_top1_average: averaged.and_then(|sum| sum.top1()),
            learning_rate: Some(rate),
            ..CurvePoint::default()
        };
        reporter.tell(&Event::Epoch { point, samples_per_second, peak_bytes: heap::peak_bytes() })?;
    }
    for folder in left_in {
        weights::save(learner.trainer.run(), folder, &configuration.key())?;
    }
    let held = gauge.read()?.accelerator;
    let spiking = judged.neuron_steps > 0;
    let mut measured = Measured {
        clock: (epochs > 0).then(|| clock::read(&seconds.steps, seconds.train, seconds.eval)),
        peak_device_bytes: held.map(|held| held.used),
        peak_host_bytes: heap::is_counting().then(|| heap::peak_bytes() as u64),
        spikes_per_sample: spiking.then(|| judged.spikes as f64 / judged.samples as f64),
        firing_rate: spiking.then(|| judged.spikes as f64 / judged.neuron_steps as f64),
        ..Measured::default()
    };
    if !spiking {
        measured.add_note("nothing spikes here");
    }
    if epochs > 0 {
        measured.meter.push(meter.row("training", &trainings, trained_samples));
    }
    measured.meter.push(meter.row("evaluation", &evaluations, evaluations.len() * judged.samples));
    // The clocks have been read.
    operations::evaluate(&mut learner, test, &mut measured);
    if epochs == 0 {
        measured.add_note("evaluation alone");
    }
    if configuration.dtype == Precision::F16 {
        let scale = learner.session.loss_scale();
        let (left_out, factor) = (scale.left_out(), scale.factor());
        measured.add_note(&format!("loss scale {factor} in the end, {left_out} updates left out"));
    }
    Ok(measured)
}

/// One pass over the test set.
fn judge(learner: &mut Learner, loader: &Feed) -> Result<Sum, Failure> {
    let mut judged = Sum::default();
    for batch in loader.epoch(0) {
        let batch = learner.batch(loader, batch?)?;
        judged.add(&learner.trainer.evaluate(&batch)?);
    }
    Ok(judged)
}

/// One pass over the training set: what was learned, the last learning rate, and the samples per second.
fn train_epoch<W: Write>(
    configuration: &Configuration,
    loader: &Feed,
    learner: &mut Learner,
    epoch: usize,
    reporter: &mut Reporter<W>,
    seconds: &mut Seconds,
) -> Result<(Sum, f64, f64), Failure> {
    let (epochs, batches) = (configuration.budget.epochs as f64, loader.batches() as f64);
    let (mut learned, mut rate) = (Sum::default(), 0.0);
    let began = Instant::now();
    for (step, batch) in loader.epoch(epoch as u64).enumerate() {
        let batch = learner.batch(loader, batch?)?;
        rate = configuration.schedule.rate(epoch as f64 + step as f64 / batches, epochs);
        learner.optimizer.set_learning_rate(rate);
        device::wait(&learner.session)?;
        let clock = Instant::now();
        let outcome = learner.step(&batch)?;
        device::wait(&learner.session)?;
        seconds.steps.push(clock.elapsed().as_secs_f64());
        if !outcome.loss.is_finite() {
            let (loss, place) = (outcome.loss, step + 1);
            return Err(Failure::because(format!(
                "the loss became {loss} at step {place} of epoch {}: training diverged",
                epoch + 1
            )));
        }
        learned.add(&outcome);
        reporter.tell_sometimes(|| Event::Step {
            epoch: epoch + 1,
            step: step + 1,
            loss: outcome.loss,
            samples_per_second: learned.samples as f64 / began.elapsed().as_secs_f64(),
            peak_bytes: heap::peak_bytes(),
        })?;
    }
    let elapsed = began.elapsed().as_secs_f64();
    seconds.train += elapsed;
    let samples_per_second = learned.samples as f64 / elapsed;
    Ok((learned, rate, samples_per_second))
}

/// What the clock saw.
#[derive(Default)]
struct Seconds {
    steps: Vec<f64>,
    train: f64,
    eval: f64,
}

/// Outcomes of several batches, added in order.
#[derive(Default)]
struct Sum {
    weighted_loss: f64,
    correct: usize,
    samples: usize,
    spikes: u64,
    neuron_steps: u64,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.weighted_loss += outcome.loss * outcome.samples as f64;
        self.correct += outcome.correct;
        self.samples += outcome.samples;
        self.spikes += outcome.spikes;
        self.neuron_steps += outcome.neuron_steps;
    }

    fn loss(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.weighted_loss / self.samples as f64)
    }

    fn top1(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.correct as f64 / self.samples as f64)
    }
}
