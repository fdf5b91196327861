//! The pages behind the heap: kept when blocks are freed, and large where the system has large ones.

/// Asks the C library's heap to keep freed pages instead of giving them back to the system, and the system for pages of
/// 2 MiB behind the blocks that [`super::CountingHeap`] gives out. Call it once, at the start of a process; where the C library or
/// the system has no such switch it does nothing.
///
/// A tensor of some megabytes is otherwise a fresh mapping each time, and its page faults cost more than many kernels. All
/// threads share one heap: what one of them frees the others take, in place of as much again. With large pages a walk over
/// such a tensor needs a page's address 512 times less often.
pub fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    gnu::keep();
}

/// Asks for large pages up to the heap's end, where a block of `bytes` at `p` has passed what was asked for before.
#[inline(always)]
pub(super) fn back(p: *const u8, bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    gnu::back(p, bytes);
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = (p, bytes);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A large page.
    const LARGE: usize = 2 << 20;

    /// Smaller blocks grow the heap seldom, and lie on pages asked for by the next large one.
    const WORTH_ASKING: usize = 1 << 18;

    /// Up to where large pages were asked for; the end of all addresses before [`keep`], so that nothing is asked for.
    static BACKED: AtomicUsize = AtomicUsize::new(usize::MAX);

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
        fn sbrk(increment: isize) -> *mut c_void;
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }

    pub(super) fn keep() {
        const TRIM_THRESHOLD: c_int = -1;
        const TOP_PAD: c_int = -2;
        const MMAP_MAX: c_int = -4;
        const ARENA_MAX: c_int = -8;
        for (parameter, value) in
            [(MMAP_MAX, 0), (TRIM_THRESHOLD, c_int::MAX), (TOP_PAD, 64 << 20), (ARENA_MAX, 1)]
        {
            // SAFETY: `mallopt` of glibc takes any pair of ints and answers 0 for those it does not know.
            unsafe { mallopt(parameter, value) };
        }
        BACKED.store(0, Relaxed);
    }

    #[inline(always)]
    pub(super) fn back(p: *const u8, bytes: usize) {
        if bytes >= WORTH_ASKING && p.addr() + bytes > BACKED.load(Relaxed) {
            ask(p.addr(), p.addr() + bytes);
        }
    }

    #[cold]
    fn ask(start: usize, end: usize) {
        const HUGEPAGE: c_int = 14;
        // SAFETY: an increment of 0 changes nothing and gives the heap's end.
        let heap_end = unsafe { sbrk(0) }.addr();
        // A heap that could not grow in one piece goes on elsewhere: such blocks stay on small pages.
        if end > heap_end {
            return;
        }
        let (from, to) = (BACKED.load(Relaxed).max(start / LARGE * LARGE), heap_end / LARGE * LARGE);
        if from < to {
            // SAFETY: advice about pages changes no content, whoever uses them; the range is checked by the system.
            unsafe { madvise(std::ptr::without_provenance_mut(from), to - from, HUGEPAGE) };
        }
        BACKED.store(heap_end, Relaxed);
    }
}
