//! Compiling a source for the host, and calling its kernels.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use kernels::cuda::launch::Grid;
use kernels::cuda::source::{self, Number, Source};
use libloading::Library;

/// A source in one number type, as a library of the host.
pub(crate) struct Host(Library);

/// An argument's bytes, aligned as C wants it.
pub(crate) type Argument = Vec<u64>;

/// The bytes of a number, an address or a structure of numbers.
pub(crate) fn value<T: Copy>(value: T) -> Argument {
    let mut words = vec![0u64; size_of::<T>().div_ceil(8)];
    // SAFETY: the words have room for the value, and numbers have no padding that matters.
    unsafe {
        std::ptr::copy_nonoverlapping(
            (&raw const value).cast::<u8>(),
            words.as_mut_ptr().cast(),
            size_of::<T>(),
        )
    };
    words
}

/// The address of values that a kernel reads.
pub(crate) fn from<T>(values: &[T]) -> Argument {
    value(values.as_ptr())
}

/// The address of values that a kernel writes.
pub(crate) fn to<T>(values: &mut [T]) -> Argument {
    value(values.as_mut_ptr())
}

/// A pointer to nothing.
pub(crate) fn missing() -> Argument {
    value(0u64)
}

impl Host {
    /// Compiles `source` in `float` with the `kernels` that will be called; none where there is no compiler.
    pub(crate) fn new(source: Source, steps: usize, kernels: &[&str]) -> Option<Host> {
        Self::of(source, Number::F32, steps, kernels)
    }

    /// The same in a number type.
    pub(crate) fn of(source: Source, number: Number, steps: usize, kernels: &[&str]) -> Option<Host> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        if Command::new(&compiler).arg("--version").output().is_err() {
            eprintln!("SKIPPED: no C++ compiler ({compiler}), so {}.cu was not run on the host", source.name);
            return None;
        }
        // A folder of its own: tests run at once, and two of them compile one source in one type. What is loaded from it stays
        // loaded when the folder goes.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let place = |ending: &str| folder.path().join(format!("{}.{ending}", source.name));
        let table: String = kernels.iter().map(|kernel| format!("KERNEL({kernel})\n")).collect();
        let text = format!(
            "{}\n{}\nextern \"C\" int host_launch(const char* name, unsigned x, unsigned y, int together, void** \
             arguments) {{\n{table}return 1;\n}}\n",
            include_str!("host.hpp"),
            source::text(source, number, steps),
        );
        std::fs::write(place("cpp"), text).unwrap();
        // Products and sums round twice, as NVRTC is told.
        let done = Command::new(&compiler)
            .args(["-std=c++20", "-O1", "-ffp-contract=off", "-w", "-pthread", "-shared", "-fPIC", "-o"])
            .args([place("so"), place("cpp")])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // SAFETY: the library has just been made and has no initialisers of its own.
        Some(Host(unsafe { Library::new(place("so")).unwrap() }))
    }

    /// Runs a kernel whose threads do not meet.
    pub(crate) fn run(&self, name: &str, grid: Grid, arguments: Vec<Argument>) {
        self.launch(name, grid, false, arguments);
    }

    /// Runs a kernel whose blocks sum.
    pub(crate) fn run_together(&self, name: &str, grid: Grid, arguments: Vec<Argument>) {
        self.launch(name, grid, true, arguments);
    }

    fn launch(&self, name: &str, grid: Grid, together: bool, mut arguments: Vec<Argument>) {
        // What a block shares is a static inside an inline function here, and the loader makes one of those of all libraries:
        // two tests at once would write into each other's sums.
        static SHARED: Mutex<()> = Mutex::new(());
        let _alone = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        type Launch = unsafe extern "C" fn(*const c_char, c_uint, c_uint, c_int, *mut *mut c_void) -> c_int;
        let known = CString::new(name).unwrap();
        let mut places: Vec<*mut c_void> =
            arguments.iter_mut().map(|argument| argument.as_mut_ptr().cast()).collect();
        // SAFETY: the arguments are those of the kernel, in its order; the slices behind them outlive the call.
        let status = unsafe {
            let launch = self.0.get::<Launch>(b"host_launch").unwrap();
            launch(known.as_ptr(), grid.blocks.0, grid.blocks.1, c_int::from(together), places.as_mut_ptr())
        };
        assert_eq!(status, 0, "no kernel {name}");
    }
}

/// Numbers between -2 and 2 that repeat from run to run.
pub(crate) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 22) as f32 - 2.0
        })
        .collect()
}

/// A CPU tensor of these values.
pub(crate) fn tensor(values: &[f32], shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// The values of a tensor, in order.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The same numbers to the bit, but that zeros may differ in sign.
pub(crate) fn same(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(got == expected, "{what}[{i}]: {got:e} and on the CPU {expected:e}");
    }
}

/// Numbers that differ by rounding only.
pub(crate) fn close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            (got - expected).abs() <= 2e-6 * (1.0 + expected.abs()),
            "{what}[{i}]: {got:e} and {expected:e}"
        );
    }
}
