//! Whether NVIDIA's libraries are on this machine, told before the first of them is called.
//!
//! A program that was linked with doors (`scripts/cuda-doors.sh`) starts without them. One that was linked with the
//! libraries themselves would not have come this far.

use libloading::Library;

use crate::{Error, Result};

/// The driver's, which comes with a driver.
const DRIVER: &str = "libcuda.so.1";

/// The version of CUDA that the program was built for, which is the one of its libraries.
const MAJOR: u32 = cudarc::driver::sys::CUDA_VERSION / 1000;

/// Refuses a machine without a driver or one of the libraries, by name.
pub(super) fn present() -> Result<()> {
    let missing = |why: String| Error::NoDevice { why };
    open(DRIVER).map_err(|_| missing(format!("no driver library ({DRIVER} can't be opened)")))?;
    let toolkit = ["cublas", "cublasLt", "nvrtc"].map(|name| format!("lib{name}.so.{MAJOR}"));
    let own = ["libcurand.so.10", "libcudnn.so.9"].map(str::to_owned);
    for name in toolkit.iter().chain(&own) {
        let said = "can't be opened; LD_LIBRARY_PATH must lead to the CUDA libraries";
        open(name).map_err(|_| missing(format!("{name} {said}")))?;
    }
    Ok(())
}

fn open(name: &str) -> std::result::Result<(), libloading::Error> {
    // SAFETY: the initialisers of NVIDIA's libraries have no requirements; the doors run the same ones.
    let library = unsafe { Library::new(name) }?;
    // It stays: the doors open it again, and a library that goes and comes would start anew.
    std::mem::forget(library);
    Ok(())
}
