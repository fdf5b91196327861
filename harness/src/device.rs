//! Where a trial computes.

use clap::ValueEnum;
use engine::pass::Session;

use crate::error::{Error, Result};

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA accelerator.
    Cuda,
}

impl DeviceKind {
    /// Its id in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// Refuses a device that this build can't compute on, before anything runs.
    ///
    /// # Errors
    /// Names the device.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Cpu => Ok(()),
            Self::Cuda => Err(Error::value("--device", "cpu (this build has no CUDA kernels)", self.id())),
        }
    }
}

/// A session in single precision on the device of an id.
///
/// # Errors
/// When this build has no such device.
pub(crate) fn session(id: &str) -> Result<Session> {
    if id == DeviceKind::Cpu.id() {
        return Ok(Session::new(candle_core::Device::Cpu, candle_core::DType::F32));
    }
    Err(Error::value("device", "cpu (this build has no CUDA kernels)", id))
}

/// A session that only plans: shapes and counts, no numbers.
pub(crate) fn planning() -> Session {
    Session::plan(candle_core::DType::F32)
}
