//! Opening a device.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{CudaDevice, Device};

use super::tensor::driver;
use super::{libraries, program};
use crate::{Error, Result};

/// Opens device `ordinal`, or gives the one that was opened before: two that were opened apart can't share tensors.
///
/// The first time it compiles one source, so that a device or a library that does not serve shows at once. All work goes
/// to one stream: a kernel sees what earlier ones wrote, and buffers go back to the pool in that order.
///
/// # Errors
/// When there is no driver, no such device, or the run-time compiler does not serve; the text says which.
pub fn open(ordinal: usize) -> Result<Device> {
    static OPENED: Mutex<BTreeMap<usize, CudaDevice>> = Mutex::new(BTreeMap::new());
    // The map holds whole devices only, so one who panicked beside it has broken nothing.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&ordinal) {
        return Ok(Device::Cuda(device.clone()));
    }
    let device = first(ordinal)?;
    opened.insert(ordinal, device.clone());
    Ok(Device::Cuda(device))
}

fn first(ordinal: usize) -> Result<CudaDevice> {
    libraries::present()?;
    let found = cudarc::driver::CudaContext::device_count()
        .map_err(|e| Error::NoDevice { why: format!("the driver does not answer: {e}") })?;
    if usize::try_from(found).unwrap_or(0) <= ordinal {
        let why = format!("the driver has {found}, counted from 0, and number {ordinal} was asked for");
        return Err(Error::NoDevice { why });
    }
    let device = CudaDevice::new_with_stream(ordinal)?;
    // SAFETY: this crate and candle use the device's one stream alone, so no event is needed to keep a buffer alive:
    // its release is ordered behind its last use.
    unsafe { device.disable_event_tracking() };
    let stream = device.cuda_stream();
    let (major, minor) = stream.context().compute_capability().map_err(|e| driver("cuda::open", &e))?;
    if (major, minor) < (7, 5) {
        let why = format!("number {ordinal} has compute capability {major}.{minor}, and 7.5 is needed");
        return Err(Error::NoDevice { why });
    }
    if !stream.context().has_async_alloc() {
        let why = format!("number {ordinal} has no stream-ordered pool, by which memory is measured");
        return Err(Error::NoDevice { why });
    }
    program::ready(&device)?;
    Ok(device)
}
