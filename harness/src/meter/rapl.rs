//! The processor's own energy counters: RAPL, as Linux's powercap tells them.
//!
//! Each package counts microjoules since some time in the past, and begins at 0 again behind its largest number.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::count::{Counter, Reading};
use super::{Pace, Source};

/// Where the counters are.
const POWERCAP: &str = "/sys/class/powercap";

/// A package's counter.
#[derive(Clone, Debug)]
struct Zone {
    counter: PathBuf,
    /// Microjoules at which it begins again.
    range: u64,
}

/// All packages of the machine.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    zones: Vec<Zone>,
}

impl Packages {
    /// Those of this machine.
    ///
    /// # Errors
    /// With the reason why they can't be read.
    pub(super) fn here() -> Result<Self, String> {
        Self::of(Path::new(POWERCAP))
    }

    fn of(folder: &Path) -> Result<Self, String> {
        Ok(Self { zones: zones(folder)? })
    }
}

impl Source for Packages {
    fn id(&self) -> &'static str {
        "rapl-packages"
    }

    fn read(&self) -> Result<Reading, String> {
        let counter = |zone: &Zone| {
            let microjoules = number(&zone.counter).map_err(|error| refused(&error))?;
            Ok(Counter { microjoules, range: Some(zone.range) })
        };
        self.zones.iter().map(counter).collect::<Result<_, _>>().map(Reading::Counted)
    }

    /// The counters move about once a millisecond, and go round once in ten minutes and more.
    fn pace(&self) -> Pace {
        Pace {
            settling: Duration::ZERO,
            rest: Duration::from_millis(500),
            between_readings: Duration::from_secs(60),
            shortest: Duration::from_millis(100),
        }
    }
}

fn refused(error: &std::io::Error) -> String {
    format!("the energy counters can't be read: {}", error.kind())
}

/// The packages of a powercap folder, in name order: `intel-rapl:0` and so on, without their parts.
fn zones(folder: &Path) -> Result<Vec<Zone>, String> {
    let none = || "this machine shows no energy counters".to_owned();
    let entries = std::fs::read_dir(folder).map_err(|_| none())?;
    let mut packages: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("intel-rapl:") && name.matches(':').count() == 1
        })
        .collect();
    packages.sort();
    if packages.is_empty() {
        return Err(none());
    }
    let zone = |package: PathBuf| {
        let counter = package.join("energy_uj");
        let range = number(&package.join("max_energy_range_uj"));
        number(&counter).and(range).map(|range| Zone { counter, range }).map_err(|error| refused(&error))
    };
    packages.into_iter().map(zone).collect()
}

fn number(path: &Path) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.trim().parse().map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_and_their_parts_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for (zone, counted) in [("intel-rapl:1", "20"), ("intel-rapl:0:0", "7"), ("intel-rapl:0", "10")] {
            std::fs::create_dir(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join("energy_uj"), counted).unwrap();
            std::fs::write(folder.path().join(zone).join("max_energy_range_uj"), "1000000").unwrap();
        }
        let packages = Packages::of(folder.path()).unwrap();
        let counter = |microjoules| Counter { microjoules, range: Some(1_000_000) };
        assert_eq!(packages.read(), Ok(Reading::Counted(vec![counter(10), counter(20)])));
        std::fs::write(folder.path().join("intel-rapl:1/energy_uj"), "no number").unwrap();
        let said = packages.read().unwrap_err();
        assert!(said.starts_with("the energy counters can't be read"), "{said}");
    }

    #[test]
    fn a_machine_without_counters_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let said = Packages::of(folder.path()).unwrap_err();
        assert_eq!(said, "this machine shows no energy counters");
    }
}
