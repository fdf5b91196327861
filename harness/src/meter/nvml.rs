//! An NVIDIA device's own energy meter: NVML, the library of the driver that `nvidia-smi` reads.
//!
//! Devices since Volta count their energy. Others tell their power, which is read often and integrated. Both are of the whole
//! board, whatever runs on it.

use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::count::{Counter, Reading};
use super::{Pace, Source};

/// What a device tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Energy,
    Power,
}

/// The meter of a device.
#[derive(Debug)]
pub(super) struct Board {
    library: Nvml,
    /// Its place on the PCI bus: NVML and CUDA number devices in different orders.
    address: String,
    tells: Tells,
}

impl Board {
    /// That of the device at a place of the PCI bus, `<domain>:<bus>:<device>.0` in hexadecimal digits.
    ///
    /// # Errors
    /// With the reason why it can't be read.
    pub(super) fn at(address: &str) -> Result<Self, String> {
        let library = Nvml::init().map_err(|error| match error {
            NvmlError::LibloadingError(_) => "no NVML library (libnvidia-ml.so.1 can't be opened)".to_owned(),
            other => format!("NVML can't be started: {other}"),
        })?;
        let mut board = Self { library, address: address.to_owned(), tells: Tells::Energy };
        if let Err(counter) = board.read() {
            board.tells = Tells::Power;
            board.read().map_err(|power| {
                format!("the accelerator tells neither energy ({counter}) nor power ({power})")
            })?;
        }
        Ok(board)
    }

    fn ask(&self) -> Result<Reading, NvmlError> {
        let device = self.library.device_by_pci_bus_id(self.address.as_str())?;
        Ok(match self.tells {
            Tells::Energy => Reading::Counted(vec![Counter {
                microjoules: device.total_energy_consumption()?.saturating_mul(1000),
                range: None,
            }]),
            Tells::Power => Reading::Power(f64::from(device.power_usage()?) / 1e3),
        })
    }
}

impl Source for Board {
    fn id(&self) -> &'static str {
        match self.tells {
            Tells::Energy => "nvml-energy",
            Tells::Power => "nvml-power",
        }
    }

    fn read(&self) -> Result<Reading, String> {
        self.ask().map_err(|error| error.to_string())
    }

    /// Clocks fall for some time after the last work, and both numbers move about ten times a second.
    fn pace(&self) -> Pace {
        let between_readings = match self.tells {
            Tells::Energy => Duration::from_secs(60),
            Tells::Power => Duration::from_millis(50),
        };
        Pace {
            settling: Duration::from_secs(1),
            rest: Duration::from_secs(2),
            between_readings,
            shortest: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Board;

    #[test]
    fn without_the_library_or_the_device_the_reason_is_told() {
        // No machine has a device at the end of the last bus.
        let said = Board::at("FFFFFFFF:FF:1F.0").map(|_| ()).unwrap_err();
        let known = [
            "no NVML library (libnvidia-ml.so.1 can't be opened)",
            "NVML can't be started",
            "the accelerator tells neither energy",
        ];
        assert!(known.iter().any(|reason| said.starts_with(reason)), "{said}");
    }
}
