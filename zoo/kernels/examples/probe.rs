#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    clippy::all,
    clippy::print_stdout,
    clippy::unwrap_used
)]
use candle_core::{DType, Device, Tensor};
use kernels::conv::{ConvShape, backward_input, backward_weight, forward};
use kernels::lif::{Cell, Current, LifShape, Reset, ResetGrad, Surrogate};
use kernels::norm::{NormShape, affine, fold, moments};
use kernels::{Bits, Operand};
#[repr(C)]
struct Spec {
    s: i64,
    n: i64,
}
unsafe extern "C" {
    fn clock_gettime(id: i32, t: *mut Spec) -> i32;
}
fn cpu() -> f64 {
    let mut t = Spec { s: 0, n: 0 };
    unsafe { clock_gettime(3, &mut t) };
    t.s as f64 * 1e3 + t.n as f64 * 1e-6
}
fn time<R>(mut f: impl FnMut() -> R) -> f64 {
    let mut v: Vec<f64> = (0..9)
        .map(|_| {
            let a = cpu();
            std::hint::black_box(f());
            cpu() - a
        })
        .collect();
    v.sort_by(|a, b| a.total_cmp(b));
    v[1]
}
fn rnd(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1f32, shape, &Device::Cpu).unwrap()
}
fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    kernels::threads::pool(1, 0).unwrap().install(|| {
        if which.is_empty() || which == "conv" {
            for (name, n, ci, co, hw, k, st, p, g, r) in [
                ("3x3 64 32", 32, 64, 64, 32, 3, 1, 1, 1, "24.6/86.1"),
                ("3x3 128 16", 32, 128, 128, 16, 3, 1, 1, 1, "19.5/63.2"),
                ("3x3 256 8", 32, 256, 256, 8, 3, 1, 1, 1, "18.7/59.2"),
                ("3x3 512 4", 32, 512, 512, 4, 3, 1, 1, 1, "33.6/129"),
                ("3x3 128 16 n128", 128, 128, 128, 16, 3, 1, 1, 1, "78.6/255"),
                ("stem", 32, 3, 64, 32, 3, 1, 1, 1, "1.1/4.0"),
                ("3x3 s2 64-128", 32, 64, 128, 32, 3, 2, 1, 1, "13.1/40.4"),
                ("1x1 64-256", 32, 64, 256, 32, 1, 1, 0, 1, "7.5/25.7"),
                ("1x1 256-64", 32, 256, 64, 32, 1, 1, 0, 1, "9.2/32.5"),
                ("1x1 128-512", 32, 128, 512, 16, 1, 1, 0, 1, "6.9/22.5"),
                ("dw7 64 32", 32, 64, 64, 32, 7, 1, 3, 64, "4.0/39.4"),
                ("dw7 128 16", 32, 128, 128, 16, 7, 1, 3, 128, "2.4/25"),
                ("dw5 256 8", 32, 256, 256, 8, 5, 1, 2, 256, "1.0/4.9"),
            ] {
                let s = ConvShape { n, c_in: ci, h: hw, w: hw, c_out: co, kernel: (k, k), stride: st, pad: p, groups: g };
                let x = rnd(&[n, ci, hw, hw]);
                let bits = Bits::pack(&x.gt(1.2f64).unwrap().to_dtype(DType::F32).unwrap(), n * ci, hw * hw).unwrap();
                let w = rnd(&[co, ci / g, k, k]);
                let dy = rnd(&[n, co, s.out_h(), s.out_w()]);
                let f = time(|| forward(&s, Operand::Dense(&x), &w, None).unwrap());
                let fb = time(|| forward(&s, Operand::Spikes(&bits), &w, None).unwrap());
                let b = time(|| backward_input(&s, &dy, &w).unwrap());
                let dw = w.zeros_like().unwrap();
                let c = time(|| backward_weight(&s, Operand::Dense(&x), &dy, &dw, true).unwrap());
                let cb = time(|| backward_weight(&s, Operand::Spikes(&bits), &dy, &dw, true).unwrap());
                println!("{name:18} fwd {f:6.1} (bits {fb:6.1}) dx {b:6.1} dw {c:6.1} (bits {cb:6.1}) sum {:6.1}   ref {r}", f + b + c);
            }
        }
        if which.is_empty() || which == "lif" {
            for (t, n, c, hw, r) in [(4, 16, 64, 32, "1.9/15.4"), (4, 32, 256, 8, "1.1/5.9"), (8, 16, 128, 16, "2.0/22.4"), (4, 32, 512, 4, "")] {
                let s = LifShape { steps: t, rows: n * c, plane: hw * hw, channels: c, current_steps: t };
                let x = rnd(&[t, n * c, hw * hw]);
                let ds = rnd(&[t, n * c, hw * hw]);
                for surrogate in [Surrogate::ArcTan { alpha: 2.0 }, Surrogate::Sigmoid { alpha: 4.0 }, Surrogate::Triangle { alpha: 1.0 }] {
                    let cell = Cell { decay: 0.5, input_gain: 0.5, threshold: 1.0, reset: Reset::Hard(0.0), reset_grad: ResetGrad::Detached, surrogate, strict: false, smooth: false };
                    let i = Current { x: &x, affine: None };
                    let f = time(|| kernels::lif::forward(&s, &cell, &i, None, false).unwrap());
                    let b = time(|| kernels::lif::backward(&s, &cell, &i, None, &ds, None, false, false).unwrap());
                    let bi = time(|| kernels::lif::backward(&s, &cell, &i, None, &ds, None, false, true).unwrap());
                    println!("lif T{t} N{n} C{c} {hw} {surrogate:?}: fwd {f:.2} bwd {b:.2} in place {bi:.2} sum {:.1} ref {r}", f + b);
                }
            }
        }
        if which.is_empty() || which == "norm" {
            for (n, c, hw) in [(64, 64, 32), (128, 256, 8), (128, 512, 4)] {
                let s = NormShape { groups: 1, n, c, plane: hw * hw };
                let x = rnd(&[n, c, hw * hw]);
                let dy = rnd(&[n, c, hw * hw]);
                let m = moments(&s, &x).unwrap();
                let (a, b) = fold(&m, 1e-5, 1.0, None, None).unwrap();
                let t1 = time(|| moments(&s, &x).unwrap());
                let t2 = time(|| affine(&s, &x, &a, &b).unwrap());
                let t3 = time(|| kernels::norm::backward(&s, &x, dy.clone(), true, &m, 1e-5, 1.0, None, None, None).unwrap());
                println!("norm {n} {c} {hw}: moments {t1:.2} affine {t2:.2} bwd own {t3:.2}");
            }
            let (r, i, o) = (512, 2048, 512);
            for (r, i, o) in [(r, i, o), (4096, 256, 1024)] {
                let (x, w, dy) = (rnd(&[r, i]), rnd(&[o, i]), rnd(&[r, o]));
                let dw = w.zeros_like().unwrap();
                let f = time(|| kernels::linear::forward(r, Operand::Dense(&x), &w, None).unwrap());
                let b = time(|| kernels::linear::backward_input(&dy, &w).unwrap());
                let c = time(|| kernels::linear::backward_weight(r, Operand::Dense(&x), &dy, &dw, true).unwrap());
                println!("linear {r} {i} {o}: {f:.1} {b:.1} {c:.1} sum {:.1}  torch 7.1/22.7, 15/50.5", f + b + c);
            }
            let x = rnd(&[1 << 24]);
            let y = rnd(&[1 << 24]);
            println!("add 64MB {:.2} add_assign {:.2} pool {:.2} {:.2}", time(|| kernels::elementwise::add(&x, &y).unwrap()), time(|| kernels::elementwise::add_assign(&x, &y, 0.5).unwrap()),
              time(|| kernels::pool::avg_forward(&kernels::pool::PoolShape { n_c: 1 << 14, h: 32, w: 32, kernel: 2, stride: 2, pad: 0 }, Operand::Dense(&x), DType::F32, true).unwrap()),
              time(|| kernels::pool::max_forward(&kernels::pool::PoolShape { n_c: 1 << 14, h: 32, w: 32, kernel: 2, stride: 2, pad: 0 }, Operand::Dense(&x), DType::F32).unwrap()));
        }
    });
}
