//! Large blocks lie on large pages where the system has them. A program without the test harness: that starts threads with
//! heaps of their own before anything of ours runs.

#[global_allocator]
static HEAP: kernels::heap::CountingHeap = kernels::heap::CountingHeap;

/// KiB of this process on large pages.
fn on_large_pages() -> usize {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = smaps.lines().find(|line| line.starts_with("AnonHugePages:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !system.is_ok_and(|said| said.contains("[madvise]")) {
        eprintln!("SKIPPED: this system gives large pages to all or to none");
        return;
    }
    kernels::heap::keep_pages();
    let before = on_large_pages();
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let after = on_large_pages();
    drop(block);
    // Not all of it: the system may be short of them.
    assert!(after > before, "{before} KiB, then {after} KiB");
}
