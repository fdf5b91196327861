//! What undoes carried states: written and read again, every state has its bits, and every stream the CPU's length.

use candle_core::Tensor;
use kernels::cuda::launch::{self, RUN};
use kernels::cuda::source;
use kernels::remainder::{self, Layout};

use crate::host::{Argument, Host, from, missing, numbers, same, tensor, to, value, values};

const BITS: i32 = 20;

fn host() -> Option<Host> {
    Host::new(source::REMAINDER, 0, &["stream_bytes", "encode", "recover"])
}

/// A state and the one it led to, with what was added: `(f, before, after)`.
fn states(layout: &Layout, alpha: &Tensor, seed: u64) -> [Vec<f32>; 3] {
    let (len, shape) = (layout.n * layout.ch * layout.plane, (layout.n, layout.ch, layout.plane));
    let f = numbers(len, seed);
    let before = remainder::start(&tensor(&numbers(len, seed + 1), shape), BITS).unwrap();
    let after = remainder::carry(layout, &tensor(&f, shape), &before, alpha).unwrap();
    [f, values(&before), values(&after)]
}

/// The kernels' arguments for one layout.
struct Case<'a> {
    host: &'a Host,
    layout: &'a Layout,
    alpha: &'a [f32],
}

impl Case<'_> {
    fn len(&self) -> usize {
        self.layout.n * self.layout.ch * self.layout.plane
    }

    fn sizes(&self) -> Vec<Argument> {
        let Layout { ch, plane, .. } = *self.layout;
        vec![from(self.alpha), value(ch as u64), value(plane as u64), value(2f32.powi(BITS))]
    }

    /// The streams, where each begins, and where the last one ends.
    fn encode(&self, prev: &[f32]) -> (Vec<u8>, Vec<u32>) {
        let (streams, len) = (self.len().div_ceil(RUN), value(self.len() as u64));
        let grid = launch::elements("remainder", streams).unwrap();
        let mut lengths = vec![u32::MAX; streams];
        let rest = vec![to(&mut lengths), len.clone()];
        self.host.run("stream_bytes", grid, [vec![from(prev)], self.sizes(), rest].concat());
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        // A byte behind the end, which no stream may touch.
        let mut bytes = vec![0xa5u8; starts[streams] as usize + 1];
        let rest = vec![from(&starts), to(&mut bytes), len];
        self.host.run("encode", grid, [vec![from(prev)], self.sizes(), rest].concat());
        assert_eq!(bytes.pop(), Some(0xa5));
        (bytes, starts)
    }

    /// The states before, and which streams did not fit.
    fn recover(&self, c: &[f32], f: &[f32], streams: Option<(&[u8], &[u32])>) -> (Vec<f32>, Vec<u8>) {
        let grid = launch::elements("remainder", self.len().div_ceil(RUN)).unwrap();
        let (mut out, mut misfits) = (vec![f32::NAN; self.len()], vec![7u8; self.len().div_ceil(RUN)]);
        let places =
            streams.map_or(vec![missing(), missing()], |(bytes, starts)| vec![from(bytes), from(starts)]);
        let rest = vec![to(&mut misfits), to(&mut out), value(self.len() as u64)];
        let sizes = [self.sizes(), vec![value(2f32.powi(-BITS))]].concat();
        self.host.run("recover", grid, [vec![from(c), from(f)], sizes, places, rest].concat());
        (out, misfits)
    }
}

#[test]
fn every_factor_brings_every_state_back() {
    let Some(host) = host() else { return };
    // A stream is four rows of one image, so the CPU's stream of that image is the same one.
    let layout = Layout { n: 3, ch: 4, plane: RUN / 4, bits: BITS };
    for n in (1..=130).chain([255]) {
        let alpha = [n, -n, 130 - n, n / 2].map(|n| n as f32 / 64.0);
        let (alpha_, shape) = (tensor(&alpha, 4), (1, 4, RUN / 4));
        let [f, before, after] = states(&layout, &alpha_, n as u64);
        let case = Case { host: &host, layout: &layout, alpha: &alpha };
        let (bytes, starts) = case.encode(&before);
        for image in 0..layout.n {
            let one = tensor(&before[image * RUN..(image + 1) * RUN], shape);
            let lost = remainder::encode(&Layout { n: 1, ..layout }, &one, &alpha_).unwrap();
            assert_eq!((starts[image + 1] - starts[image]) as usize, lost.payload_bytes(), "n = {n}");
        }
        let (back, misfits) = case.recover(&after, &f, Some((&bytes, &starts)));
        same("before", &back, &before);
        assert_eq!(misfits, [0; 3], "n = {n}");
    }
}

#[test]
fn rows_and_streams_do_not_show() {
    let Some(host) = host() else { return };
    let alpha = [0.5, -0.5, 0.1, 0.0, -1e-6, 1.0, -1.25, 0.99, 0.25, 3.0];
    for (n, plane) in [(3, 311), (90, 7), (1, 4001)] {
        let layout = Layout { n, ch: alpha.len(), plane, bits: BITS };
        let [f, before, after] = states(&layout, &tensor(&alpha, alpha.len()), 5);
        let case = Case { host: &host, layout: &layout, alpha: &alpha };
        let (bytes, starts) = case.encode(&before);
        let (back, misfits) = case.recover(&after, &f, Some((&bytes, &starts)));
        same("before", &back, &before);
        assert!(misfits.iter().all(|misfit| *misfit == 0));
    }
}

#[test]
fn a_misfit_is_told() {
    let Some(host) = host() else { return };
    let layout = Layout { n: 1, ch: 1, plane: 5000, bits: BITS };
    let alpha = [0.7];
    let [f, before, after] = states(&layout, &tensor(&alpha, 1), 1);
    let case = Case { host: &host, layout: &layout, alpha: &alpha };
    let (bytes, starts) = case.encode(&before);
    // States that are not those of the streams, no streams where some are needed, and a factor that no state has.
    let other = numbers(5000, 9);
    assert!(case.recover(&after, &other, Some((&bytes, &starts))).1.contains(&1));
    assert!(case.recover(&after, &f, None).1.contains(&1));
    let wild = Case { alpha: &[f32::NAN], ..case };
    assert!(wild.recover(&after, &f, None).1.iter().all(|misfit| *misfit == 1));
    let one = Case { alpha: &[1.0], ..wild };
    assert!(one.recover(&after, &f, None).1.iter().all(|misfit| *misfit == 0));
}
