//! Every CUDA source compiles, in every number type, by the run-time compiler: it needs no GPU, no driver, no toolkit.
//!
//! The compiler is the library that `NVRTC_LIBRARY` names (`scripts/cuda-toolkit.sh --only nvrtc` fetches it and prints
//! the line), else the system's. Where neither is, the test says that it was skipped; where `NVRTC_LIBRARY` is set it
//! may not be.
#![allow(unsafe_code, reason = "calls a C library")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::null;

use kernels::cuda::source::{self, Number, Source};
use libloading::Library;

/// Calls function `$name` of `$library` and fails with its code unless that is 0.
macro_rules! call {
    ($library:expr, $name:literal ( $($arg:expr => $type:ty),* )) => {{
        // SAFETY: the signature is that of NVRTC's header.
        let status = unsafe {
            let f = $library.get::<unsafe extern "C" fn($($type),*) -> c_int>($name.as_bytes()).unwrap();
            f($($arg),*)
        };
        status
    }};
}

/// The compiler, and a library that it asks for by its name alone and that therefore must be there first.
struct Compiler {
    library: Library,
    _builtins: Option<Library>,
}

fn open(path: impl AsRef<Path>) -> Result<Library, libloading::Error> {
    // SAFETY: the initialisers of NVRTC's libraries have no requirements.
    unsafe { Library::new(path.as_ref()) }
}

fn compiler() -> Option<Compiler> {
    let Ok(path) = std::env::var("NVRTC_LIBRARY") else {
        return Some(Compiler { library: open("libnvrtc.so.13").ok()?, _builtins: None });
    };
    let folder = Path::new(&path).parent().unwrap();
    let beside = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let builtins = beside.map(|entry| entry.unwrap().path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc-builtins.so"))
    });
    let _builtins = builtins.map(|path| open(&path).unwrap());
    Some(Compiler { library: open(&path).unwrap_or_else(|e| panic!("NVRTC_LIBRARY={path}: {e}")), _builtins })
}

/// Compiles a source; gives the length of the result, or what the compiler says.
fn compile(compiler: &Compiler, source: Source, number: Number, steps: usize) -> Result<usize, String> {
    let library = &compiler.library;
    let text = CString::new(source::text(source, number, steps)).unwrap();
    let name = CString::new(format!("{}.cu", source.name)).unwrap();
    let options: Vec<CString> =
        source::options((9, 0)).into_iter().map(|option| CString::new(option).unwrap()).collect();
    let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
    let mut program: *mut c_void = std::ptr::null_mut();
    let made = call!(library, "nvrtcCreateProgram"(
        &raw mut program => *mut *mut c_void, text.as_ptr() => *const c_char, name.as_ptr() => *const c_char,
        0 => c_int, null() => *const *const c_char, null() => *const *const c_char
    ));
    assert_eq!(made, 0, "nvrtcCreateProgram");
    let status = call!(library, "nvrtcCompileProgram"(
        program => *mut c_void, options.len() as c_int => c_int, options.as_ptr() => *const *const c_char
    ));
    let mut len = 0usize;
    let result = if status == 0 {
        assert_eq!(call!(library, "nvrtcGetPTXSize"(program => *mut c_void, &raw mut len => *mut usize)), 0);
        Ok(len)
    } else {
        call!(library, "nvrtcGetProgramLogSize"(program => *mut c_void, &raw mut len => *mut usize));
        let mut log = vec![0u8; len.max(1)];
        call!(library, "nvrtcGetProgramLog"(program => *mut c_void, log.as_mut_ptr().cast() => *mut c_char));
        Err(String::from_utf8_lossy(&log).into_owned())
    };
    call!(library, "nvrtcDestroyProgram"(&raw mut program => *mut *mut c_void));
    result
}

#[test]
fn every_source_compiles() {
    let Some(compiler) = compiler() else {
        eprintln!(
            "SKIPPED: no NVRTC here, so no CUDA kernel was compiled (scripts/cuda-toolkit.sh --only nvrtc)"
        );
        return;
    };
    let mut failures = Vec::new();
    for source in source::ALL {
        // Short sequences are unrolled, long ones are not.
        for steps in if source.of_steps { &[1, 4, 300][..] } else { &[1] } {
            for number in Number::ALL {
                if let Err(log) = compile(&compiler, *source, number, *steps) {
                    failures.push(format!("{}.cu, {number:?}, T = {steps}:\n{log}", source.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_wrong_source_is_refused() {
    let Some(compiler) = compiler() else {
        eprintln!("SKIPPED: no NVRTC here");
        return;
    };
    let wrong = Source { name: "wrong", text: "__global__ void f() { not C }", of_steps: false };
    let log = compile(&compiler, wrong, Number::F32, 1).unwrap_err();
    assert!(log.contains("wrong.cu"), "{log}");
}
