//! The `harness` program: counts its heap, and hands its command line to the library.

use std::process::ExitCode;

/// Every tensor of the CPU passes through it, so peaks are exact.
#[global_allocator]
static HEAP: kernels::heap::CountingHeap = kernels::heap::CountingHeap;

fn main() -> ExitCode {
    harness::cli::main(std::env::args_os())
}
