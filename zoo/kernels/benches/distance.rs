//! How far each kernel is from what the machine can do, on one thread, and what a second thread gives: a table in
//! Markdown. `cargo bench -p kernels --bench distance`, about a minute; a part of a kernel's name as argument chooses.
//!
//! Arithmetic is counted as if no operand were a spike, so a kernel that skips zeros may pass 100 %. Bytes are the least
//! that an op can move: each operand read once, each result written once.
#![allow(clippy::print_stdout, reason = "a table is what it is for")]
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

mod ceiling;
mod inputs;

use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use ceiling::{ACTIVATIONS, Ceilings};
use kernels::attention::{self, AttentionShape};
use kernels::conv::{self, ConvShape, Tiles};
use kernels::lif::{self, Cell, Current, LifShape, Reset, ResetGrad, Surrogate};
use kernels::norm::{self, NormShape};
use kernels::pool::{self, PoolShape};
use kernels::remainder::{self, Layout};
use kernels::standardise::{self, Epsilon, Standardisation, Variance};
use kernels::update::{self, Averages};
use kernels::{Bits, Operand, Result, bias, elementwise, linear};

/// What an op cannot do without.
#[derive(Clone, Copy)]
enum Work {
    /// Multiplies and adds.
    Flops(f64),
    /// Bytes, most of which are read.
    Load(usize),
    /// Bytes, most of which are written.
    Store(usize),
    /// Bytes that are read and written to another place.
    Copy(usize),
    /// Bytes that are read and written, where they stand.
    Change(usize),
}

/// A kernel with its operands.
struct Row<'a> {
    name: String,
    size: String,
    work: Work,
    run: Box<dyn Fn() -> Result<()> + Sync + 'a>,
}

/// Repetitions end when there are so many, or when so much time has passed.
const MOST: usize = 200;
const LONGEST: Duration = Duration::from_millis(250);

fn row<'a, T>((name, size): (&str, &str), work: Work, run: impl Fn() -> Result<T> + Sync + 'a) -> Row<'a> {
    Row { name: name.to_owned(), size: size.to_owned(), work, run: Box::new(move || run().map(drop)) }
}

/// The fastest of some runs, in seconds.
fn fastest(row: &Row<'_>) -> f64 {
    let once = || {
        let began = Instant::now();
        (row.run)().expect("operands that fit");
        began.elapsed().as_secs_f64()
    };
    // Scratch and pages are in place from the second one on.
    once();
    let began = Instant::now();
    (0..MOST)
        .take_while(|at| *at < 3 || began.elapsed() < LONGEST)
        .map(|_| once())
        .fold(f64::INFINITY, f64::min)
}

fn print(rows: &[Row<'_>], ceilings: &Ceilings) {
    let [one, two] = [1, 2].map(|threads| kernels::threads::pool(threads, 0).expect("a pool"));
    for row in rows {
        let (first, second) = (one.install(|| fastest(row)), two.install(|| fastest(row)));
        let (done, ceiling, unit) = match row.work {
            Work::Flops(flops) => (flops, ceilings.fma, "GFLOP/s"),
            Work::Load(bytes) => (bytes as f64, ceilings.load[ACTIVATIONS], "GB/s"),
            Work::Store(bytes) => (bytes as f64, ceilings.store[ACTIVATIONS], "GB/s"),
            Work::Copy(bytes) => (bytes as f64, ceilings.copy[ACTIVATIONS], "GB/s"),
            Work::Change(bytes) => (bytes as f64, ceilings.change[ACTIVATIONS], "GB/s"),
        };
        println!(
            "| {} | {} | {:.3} | {:.1} {unit} | {:.1} | {:.0} % | {:.2}x |",
            row.name,
            row.size,
            first * 1e3,
            done / first / 1e9,
            ceiling / 1e9,
            100.0 * done / first / ceiling,
            first / second,
        );
    }
}

/// Bytes of so many numbers of single precision.
fn numbers(count: usize) -> usize {
    4 * count
}

fn convolutions(print: &dyn Fn(&[Row<'_>])) {
    let shape = |c: (usize, usize), side: usize, k: usize, stride: usize, groups: usize| {
        let (h, w, kernel, pad) = (side, side, (k, k), k / 2);
        ConvShape { n: 32, c_in: c.0, h, w, c_out: c.1, kernel, stride, pad, groups }
    };
    for (name, s) in [
        ("3x3", shape((64, 64), 32, 3, 1, 1)),
        ("3x3", shape((128, 128), 16, 3, 1, 1)),
        ("3x3", shape((256, 256), 8, 3, 1, 1)),
        ("3x3", shape((512, 512), 4, 3, 1, 1)),
        ("3x3 from 3 channels", shape((3, 64), 32, 3, 1, 1)),
        ("3x3, stride 2", shape((64, 128), 32, 3, 2, 1)),
        ("1x1", shape((384, 384), 8, 1, 1, 1)),
        ("depthwise 3x3", shape((64, 64), 32, 3, 1, 64)),
        ("depthwise 5x5", shape((256, 256), 8, 5, 1, 256)),
        ("depthwise 7x7", shape((64, 64), 32, 7, 1, 64)),
    ] {
        let x = inputs::tensor(&[s.n, s.c_in, s.h, s.w]);
        let spikes = inputs::spikes(s.n * s.c_in, s.h * s.w);
        let w = inputs::tensor(&[s.c_out, s.c_in / s.groups, s.kernel.0, s.kernel.1]);
        let (dy, dw) = (inputs::tensor(&[s.n, s.c_out, s.out_h(), s.out_w()]), inputs::tensor(w.dims()));
        let flops = 2.0 * (dy.elem_count() * w.elem_count() / s.c_out) as f64;
        let size = format!("32 x {} x {}x{} to {}", s.c_in, s.h, s.w, s.c_out);
        let tiles = [("", Tiles::Two), (" by tiles of 4", Tiles::Four)];
        let names = tiles.map(|(by, tiles)| (format!("conv {name}, input gradient{by}"), tiles));
        // Others have one way.
        let ways = if name == "3x3" { &names[..] } else { &names[..1] };
        let mut rows = Vec::new();
        for (kind, x) in [("numbers", Operand::Dense(&x)), ("spikes", Operand::Spikes(&spikes))] {
            let (w, dy, dw) = (&w, &dy, &dw);
            let named = |what: &str| format!("conv {name}, {what}, {kind}");
            rows.push(row((&named("forward"), &size), Work::Flops(flops), move || {
                conv::forward(&s, x, w, None)
            }));
            rows.push(row((&named("weight gradient"), &size), Work::Flops(flops), move || {
                conv::backward_weight(&s, x, dy, dw, true)
            }));
        }
        let (dy, w) = (&dy, &w);
        for (name, tiles) in ways {
            rows.push(row((name, &size), Work::Flops(flops), move || {
                conv::backward_input(&s, dy, w, *tiles)
            }));
        }
        print(&rows);
    }
}

fn products(print: &dyn Fn(&[Row<'_>])) {
    let (rows, inputs, outputs) = (4096, 384, 1536);
    let (x, spikes) = (inputs::tensor(&[rows, inputs]), inputs::spikes(rows, inputs));
    let (w, dy) = (inputs::tensor(&[outputs, inputs]), inputs::tensor(&[rows, outputs]));
    let (dw, db) = (inputs::tensor(&[outputs, inputs]), inputs::tensor(&[outputs]));
    let flops = Work::Flops(2.0 * (rows * inputs * outputs) as f64);
    let size = format!("{rows} x {inputs} to {outputs}");
    let dense = Operand::Dense(&x);
    print(&[
        row(("linear, forward, numbers", &size), flops, || linear::forward(rows, dense, &w, None)),
        row(("linear, forward, spikes", &size), flops, || {
            linear::forward(rows, Operand::Spikes(&spikes), &w, None)
        }),
        row(("linear, weight gradient, numbers", &size), flops, || {
            linear::backward_weight(rows, dense, &dy, &dw, true)
        }),
        row(("linear, input gradient", &size), flops, || linear::backward_input(&dy, &w)),
        row(("bias, gradient", &size), Work::Load(numbers(rows * outputs)), || {
            bias::gradient(&dy, rows, outputs, 1, &db, true)
        }),
    ]);
    let s = AttentionShape { images: 64, channels: 384, tokens: 64, heads: 12 };
    let size = "64 x 384 x 64, 12 heads";
    let spikes = inputs::spikes(s.images * s.channels, s.tokens);
    let (x, g) = (Operand::Spikes(&spikes), inputs::tensor(&[s.images, s.channels, s.tokens]));
    let flops = 2.0 * s.products() as f64;
    print(&[
        row(("attention, forward, spikes", size), Work::Flops(flops), || {
            attention::forward(&s, x, x, x, 0.125, DType::F32)
        }),
        // Five products of matrices where forward has two.
        row(("attention, backward, spikes", size), Work::Flops(2.5 * flops), || {
            attention::backward(&s, x, x, x, &g, 0.125)
        }),
    ]);
}

fn neurons(print: &dyn Fn(&[Row<'_>])) {
    let (steps, n, channels, side) = (4, 16, 64, 32);
    let (rows, plane) = (n * channels, side * side);
    let (count, size) = (steps * rows * plane, "T 4 x 16 x 64 x 32x32");
    let s = LifShape { steps, rows, plane, channels, current_steps: steps };
    let [x, ds] = [(); 2].map(|()| inputs::tensor(&[steps, rows, plane]));
    let [scale, shift] = [(); 2].map(|()| inputs::tensor(&[1, channels]));
    let current = || Current { x: &x, affine: Some((&scale, &shift)) };
    let cell = Cell {
        decay: 0.5,
        input_gain: 0.5,
        threshold: 1.0,
        reset: Reset::Hard(0.0),
        reset_grad: ResetGrad::Detached,
        surrogate: Surrogate::ArcTan { alpha: 2.0 },
        strict: false,
        time_gradient: true,
        smooth: false,
    };
    let norm = NormShape { groups: 1, n: steps * n, c: channels, plane };
    let moments = norm::moments(&norm, &x).expect("matching sizes");
    let (fold, slope) = norm::fold(&moments, 1e-5, 1.0, None, None).expect("matching sizes");
    print(&[
        row(("lif, forward with the norm's affine", size), Work::Load(numbers(count)), || {
            lif::forward(&s, &cell, &current(), None, false)
        }),
        row(("lif, backward, arctan", size), Work::Copy(numbers(3 * count)), || {
            lif::backward(&s, &cell, &current(), None, &ds, None, false, true)
        }),
        row(("norm, moments", size), Work::Load(numbers(count)), || norm::moments(&norm, &x)),
        row(("norm, affine", size), Work::Copy(numbers(2 * count)), || {
            norm::affine(&norm, &x, &fold, &slope)
        }),
        row(("norm, backward", size), Work::Copy(numbers(3 * count)), || {
            norm::backward(&norm, &x, ds.clone(), false, &moments, 1e-5, 1.0, None, None, None)
        }),
    ]);
}

fn between(print: &dyn Fn(&[Row<'_>])) {
    let (rows, plane) = (1 << 12, 1 << 10);
    let (count, size) = (rows * plane, "4 Mi");
    let [x, y, dst] = [(); 3].map(|()| inputs::tensor(&[rows, plane]));
    let spikes = inputs::spikes(rows, plane);
    let s = PoolShape { n_c: rows, h: 32, w: 32, kernel: 2, stride: 2, pad: 0 };
    let dy = inputs::tensor(&[rows, plane / 4]);
    let dense = Operand::Dense(&x);
    let quarter = numbers(count + count / 4);
    print(&[
        row(("bits, pack", size), Work::Load(numbers(count)), || Bits::pack(&x, rows, plane)),
        row(("bits, unpack", size), Work::Store(numbers(count)), || spikes.unpack(DType::F32)),
        row(("elementwise, add", size), Work::Copy(numbers(3 * count)), || elementwise::add(&x, &y)),
        row(("elementwise, add_assign", size), Work::Change(numbers(3 * count)), || {
            elementwise::add_assign(&dst, &y, 1e-3)
        }),
        row(("elementwise, add_rounded", size), Work::Copy(numbers(3 * count)), || {
            elementwise::add_rounded(&x, &y, 20, 1)
        }),
        row(("elementwise, sum_steps of 4", size), Work::Load(quarter), || elementwise::sum_steps(&x, 4)),
        row(("pool, average 2x2", size), Work::Load(quarter), || {
            pool::avg_forward(&s, dense, DType::F32, true)
        }),
        row(("pool, average 2x2, backward", size), Work::Store(quarter), || {
            pool::avg_backward(&s, &dy, true)
        }),
        row(("pool, maximum 2x2", size), Work::Load(quarter), || pool::max_forward(&s, dense, DType::F32)),
        row(("pool, maximum 2x2, backward", size), Work::Copy(numbers(2 * count + count / 4)), || {
            pool::max_backward(&s, dense, &dy)
        }),
    ]);
    let layout = Layout { n: 64, ch: 64, plane, bits: 20 };
    let alpha = Tensor::full(0.5_f32, 64, x.device()).expect("a small tensor");
    let f = inputs::tensor(&[64, 64, plane]);
    let first = remainder::start(&f, layout.bits).expect("numbers in range");
    print(&[
        row(("remainder, carry at 1/2", size), Work::Copy(numbers(3 * count)), || {
            remainder::carry(&layout, &f, &first, &alpha)
        }),
        row(("remainder, encode at 1/2", size), Work::Load(numbers(count)), || {
            remainder::encode(&layout, &first, &alpha)
        }),
    ]);
}

fn parameters(print: &dyn Fn(&[Row<'_>])) {
    let (count, size) = (1 << 22, "4 Mi");
    let [p, g, m, v] = [(); 4].map(|()| inputs::tensor(&[count]));
    let v = v.sqr().expect("squares");
    let at = Averages { step: 10, betas: [0.9, 0.999], eps: 1e-8 };
    print(&[
        row(("update, SGD with momentum", size), Work::Change(numbers(5 * count)), || {
            update::sgd(&p, &g, Some(&m), 1e-6, 0.9, 1e-4, false)
        }),
        row(("update, AdamW", size), Work::Change(numbers(7 * count)), || {
            update::adam(&p, &g, &m, &v, at, 1e-6, 0.05, true)
        }),
        row(("update, norm_of", size), Work::Load(numbers(count)), || update::norm_of(&[&g])),
    ]);
    let [w, g, into] = [(); 3].map(|()| inputs::tensor(&[512, 512, 3, 3]));
    let how = Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };
    let (count, size) = (w.elem_count(), "512 x 512x3x3");
    print(&[
        row(("standardise, forward", size), Work::Copy(numbers(2 * count)), || {
            standardise::forward(&w, None, how)
        }),
        row(("standardise, backward", size), Work::Copy(numbers(3 * count)), || {
            standardise::backward(&w, None, how, &g, &into, false, None)
        }),
    ]);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo's tests start benchmarks too, and want no number.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let ceilings = Ceilings::measure(1);
    // After the ceilings, which ask for fresh pages; as trials do.
    kernels::heap::keep_pages();
    println!("Spikes fire at 10 %. {}.\n", kernels::instruction_set());
    println!("| kernel | size | ms | reaches | ceiling | share | 2 threads |");
    println!("| :--- | :--- | ---: | ---: | ---: | ---: | ---: |");
    let chosen = arguments.iter().find(|argument| !argument.starts_with('-'));
    let print = |rows: &[Row<'_>]| {
        let rows = rows.iter().filter(|row| chosen.is_none_or(|part| row.name.contains(part.as_str())));
        rows.for_each(|row| print(std::slice::from_ref(row), &ceilings));
    };
    for part in [convolutions, products, neurons, between, parameters] {
        part(&print);
    }
}
