//! The thread pool that a run computes in.
//!
//! Kernels use the *current* rayon pool and never build one: the caller decides the number of threads by
//! running inside [`pool`]`(..).install(..)`. How work is cut depends on shapes alone, so every number of
//! threads gives the same bits.

use crate::Result;

/// Makes a pool of `threads` threads (0: one a core) with `stack_bytes` of stack each (0: the default).
pub fn pool(threads: usize, stack_bytes: usize) -> Result<rayon::ThreadPool> {
    let mut builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if stack_bytes > 0 {
        builder = builder.stack_size(stack_bytes);
    }
    Ok(builder.thread_name(|i| format!("kernel-{i}")).build()?)
}

/// Threads of the pool that the caller is in.
pub fn threads() -> usize {
    rayon::current_num_threads()
}
