//! What a step holds, as the allocator of its device counts it: the heap of the host, or an accelerator's pool.
//!
//! Both have high-water marks, so nothing is sampled while the step runs.

use candle_core::Device;
use engine::pass::Session;
use kernels::cuda::{self, Pool};
use kernels::heap;
use serde::{Deserialize, Serialize};

use crate::quantity::mib;

/// Set before a step, read after it.
pub(crate) struct Gauge {
    device: Device,
    live: usize,
    pool: Option<Pool>,
}

/// What was held since a gauge was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Peak in bytes above what was live when the gauge was set; `None` where nothing counts.
    pub(crate) peak: Option<u64>,
    /// Of an accelerator.
    pub(crate) accelerator: Option<Accelerator>,
}

/// What an accelerator's memory was taken by, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// Most that were in use at once, in all.
    pub used: u64,
    /// Most that the pool held, in use or not.
    pub reserved: u64,
    /// Outside of the pool in the end: the driver's context, what its libraries hold for themselves, other processes.
    pub outside: u64,
}

impl Gauge {
    /// Starts a measurement on the device of a session, once all work on it is done.
    ///
    /// # Errors
    /// When an accelerator's driver refuses.
    pub(crate) fn set(session: &Session) -> engine::Result<Self> {
        let device = session.device().clone();
        let pool = cuda::pool_of(&device, true)?;
        heap::reset_peak();
        Ok(Self { device, live: heap::live_bytes(), pool })
    }

    /// Reads the marks, once all work on the device is done.
    ///
    /// # Errors
    /// When an accelerator's driver refuses.
    pub(crate) fn read(&self) -> engine::Result<Reading> {
        let heap = heap::is_counting().then(|| heap::peak_bytes().saturating_sub(self.live) as u64);
        Ok(match self.pool.zip(cuda::pool_of(&self.device, false)?) {
            Some((before, after)) => Reading::of_pool(before, after),
            None => Reading { peak: heap, accelerator: None },
        })
    }
}

impl Reading {
    fn of_pool(before: Pool, after: Pool) -> Self {
        Self {
            peak: Some(after.used_peak.saturating_sub(before.used) as u64),
            accelerator: Some(Accelerator {
                used: after.used_peak as u64,
                reserved: after.reserved_peak as u64,
                outside: after.outside() as u64,
            }),
        }
    }
}

impl Accelerator {
    /// What the pool held and did not use.
    pub(crate) fn spare(&self) -> u64 {
        self.reserved.saturating_sub(self.used)
    }

    /// In words.
    pub(crate) fn told(&self) -> String {
        format!(
            "device memory: {} in use at most, {} held by the pool, {} outside of it",
            mib(self.used),
            mib(self.reserved),
            mib(self.outside)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_it_adds_and_the_rest_stands_beside_it() {
        let before = Pool { used: 100, used_peak: 100, reserved: 300, ..Pool::default() };
        let after =
            Pool { used: 110, used_peak: 450, reserved: 500, reserved_peak: 512, free: 400, total: 1000 };
        let reading = Reading::of_pool(before, after);
        assert_eq!(reading.peak, Some(350));
        let held = reading.accelerator.unwrap();
        assert_eq!(held, Accelerator { used: 450, reserved: 512, outside: 100 });
        assert_eq!(held.spare(), 62);
    }

    #[test]
    fn on_the_host_the_heap_is_read() {
        let session = crate::device::session("cpu", crate::precision::Precision::default()).unwrap();
        let reading = Gauge::set(&session).unwrap().read().unwrap();
        // The test's own allocator counts nothing.
        assert_eq!(reading, Reading { peak: None, accelerator: None });
    }
}
