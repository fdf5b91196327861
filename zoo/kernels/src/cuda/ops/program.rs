//! Sources become functions: compiled once a process, loaded once a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use candle_core::CudaDevice;
use candle_core::cuda_backend::DeviceId;
use cudarc::driver::{CudaFunction, CudaModule, LaunchConfig};
use cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};

use super::tensor::driver;
use crate::cuda::launch::{Grid, THREADS};
use crate::cuda::source::{self, Number, Source};
use crate::{Error, Result};

/// A compiled source: of which file, in which number type, for how many steps, on which device.
type Key = (&'static str, Number, usize, DeviceId);

#[derive(Default)]
struct Loaded {
    modules: HashMap<Key, Arc<CudaModule>>,
    functions: HashMap<(Key, &'static str), CudaFunction>,
}

fn loaded() -> &'static Mutex<Loaded> {
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    LOADED.get_or_init(Mutex::default)
}

/// Function `name` of `source`. `steps` matters to a source that is compiled for it.
pub(super) fn function(
    device: &CudaDevice,
    source: Source,
    number: Number,
    steps: usize,
    name: &'static str,
) -> Result<CudaFunction> {
    let key = (source.name, number, if source.of_steps { steps } else { 0 }, device.id());
    // The map holds whole entries only, so one who panicked beside it has broken nothing.
    let mut loaded = loaded().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(function) = loaded.functions.get(&(key, name)) {
        return Ok(function.clone());
    }
    let module = match loaded.modules.get(&key) {
        Some(module) => module.clone(),
        None => {
            let module = compile(device, source, number, steps)?;
            loaded.modules.insert(key, module.clone());
            module
        }
    };
    let function = module.load_function(name).map_err(|e| driver(name, &e))?;
    loaded.functions.insert((key, name), function.clone());
    Ok(function)
}

fn compile(device: &CudaDevice, source: Source, number: Number, steps: usize) -> Result<Arc<CudaModule>> {
    let stream = device.cuda_stream();
    let (major, minor) = stream.context().compute_capability().map_err(|e| driver(source.name, &e))?;
    let capability = (major.unsigned_abs() as usize, minor.unsigned_abs() as usize);
    let options = CompileOptions {
        options: source::options(capability),
        name: Some(format!("{}.cu", source.name)),
        ..CompileOptions::default()
    };
    let ptx = compile_ptx_with_opts(source::text(source, number, steps), options)
        .map_err(|e| Error::Compile { source_name: source.name, message: e.to_string() })?;
    stream.context().load_module(ptx).map_err(|e| driver(source.name, &e))
}

/// Compiles one source and loads it.
pub(super) fn ready(device: &CudaDevice) -> Result<()> {
    function(device, source::ELEMENTWISE, Number::F32, 0, "add").map(|_| ())
}

/// The launch of a grid.
pub(super) fn config(grid: Grid) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (grid.blocks.0, grid.blocks.1, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// Launches function `$name` of `$source` with arguments in the order of its declaration.
///
/// `$gpu` is a [`super::tensor::Gpu`], `$T` the number type, `$steps` the T it is compiled for (0 where that is nothing).
macro_rules! launch {
    ($gpu:expr, $source:ident, $T:ty, $steps:expr, $name:literal, $grid:expr, [$($arg:expr),* $(,)?]) => {{
        use cudarc::driver::PushKernelArg;
        let function = $crate::cuda::ops::program::function(
            $gpu.device(),
            $crate::cuda::source::$source,
            <$T as $crate::cuda::ops::tensor::Number>::NUMBER,
            $steps,
            $name,
        )?;
        let stream = $gpu.device().cuda_stream();
        let mut launch = stream.launch_builder(&function);
        $(
            let argument = $arg;
            launch.arg(&argument);
        )*
        // SAFETY: the arguments are those of the declaration in the source, in its order and of its types; addresses
        // come from tensors whose type, length and device were checked, and whose buffers outlive this call (their
        // release is ordered behind it on the same stream). Each kernel compares its index with the length.
        unsafe { launch.launch($crate::cuda::ops::program::config($grid)) }
            .map_err(|e| $crate::cuda::ops::tensor::driver($name, &e))?;
    }};
}
pub(super) use launch;
