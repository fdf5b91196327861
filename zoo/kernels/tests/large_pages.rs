//! Large blocks lie on large pages where the system has them. A program without the test harness: that starts threads with
//! heaps of their own before anything of ours runs.

#[global_allocator]
static HEAP: kernels::heap::CountingHeap = kernels::heap::CountingHeap;

use std::error::Error;

/// KiB of this process on large pages.
fn on_large_pages() -> Result<usize, Box<dyn Error>> {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line =
        smaps.lines().find(|line| line.starts_with("AnonHugePages:")).ok_or("no line of large pages")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !system.is_ok_and(|said| said.contains("[madvise]")) {
        eprintln!("SKIPPED: this system gives large pages to all or to none");
        return Ok(());
    }
    kernels::heap::keep_pages();
    let before = on_large_pages()?;
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let after = on_large_pages()?;
    drop(block);
    // Not all of it: the system may be short of them.
    if after > before { Ok(()) } else { Err(format!("{before} KiB, then {after} KiB").into()) }
}
