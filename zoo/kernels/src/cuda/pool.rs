//! What the stream-ordered pool of a device holds: the measure of memory there.
//!
//! Every buffer comes from the pool, so its high-water marks are exact. What the driver, cuBLAS and cuDNN allocate for
//! themselves lies outside of it.

use candle_core::Device;

use crate::Result;

/// Bytes of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// In use now.
    pub used: usize,
    /// Most that were in use at once since the last reset.
    pub used_peak: usize,
    /// Held by the pool now, in use or not.
    pub reserved: usize,
    /// Most that the pool held at once since the last reset.
    pub reserved_peak: usize,
    /// Free on the device, outside of the pool.
    pub free: usize,
    /// All the device has.
    pub total: usize,
}

impl Pool {
    /// Taken on the device and not by the pool: the driver's context, what libraries allocate for themselves, and whatever
    /// other processes hold.
    #[must_use]
    pub fn outside(&self) -> usize {
        self.total.saturating_sub(self.free).saturating_sub(self.reserved)
    }
}

/// Reads the pool of `device` once all work on it is done, and with `reset` starts a new measurement: both peaks are
/// then what there is now. `None` for a device that has no pool.
///
/// # Errors
/// When the driver refuses.
pub fn pool_of(device: &Device, reset: bool) -> Result<Option<Pool>> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return super::ops::memory::read(device, reset).map(Some);
    }
    let _ = (device, reset);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Pool, pool_of};

    #[test]
    fn the_host_has_no_pool() {
        assert_eq!(pool_of(&candle_core::Device::Cpu, true).unwrap(), None);
    }

    #[test]
    fn what_the_pool_does_not_hold_is_outside() {
        let pool = Pool { reserved: 30, free: 60, total: 100, ..Pool::default() };
        assert_eq!(pool.outside(), 10);
        assert_eq!(Pool { free: 100, ..pool }.outside(), 0);
    }
}
