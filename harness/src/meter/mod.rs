//! The energy that a device takes, as its own meter counts it: RAPL of the processor, NVML of an NVIDIA device.
//!
//! A meter counts the whole device, whatever runs beside a trial, so its power at rest is measured first, for reports to take
//! off. Where a meter can't be read there is the reason in place of a number.

mod count;
#[cfg(feature = "nvml")]
mod nvml;
mod rapl;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use candle_core::Device;
use results::MeterRow;

use count::{Count, Reading};

/// What a meter is read from.
trait Source: Send + Sync {
    /// The meter's id in records.
    fn id(&self) -> &'static str;

    /// What it tells now.
    fn read(&self) -> Result<Reading, String>;

    /// How slowly it may be read.
    fn pace(&self) -> Pace;
}

/// How slowly a meter may be read.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long the device takes to come to rest.
    settling: Duration,
    /// How long it is watched at rest.
    rest: Duration,
    /// The longest that may lie between two readings while it works.
    between_readings: Duration,
    /// The shortest work that it tells from none: its numbers move in steps.
    shortest: Duration,
}

/// The meter of a device, with its power at rest; or the reason why it can't be read.
pub(crate) struct Meter {
    id: &'static str,
    source: Result<Box<dyn Source>, String>,
    idle_watts: Option<f64>,
}

/// What a meter counted while something was done.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    seconds: f64,
    joules: Result<f64, String>,
}

impl Meter {
    /// The meter of a device, which is watched at rest for a moment where there is one.
    pub(crate) fn at_rest(device: &Device) -> Self {
        if device.is_cuda() {
            Self::resting("nvml-energy", board(device))
        } else {
            Self::resting("rapl-packages", rapl::Packages::here().map(|found| Box::new(found) as _))
        }
    }

    /// `id` names the meter where there is no source to do so.
    fn resting(id: &'static str, source: Result<Box<dyn Source>, String>) -> Self {
        let id = source.as_ref().map_or(id, |source| source.id());
        let mut meter = Self { id, source, idle_watts: None };
        if let Ok(source) = &meter.source {
            let pace = source.pace();
            thread::sleep(pace.settling);
            let rest = meter.watch(|| thread::sleep(pace.rest)).1;
            meter.idle_watts = rest.joules.ok().map(|joules| joules / rest.seconds.max(f64::MIN_POSITIVE));
        }
        meter
    }

    /// Does something, and says what it took. The device must have done its work when `act` ends.
    pub(crate) fn watch<T>(&self, act: impl FnOnce() -> T) -> (T, Span) {
        let began = Instant::now();
        let source = match &self.source {
            Ok(source) => &**source,
            Err(reason) => {
                let done = act();
                let (seconds, joules) = (began.elapsed().as_secs_f64(), Err(reason.clone()));
                return (done, Span { seconds, joules });
            }
        };
        let mut first = Count::default();
        let mut failed = add(&mut first, source, began).err();
        let every = source.pace().between_readings;
        let (stop, stopped) = channel::<()>();
        let (done, between) = thread::scope(|scope| {
            // On a thread beside: one whose work is short never reads.
            let reader = thread::Builder::new().spawn_scoped(scope, move || {
                let mut count = first;
                let mut failed = None;
                while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                    failed = failed.or(add(&mut count, source, began).err());
                }
                (count, failed)
            });
            let done = act();
            drop(stop);
            let between = match reader {
                Ok(reader) => reader.join().map_err(|_| "the energy meter's reader broke off".to_owned()),
                Err(error) => Err(format!("the energy meter's reader can't be started: {error}")),
            };
            (done, between)
        });
        let counted = between.and_then(|(mut count, failed_between)| {
            failed = failed.take().or(failed_between).or(add(&mut count, source, began).err());
            failed.map_or(Ok(count), Err)
        });
        // Between the first reading and the last one, as the energy is.
        let seconds = counted.as_ref().map_or(began.elapsed().as_secs_f64(), Count::seconds);
        (done, Span { seconds, joules: counted.map(|count| count.joules()) })
    }

    /// How long work has to be for the meter to tell what it took.
    pub(crate) fn shortest(&self) -> Duration {
        self.source.as_ref().map_or(Duration::ZERO, |source| source.pace().shortest)
    }

    /// The row of what was done in these spans with so many samples.
    pub(crate) fn row(&self, doing: &str, spans: &[Span], samples: usize) -> MeterRow {
        let joules: Result<f64, String> = spans.iter().map(|span| span.joules.clone()).sum();
        let note = match (&self.source, &joules, self.idle_watts) {
            (Err(reason), ..) | (_, Err(reason), _) => reason.clone(),
            (_, _, None) => "the power at rest could not be read".to_owned(),
            _ => String::new(),
        };
        MeterRow {
            meter: self.id.to_owned(),
            doing: doing.to_owned(),
            samples: samples as u64,
            seconds: spans.iter().map(|span| span.seconds).sum(),
            joules: joules.ok().filter(|_| self.source.is_ok()),
            idle_watts: self.idle_watts,
            note,
            ..MeterRow::default()
        }
    }
}

/// A row in words, for a place that has no columns for it.
pub(crate) fn told(row: &MeterRow) -> String {
    match (row.joules_per_sample(), row.idle_watts) {
        (Ok(joules), Some(watts)) => format!(
            "energy of a sample: {joules:.4} J above {watts:.1} W at rest ({}, {} samples in {:.1} s)",
            row.meter, row.samples, row.seconds
        ),
        _ => format!("energy not measured: {}", row.note),
    }
}

/// Takes one more reading, at the time at which it is there.
fn add(count: &mut Count, source: &dyn Source, began: Instant) -> Result<(), String> {
    let reading = source.read()?;
    count.add(began.elapsed().as_secs_f64(), reading)
}

#[cfg(feature = "nvml")]
fn board(accelerator: &Device) -> Result<Box<dyn Source>, String> {
    let address = crate::device::pci_address(accelerator)?;
    nvml::Board::at(&address).map(|board| Box::new(board) as _)
}

#[cfg(not(feature = "nvml"))]
fn board(_: &Device) -> Result<Box<dyn Source>, String> {
    Err("this build reads no energy of an accelerator; one with `--features cuda` does".to_owned())
}

#[cfg(test)]
mod tests;
