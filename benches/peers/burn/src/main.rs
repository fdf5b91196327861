//! Convolutions of Burn's CPU backend `burn-flex`: forward `[N, C, H, W]`, gradient of the weights, gradient of the
//! input, for the shapes of `zoo/kernels/benches/conv.rs`, on one thread.
//!
//! `burn-peer [CRITERION]` prints milliseconds as a Markdown table. With the folder where `cargo bench -p kernels`
//! left its estimates (`target/criterion`), ours stand beside: of numbers, and of spikes at the benches' rate.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use burn_backend::TensorData;
use burn_backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn_flex::{Flex, FlexDevice, FlexTensor};

/// Samples of a timing; the median counts, as it does in the table of Criterion's.
const SAMPLES: usize = 11;

/// How long a sample should last at least: short operations run several times.
const SAMPLE: Duration = Duration::from_millis(20);

/// A square convolution with half a kernel of padding, batch 32.
struct Shape {
    name: &'static str,
    c_in: usize,
    c_out: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

const BATCH: usize = 32;

#[rustfmt::skip]
const SHAPES: [Shape; 11] = [
    Shape { name: "3x3-64-32", c_in: 64, c_out: 64, side: 32, kernel: 3, stride: 1, groups: 1 },
    Shape { name: "3x3-128-16", c_in: 128, c_out: 128, side: 16, kernel: 3, stride: 1, groups: 1 },
    Shape { name: "3x3-256-8", c_in: 256, c_out: 256, side: 8, kernel: 3, stride: 1, groups: 1 },
    Shape { name: "3x3-512-4", c_in: 512, c_out: 512, side: 4, kernel: 3, stride: 1, groups: 1 },
    Shape { name: "stem-3-64-32", c_in: 3, c_out: 64, side: 32, kernel: 3, stride: 1, groups: 1 },
    Shape { name: "stride2-64-128-32", c_in: 64, c_out: 128, side: 32, kernel: 3, stride: 2, groups: 1 },
    Shape { name: "1x1-64-256-32", c_in: 64, c_out: 256, side: 32, kernel: 1, stride: 1, groups: 1 },
    Shape { name: "1x1-128-512-16", c_in: 128, c_out: 512, side: 16, kernel: 1, stride: 1, groups: 1 },
    Shape { name: "1x1-384-384-8", c_in: 384, c_out: 384, side: 8, kernel: 1, stride: 1, groups: 1 },
    Shape { name: "depthwise7-64-32", c_in: 64, c_out: 64, side: 32, kernel: 7, stride: 1, groups: 64 },
    Shape { name: "depthwise5-256-8", c_in: 256, c_out: 256, side: 8, kernel: 5, stride: 1, groups: 256 },
];

/// What is timed, and what Criterion calls ours of it.
const OPERATIONS: [(&str, &[&str]); 3] = [
    ("forward", &["forward-dense", "forward-spikes"]),
    ("weight gradient", &["backward-weight-dense", "backward-weight-spikes"]),
    ("input gradient", &["backward-input"]),
];

impl Shape {
    fn out(&self) -> usize {
        (self.side + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1
    }

    /// Milliseconds of each operation, in the order of [`OPERATIONS`].
    fn measure(&self) -> [f64; 3] {
        let pad = self.kernel / 2;
        let options = || ConvOptions::new([self.stride; 2], [pad; 2], [1; 2], self.groups);
        let x = numbers(&[BATCH, self.c_in, self.side, self.side]);
        let w = numbers(&[self.c_out, self.c_in / self.groups, self.kernel, self.kernel]);
        let dy = numbers(&[BATCH, self.c_out, self.out(), self.out()]);
        [
            milliseconds(|| Flex::conv2d(x.clone(), w.clone(), None, options())),
            milliseconds(|| Flex::conv2d_weight_backward(x.clone(), w.clone(), dy.clone(), options())),
            milliseconds(|| Flex::conv2d_x_backward(x.clone(), w.clone(), dy.clone(), options())),
        ]
    }
}

/// Numbers in (-1, 1) without a pattern that a kernel could use.
fn numbers(shape: &[usize]) -> FlexTensor {
    let count = shape.iter().product();
    let mut state = 1_u32;
    let values = (0..count).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    });
    Flex::float_from_data(TensorData::new(values.collect::<Vec<f32>>(), shape), &FlexDevice)
}

/// The median of [`SAMPLES`] after one that warms up.
fn milliseconds(operation: impl Fn() -> FlexTensor) -> f64 {
    let began = Instant::now();
    black_box(operation());
    let runs = (SAMPLE.as_secs_f64() / began.elapsed().as_secs_f64()).ceil() as u32;
    let mut samples = [0.0; SAMPLES];
    for sample in &mut samples {
        let began = Instant::now();
        for _ in 0..runs {
            black_box(operation());
        }
        *sample = 1e3 * began.elapsed().as_secs_f64() / f64::from(runs);
    }
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}

/// Our median in milliseconds, where the bench has run.
fn ours(criterion: &Path, operation: &str, shape: &str) -> Option<f64> {
    let path = criterion.join("conv").join(operation).join(shape).join("new/estimates.json");
    let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    told["median"]["point_estimate"].as_f64().map(|nanoseconds| nanoseconds * 1e-6)
}

fn main() {
    let criterion = std::env::args_os().nth(1).map(PathBuf::from);
    let mut header = vec!["shape".to_owned()];
    for (operation, names) in OPERATIONS {
        header.push(format!("{operation}, ms: burn"));
        if criterion.is_some() {
            header.extend(names.iter().map(|name| match name.rsplit_once('-') {
                Some((_, kind @ ("dense" | "spikes"))) => format!("ours, {kind}"),
                _ => "ours".to_owned(),
            }));
        }
    }
    println!("| {} |", header.join(" | "));
    println!("| ---{} |", " | ---:".repeat(header.len() - 1));
    for shape in &SHAPES {
        let mut cells = vec![shape.name.to_owned()];
        for (measured, (_, names)) in shape.measure().into_iter().zip(OPERATIONS) {
            cells.push(format!("{measured:.2}"));
            if let Some(criterion) = &criterion {
                cells.extend(names.iter().map(|name| {
                    ours(criterion, name, shape.name).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"))
                }));
            }
        }
        println!("| {} |", cells.join(" | "));
    }
}
