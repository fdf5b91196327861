//! Reading the stream-ordered pool of a device; see [`crate::cuda::pool`].

use candle_core::CudaDevice;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUmemPool_attribute};

use super::tensor::driver;
use crate::Result;
use crate::cuda::pool::Pool;

pub(in crate::cuda) fn read(gpu: &CudaDevice, reset: bool) -> Result<Pool> {
    const OP: &str = "cuda::pool";
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
