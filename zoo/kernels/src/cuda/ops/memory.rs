//! What the stream-ordered pool of a device holds: the measure of memory there.
//!
//! Every tensor comes from the pool, so its high-water mark is exact. What cuBLAS and cuDNN allocate for themselves lies
//! outside; [`Pool::total`] less free memory has both.

use candle_core::Device;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUmemPool_attribute};

use super::tensor::driver;
use crate::{Error, Result};

/// Bytes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Reads the pool of `device` once all work on it is done, and with `reset` starts a new measurement: both peaks are
/// then what there is now.
///
/// # Errors
/// When `device` is no CUDA device, or the driver refuses.
pub fn pool_of(device: &Device, reset: bool) -> Result<Pool> {
    const OP: &str = "cuda::pool";
    let Device::Cuda(gpu) = device else {
        return Err(Error::NoKernel { op: OP, device: format!("{:?}", device.location()) });
    };
    let (stream, failed) = (gpu.cuda_stream(), |e| driver(OP, &e));
    // Releases are part of the stream's order: what is still to be done would count as used.
    stream.synchronize().map_err(failed)?;
    // SAFETY: the context is alive, and its device is one that the driver gave.
    let pool = unsafe { result::device::get_mem_pool(stream.context().cu_device()) }.map_err(failed)?;
    let read = |attribute| -> Result<usize> {
        let mut bytes = 0u64;
        // SAFETY: these attributes are written as one unsigned 64-bit number.
        unsafe { sys::cuMemPoolGetAttribute(pool, attribute, (&raw mut bytes).cast()) }
            .result()
            .map_err(failed)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    };
    let (free, total) = stream.context().mem_get_info().map_err(failed)?;
    let now = Pool {
        used: read(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?,
        used_peak: read(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)?,
        reserved: read(CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?,
        reserved_peak: read(CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)?,
        free,
        total,
    };
    if reset {
        for attribute in [
            CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
            CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH,
        ] {
            let mut zero = 0u64;
            // SAFETY: as above; zero is the one value that these attributes take.
            unsafe { sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut zero).cast()) }
                .result()
                .map_err(failed)?;
        }
    }
    Ok(now)
}
