//! What the measuring machine can do at most, on one thread and on two, as a table in Markdown.
//!
//! `cargo bench -p kernels --bench ceilings`; half a minute, and 1 GiB of memory.
#![allow(clippy::print_stdout, reason = "a table is what it is for")]

mod ceiling;

use ceiling::{Ceilings, SIZES};

fn main() {
    // Cargo's tests start benchmarks too, and want no number.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let [one, two] = [1, 2].map(Ceilings::measure);
    println!("| ceiling, {} | unit | 1 thread | 2 threads | scaling |", kernels::instruction_set());
    println!("| :--- | :--- | ---: | ---: | ---: |");
    let row = |name: &str, unit: &str, one: f64, two: f64, scaling: f64| {
        println!("| {name} | {unit} | {one:.1} | {two:.1} | {scaling:.2}x |");
    };
    let giga = |name: &str, unit: &str, one: f64, two: f64| row(name, unit, one / 1e9, two / 1e9, two / one);
    giga("f32 fused multiply-add, registers", "GFLOP/s", one.fma, two.fma);
    giga("f32 add, registers", "GFLOP/s", one.add, two.add);
    for (name, of) in [
        ("load", (|all| all.load) as fn(&Ceilings) -> [f64; SIZES.len()]),
        ("store", |all| all.store),
        ("copy, read and written", |all| all.copy),
        ("change in place, read and written", |all| all.change),
    ] {
        for (at, (size, _)) in SIZES.iter().enumerate() {
            giga(&format!("{name}, {size} a thread"), "GB/s", of(&one)[at], of(&two)[at]);
        }
    }
    row("fresh page of 4 KiB", "ns", one.page * 1e9, two.page * 1e9, one.page / two.page);
}
