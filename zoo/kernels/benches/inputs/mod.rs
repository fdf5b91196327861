//! Inputs that the benchmarks share.
#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::expect_used, reason = "a benchmark stops where something is wrong")]

use candle_core::{DType, Device, Tensor};
use criterion::Criterion;
use kernels::Bits;

/// A smooth, reproducible spread of numbers around zero.
pub(crate) fn tensor(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..len as u32).map(|i| i.wrapping_mul(2_654_435_769) as f32 / 2f32.powi(31) - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor of its own length")
}

/// Spikes at about 10 %, `rows` rows of `plane`.
pub(crate) fn spikes(rows: usize, plane: usize) -> Bits {
    let fired = tensor(&[rows, plane]).gt(0.8f64).and_then(|s| s.to_dtype(DType::F32)).expect("a comparison");
    Bits::pack(&fired, rows, plane).expect("matching sizes")
}

/// Runs `benches` on one thread, which is what kernels are compared on.
pub(crate) fn on_one_thread(benches: impl FnOnce(&mut Criterion) + Send) {
    // As trials do: else the time of an op is mostly that of its output's fresh pages.
    kernels::heap::keep_pages();
    let pool = kernels::threads::pool(1, 0).expect("a pool of one thread");
    pool.install(|| {
        let mut criterion = Criterion::default().sample_size(10).configure_from_args();
        benches(&mut criterion);
        criterion.final_summary();
    });
}
