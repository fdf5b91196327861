//! The processor's own energy meter: RAPL counters, as Linux's powercap tells them.
//!
//! Each package counts microjoules since some time in the past, and begins at 0 again behind its largest number. What runs
//! beside a trial is counted too, so the power at rest is measured first, for reports to take off.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use results::MeterRow;

/// Where the counters are.
const POWERCAP: &str = "/sys/class/powercap";

/// How long the machine is watched at rest. The counters move about once a millisecond.
const REST: Duration = Duration::from_millis(500);

/// A package's counter.
#[derive(Clone, Debug)]
struct Zone {
    counter: PathBuf,
    /// Microjoules at which it begins again.
    range: u64,
}

/// All packages of the machine, with their power at rest; or the reason why they can't be read.
#[derive(Debug)]
pub(crate) struct Meter {
    zones: Vec<Zone>,
    idle_watts: Option<f64>,
    reason: String,
}

/// What a meter counted while something was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    seconds: f64,
    microjoules: Option<u64>,
}

impl Meter {
    /// The machine's counters, watched at rest for half a second where there are any.
    pub(crate) fn at_rest() -> Self {
        let mut meter = Self::of(Path::new(POWERCAP));
        if !meter.zones.is_empty() {
            let rest = meter.watch(|| std::thread::sleep(REST)).1;
            meter.idle_watts =
                rest.microjoules.map(|counted| counted as f64 / 1e6 / rest.seconds.max(f64::MIN_POSITIVE));
        }
        meter
    }

    fn of(folder: &Path) -> Self {
        match zones(folder) {
            Ok(zones) => Self { zones, idle_watts: None, reason: String::new() },
            Err(reason) => Self { zones: Vec::new(), idle_watts: None, reason },
        }
    }

    /// Does something, and says what it took.
    pub(crate) fn watch<T>(&self, act: impl FnOnce() -> T) -> (T, Span) {
        let (before, began) = (self.read(), Instant::now());
        let done = act();
        let (after, seconds) = (self.read(), began.elapsed().as_secs_f64());
        let microjoules = before.zip(after).map(|(before, after)| {
            let each = self.zones.iter().zip(before).zip(after);
            each.map(|((zone, before), after)| passed(zone.range, before, after)).sum()
        });
        (done, Span { seconds, microjoules })
    }

    fn read(&self) -> Option<Vec<u64>> {
        let zones = self.zones.iter();
        (!self.zones.is_empty()).then(|| zones.map(|zone| number(&zone.counter).ok()).collect())?
    }

    /// The row of what was done in these spans with so many samples.
    pub(crate) fn row(&self, doing: &str, spans: &[Span], samples: usize) -> MeterRow {
        let counted: Option<u64> = spans.iter().map(|span| span.microjoules).sum();
        let reason = match counted {
            _ if !self.reason.is_empty() => self.reason.clone(),
            None => "a counter could not be read".to_owned(),
            Some(_) => String::new(),
        };
        MeterRow {
            meter: "rapl-packages".to_owned(),
            doing: doing.to_owned(),
            samples: samples as u64,
            seconds: spans.iter().map(|span| span.seconds).sum(),
            joules: counted.filter(|_| !self.zones.is_empty()).map(|counted| counted as f64 / 1e6),
            idle_watts: self.idle_watts,
            note: reason,
            ..MeterRow::default()
        }
    }
}

/// What was counted between two readings; the counter may have begun anew once.
fn passed(range: u64, before: u64, after: u64) -> u64 {
    after.checked_sub(before).unwrap_or_else(|| (range + after).saturating_sub(before))
}

/// The packages of a powercap folder, in name order: `intel-rapl:0` and so on, without their parts.
fn zones(folder: &Path) -> Result<Vec<Zone>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|_| "this machine shows no energy counters".to_owned())?;
    let mut packages: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("intel-rapl:") && name.matches(':').count() == 1
        })
        .collect();
    packages.sort();
    if packages.is_empty() {
        return Err("this machine shows no energy counters".to_owned());
    }
    let zone = |package: PathBuf| {
        let counter = package.join("energy_uj");
        let range = number(&package.join("max_energy_range_uj"));
        let readable = number(&counter).and(range);
        let refused = |error: std::io::Error| format!("the energy counters can't be read: {}", error.kind());
        readable.map(|range| Zone { counter, range }).map_err(refused)
    };
    packages.into_iter().map(zone).collect()
}

fn number(path: &Path) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.trim().parse().map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::{Meter, passed};

    #[test]
    fn a_counter_that_began_anew_is_followed() {
        assert_eq!([passed(100, 20, 50), passed(100, 90, 5)], [30, 15]);
    }

    #[test]
    fn packages_are_added_and_their_parts_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for (zone, counted) in [("intel-rapl:0", "10"), ("intel-rapl:0:0", "7"), ("intel-rapl:1", "20")] {
            std::fs::create_dir(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join("energy_uj"), counted).unwrap();
            std::fs::write(folder.path().join(zone).join("max_energy_range_uj"), "1000000").unwrap();
        }
        let mut meter = Meter::of(folder.path());
        meter.idle_watts = Some(0.0);
        let counter = folder.path().join("intel-rapl:1/energy_uj");
        let span = meter.watch(|| std::fs::write(counter, "3000020").unwrap()).1;
        let row = meter.row("evaluation", &[span], 4);
        assert_eq!((row.joules, row.samples, row.note.as_str()), (Some(3.0), 4, ""));
        assert_eq!(row.joules_per_sample(), Ok(0.75));
    }

    #[test]
    fn without_counters_there_is_a_reason_and_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let meter = Meter::of(folder.path());
        let row = meter.row("training", &[meter.watch(|| ()).1], 1);
        assert_eq!(row.joules, None);
        assert_eq!(row.joules_per_sample(), Err("this machine shows no energy counters".to_owned()));
    }
}
