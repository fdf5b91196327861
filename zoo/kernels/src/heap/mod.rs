//! A heap that counts: exact live and peak bytes of the process.
//!
//! candle's CPU storage is a `Vec`, so every tensor passes through the global allocator. A binary installs
//! [`CountingHeap`] as `#[global_allocator]`; two atomics cost about 16 ns for an allocation and its release.

mod pages;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

pub use pages::keep_pages;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static COUNTING: AtomicBool = AtomicBool::new(false);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator with a count of live and peak bytes.
#[derive(Debug, Default)]
pub struct CountingHeap;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
    // A plain load first: the line stays shared between threads instead of bouncing.
    if !COUNTING.load(Relaxed) {
        COUNTING.store(true, Relaxed);
    }
}

/// Whether so many bytes more stay within the limit. Two threads that ask at once may pass it by what they ask for.
fn fits(bytes: usize) -> bool {
    LIVE.load(Relaxed).saturating_add(bytes) <= LIMIT.load(Relaxed)
}

// SAFETY: every call is passed on to `System` unchanged or refused by a null pointer, as the trait allows; the
// counters allocate nothing.
unsafe impl GlobalAlloc for CountingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !fits(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract is `System`'s.
        let p = unsafe { System.alloc(layout) };
        if !p.is_null() {
            grow(layout.size());
            pages::back(p, layout.size());
        }
        p
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !fits(layout.size()) {
            return std::ptr::null_mut();
        }
        // Passed on as such: fresh pages are zero already, and the default would touch them all.
        // SAFETY: the caller's contract is `System`'s.
        let p = unsafe { System.alloc_zeroed(layout) };
        if !p.is_null() {
            grow(layout.size());
            pages::back(p, layout.size());
        }
        p
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.dealloc(p, layout) };
        LIVE.fetch_sub(layout.size(), Relaxed);
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !fits(new_size.saturating_sub(layout.size())) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's contract is `System`'s.
        let q = unsafe { System.realloc(p, layout, new_size) };
        if !q.is_null() {
            // The old block counts until the new one exists, as it may have been copied.
            grow(new_size);
            LIVE.fetch_sub(layout.size(), Relaxed);
        }
        q
    }
}

/// Bytes allocated and not yet released.
pub fn live_bytes() -> usize {
    LIVE.load(Relaxed)
}

/// Most bytes that were live at once since the last [`reset_peak`].
pub fn peak_bytes() -> usize {
    PEAK.load(Relaxed)
}

/// Starts a new measurement: the peak is what is live now.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

/// Refuses every allocation that would bring the live bytes above `bytes`. A refused allocation ends the process with
/// Rust's own words, "memory allocation of N bytes failed".
pub fn set_limit(bytes: usize) {
    LIMIT.store(bytes, Relaxed);
}

/// Whether the counting heap is the one in use; when not, the counts are zero and mean nothing.
pub fn is_counting() -> bool {
    COUNTING.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_passes_through_it() {
        let layout = Layout::from_size_align(4096, 64).unwrap();
        let (live, heap) = (live_bytes(), CountingHeap);
        // SAFETY: the layout is not empty, and the block is given back once with the layout it was made with.
        unsafe {
            let p = heap.alloc(layout);
            assert!(!p.is_null());
            assert_eq!(live_bytes(), live + 4096);
            assert!(peak_bytes() >= live + 4096);
            assert!(is_counting());
            let p = heap.realloc(p, layout, 8192);
            assert_eq!(live_bytes(), live + 8192);
            heap.dealloc(p, Layout::from_size_align(8192, 64).unwrap());
        }
        assert_eq!(live_bytes(), live);
        reset_peak();
        assert_eq!(peak_bytes(), live);
    }
}
