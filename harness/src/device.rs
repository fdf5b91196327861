//! Where a trial computes.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use engine::pass::Session;

use crate::error::{Error, Result};
use crate::precision::Precision;

/// Accelerators of a machine that have an id.
const MOST: usize = 8;

/// A device, by its id: `cpu`, or `cuda:0` to `cuda:7`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA accelerator, by its number.
    Cuda(usize),
}

const ALL: [(&str, DeviceKind); 1 + MOST] = [
    ("cpu", DeviceKind::Cpu),
    ("cuda:0", DeviceKind::Cuda(0)),
    ("cuda:1", DeviceKind::Cuda(1)),
    ("cuda:2", DeviceKind::Cuda(2)),
    ("cuda:3", DeviceKind::Cuda(3)),
    ("cuda:4", DeviceKind::Cuda(4)),
    ("cuda:5", DeviceKind::Cuda(5)),
    ("cuda:6", DeviceKind::Cuda(6)),
    ("cuda:7", DeviceKind::Cuda(7)),
];

impl ValueEnum for DeviceKind {
    fn value_variants<'a>() -> &'a [Self] {
        const KINDS: [DeviceKind; 1 + MOST] = {
            let mut kinds = [DeviceKind::Cpu; 1 + MOST];
            let mut i = 0;
            while i < ALL.len() {
                kinds[i] = ALL[i].1;
                i += 1;
            }
            kinds
        };
        &KINDS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.id());
        Some(match self {
            Self::Cpu => value.help("The processor"),
            Self::Cuda(0) => value.alias("cuda").help("An NVIDIA accelerator, the first of up to eight"),
            Self::Cuda(_) => value.hide(true),
        })
    }
}

impl DeviceKind {
    /// Its id in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        ALL.iter().find(|(_, kind)| *kind == self).map_or("cuda", |(id, _)| id)
    }

    /// The device itself.
    ///
    /// # Errors
    /// Names the device and what is missing.
    pub(crate) fn open(self) -> Result<candle_core::Device> {
        open(self, "--device")
    }

    /// Why this build or this machine can't compute on it, if it can't.
    #[must_use]
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Cpu => None,
            Self::Cuda(number) => accelerator(number).err(),
        }
    }

    /// Refuses a device that this build or this machine can't compute on, before anything runs.
    ///
    /// # Errors
    /// Names the device and what is missing.
    pub fn check(self) -> Result<()> {
        open(self, "--device").map(|_| ())
    }
}

fn open(kind: DeviceKind, place: &str) -> Result<candle_core::Device> {
    let DeviceKind::Cuda(number) = kind else { return Ok(candle_core::Device::Cpu) };
    accelerator(number).map_err(|why| Error::value(place, format!("cpu ({why})"), kind.id()))
}

#[cfg(feature = "cuda")]
fn accelerator(number: usize) -> std::result::Result<candle_core::Device, String> {
    kernels::cuda::open(number).map_err(|e| e.to_string())
}

#[cfg(not(feature = "cuda"))]
fn accelerator(_: usize) -> std::result::Result<candle_core::Device, String> {
    Err(NO_KERNELS.to_owned())
}

#[cfg(not(feature = "cuda"))]
const NO_KERNELS: &str = "this build has no CUDA kernels; one with `--features cuda` has";

/// An accelerator's place on the PCI bus, which its energy meter is found by.
///
/// # Errors
/// With the reason, when its driver refuses or this build has none.
#[cfg(feature = "cuda")]
pub(crate) fn pci_address(device: &candle_core::Device) -> std::result::Result<String, String> {
    use candle_core::cuda_backend::cudarc::driver::sys::CUdevice_attribute as Attribute;
    let stream = device.as_cuda_device().map_err(|error| error.to_string())?.cuda_stream();
    let read = |attribute| {
        stream.context().attribute(attribute).map_err(|error| format!("the driver refuses: {error}"))
    };
    let domain = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?;
    let bus = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?;
    let device = read(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?;
    Ok(format!("{domain:08X}:{bus:02X}:{device:02X}.0"))
}

#[cfg(all(feature = "nvml", not(feature = "cuda")))]
pub(crate) fn pci_address(_: &candle_core::Device) -> std::result::Result<String, String> {
    Err(NO_KERNELS.to_owned())
}

/// What an accelerator's pool holds now; `None` on the processor.
///
/// # Errors
/// When this build or this machine has no such device, or its driver refuses.
pub(crate) fn pool(kind: DeviceKind) -> Result<Option<kernels::cuda::Pool>> {
    kernels::cuda::pool_of(&kind.open()?, false)
        .map_err(|source| Error::Setting { place: "device".to_owned(), source: source.into() })
}

/// A session on the device of an id.
///
/// # Errors
/// When this build or this machine has no such device.
pub(crate) fn session(id: &str, precision: Precision) -> Result<Session> {
    match ALL.iter().find(|(known, _)| *known == id) {
        Some((_, kind)) => Ok(Session::new(open(*kind, "device")?, precision.dtype())),
        None => Err(Error::value("device", "cpu or cuda:0 to cuda:7", id)),
    }
}

/// Waits until all work on the session's device is done: both ends of a clock.
///
/// # Errors
/// When an accelerator's driver refuses.
pub(crate) fn wait(session: &Session) -> engine::Result<()> {
    Ok(session.device().synchronize()?)
}

/// A session that only plans: shapes and counts, no numbers.
pub(crate) fn planning(precision: Precision) -> Session {
    Session::plan(precision.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_words_of_the_command_line() {
        for (id, kind) in ALL {
            assert_eq!(kind.id(), id);
            assert_eq!(DeviceKind::from_str(id, false), Ok(kind));
        }
        assert_eq!(DeviceKind::from_str("cuda", false), Ok(DeviceKind::Cuda(0)));
        assert!(DeviceKind::from_str("cuda:8", false).is_err());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        assert!(session("cpu", Precision::default()).is_ok());
        for said in [
            DeviceKind::Cuda(0).check().unwrap_err(),
            session("cuda:1", Precision::default()).map(|_| ()).unwrap_err(),
        ] {
            assert!(said.to_string().contains("this build has no CUDA kernels"), "{said}");
        }
    }
}
