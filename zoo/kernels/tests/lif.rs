//! Integrate-and-fire: blocks against the plain loops, the gradient against finite differences, and threads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use candle_core::{DType, Tensor};
use kernels::lif::*;
use values::*;

const SURROGATES: [Surrogate; 6] = [
    Surrogate::Rectangle { width: 1.0, height: 1.0, closed: true },
    Surrogate::Rectangle { width: 0.7, height: 0.5, closed: false },
    Surrogate::Triangle { alpha: 1.3 },
    Surrogate::Sigmoid { alpha: 4.0 },
    Surrogate::ArcTan { alpha: 2.0 },
    Surrogate::Window { low: 0.0, high: 2.0 },
];

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (i, surrogate) in SURROGATES.into_iter().enumerate() {
        for reset in [Reset::Soft, Reset::Hard(0.0), Reset::Hard(-0.2), Reset::None] {
            for reset_grad in [ResetGrad::Through, ResetGrad::Detached] {
                let (decay, input_gain, threshold) = (0.6, 1.4, 0.5);
                let strict = i % 2 == 0;
                for time_gradient in [true, false] {
                    cells.push(Cell {
                        decay,
                        input_gain,
                        threshold,
                        reset,
                        reset_grad,
                        surrogate,
                        strict,
                        time_gradient,
                        smooth: false,
                    });
                }
            }
        }
    }
    cells
}

fn shapes() -> Vec<LifShape> {
    let shape = |steps, rows, plane, channels, current_steps| LifShape {
        steps,
        rows,
        plane,
        channels,
        current_steps,
    };
    vec![
        shape(1, 1, 1, 1, 1),
        shape(4, 6, 7, 3, 4),
        shape(3, 5, 64, 5, 1),
        shape(2, 3, 1031, 3, 2),
        shape(5, 2, 2500, 1, 5),
        shape(4, 40, 16, 20, 4),
        shape(2, 700, 1, 70, 2),
        // A block of the way back ends inside a row.
        shape(4, 150, 9, 30, 4),
        shape(3, 10, 200, 5, 3),
        shape(3, 150, 4, 50, 3),
        shape(2, 9, 520, 3, 2),
    ]
}

struct Case {
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    v0: Tensor,
    ds: Tensor,
    dlast: Tensor,
}

fn case(s: &LifShape, groups: usize) -> Case {
    let t = |seed, shape: &[usize]| tensor(seed, shape, DType::F32);
    Case {
        x: t(1, &[s.current_steps, s.rows, s.plane]),
        scale: (t(2, &[groups, s.channels]) + 1.2).unwrap(),
        shift: (t(3, &[groups, s.channels]) * 0.3).unwrap(),
        v0: (t(4, &[s.rows, s.plane]) * 0.4).unwrap(),
        ds: t(5, &[s.steps, s.rows, s.plane]),
        dlast: t(6, &[s.rows, s.plane]),
    }
}

impl Case {
    fn wide(&self) -> Case {
        let Case { x, scale, shift, v0, ds, dlast } = self;
        let [x, scale, shift, v0, ds, dlast] = [x, scale, shift, v0, ds, dlast].map(wide);
        Case { x, scale, shift, v0, ds, dlast }
    }

    fn current(&self) -> Current<'_> {
        Current { x: &self.x, affine: Some((&self.scale, &self.shift)) }
    }

    /// Spikes as numbers, last membrane, current's and first membrane's gradient.
    fn run(&self, s: &LifShape, cell: &Cell) -> [Tensor; 4] {
        let (fired, last) = forward(s, cell, &self.current(), Some(&self.v0), true).unwrap();
        let spikes = match fired {
            Fired::Spikes(bits) => bits.unpack(self.x.dtype()).unwrap(),
            Fired::Smooth(values) => values,
        };
        let (di, dv0) =
            backward(s, cell, &self.current(), Some(&self.v0), &self.ds, Some(&self.dlast), true, false)
                .unwrap();
        [spikes, last.unwrap(), di, dv0.unwrap()]
    }
}

#[test]
fn blocks_agree_with_the_plain_loops() {
    for s in shapes() {
        for groups in [1, s.steps] {
            let (fast, plain) = (case(&s, groups), case(&s, groups).wide());
            for cell in cells() {
                let (a, b) = (fast.run(&s, &cell), plain.run(&s, &cell));
                let what = format!("{s:?} {cell:?}");
                // A membrane may lie within rounding of the threshold or of the surrogate's edge; none does here.
                assert_eq!(list(&a[0]), list(&b[0]), "spikes of {what}");
                for i in 1..4 {
                    assert_near(&a[i], &b[i], 2e-5, &format!("result {i} of {what}"));
                }
            }
        }
    }
}

#[test]
fn the_gradient_may_take_the_place_of_the_upstream_one() {
    for s in shapes().into_iter().filter(|s| s.current_steps == s.steps) {
        let (c, cell) = (case(&s, 1), cells()[10]);
        let (apart, _) = backward(&s, &cell, &c.current(), None, &c.ds, None, false, false).unwrap();
        let ds = c.ds.copy().unwrap();
        let (over, none) = backward(&s, &cell, &c.current(), None, &ds, None, false, true).unwrap();
        assert_eq!(bits(&apart), bits(&over));
        assert_eq!(bits(&over), bits(&ds), "the result lies in ds");
        assert!(none.is_none());
    }
}

/// One step at a time from a detached membrane, which is what cutting time means.
#[test]
fn cut_time_is_a_loop_of_single_steps_to_the_bit() {
    for dtype in [DType::F32, DType::F64] {
        for s in shapes().into_iter().filter(|s| s.current_steps == s.steps) {
            let c = if dtype == DType::F32 { case(&s, 1) } else { case(&s, 1).wide() };
            for cell in cells().into_iter().filter(|c| !c.time_gradient) {
                let [spikes, last, di, dv0] = c.run(&s, &cell);
                assert!(list(&dv0).iter().all(|g| *g == 0.0), "the first membrane gets no gradient");
                let one = LifShape { steps: 1, current_steps: 1, ..s };
                let mut v = c.v0.clone();
                for t in 0..s.steps {
                    let what = format!("step {t} of {s:?} {cell:?} in {dtype:?}");
                    let frame = |x: &Tensor| x.narrow(0, t, 1).unwrap().copy().unwrap();
                    let current = Current { x: &frame(&c.x), affine: Some((&c.scale, &c.shift)) };
                    let dlast = (t + 1 == s.steps).then_some(&c.dlast);
                    let (di_t, _) =
                        backward(&one, &cell, &current, Some(&v), &frame(&c.ds), dlast, false, false)
                            .unwrap();
                    assert_eq!(bits(&frame(&di)), bits(&di_t), "gradient at {what}");
                    let (fired, after) = forward(&one, &cell, &current, Some(&v), true).unwrap();
                    let Fired::Spikes(fired) = fired else { panic!("spikes") };
                    let rows = spikes.reshape((s.steps, s.rows * s.plane)).unwrap();
                    let expected = rows.get(t).unwrap();
                    assert_eq!(list(&expected), list(&fired.unpack(dtype).unwrap()), "spikes at {what}");
                    v = after.unwrap();
                }
                assert_eq!(bits(&last), bits(&v), "membrane of {s:?} {cell:?} in {dtype:?}");
            }
        }
    }
}

#[test]
fn a_smooth_neurons_gradient_is_that_of_finite_differences() {
    let s = LifShape { steps: 4, rows: 4, plane: 3, channels: 2, current_steps: 4 };
    for cell in cells().into_iter().filter(|c| c.reset_grad == ResetGrad::Through && c.time_gradient) {
        for current_steps in [4, 1] {
            let (s, cell) = (LifShape { current_steps, ..s }, Cell { smooth: true, ..cell });
            let c = case(&s, 1).wide();
            let [_, _, di, dv0] = c.run(&s, &cell);
            // dI / dx = scale.
            let energy = |x: &Tensor, v0: &Tensor| {
                let i = Current { x, affine: c.current().affine };
                let (fired, last) = forward(&s, &cell, &i, Some(v0), true).unwrap();
                let Fired::Smooth(y) = fired else { panic!("a smooth neuron gives numbers") };
                dot(&y, &c.ds) + dot(&last.unwrap(), &c.dlast)
            };
            let (gain, dx) = (list(&c.scale), list(&di));
            let expected: Vec<f64> =
                dx.iter().enumerate().map(|(i, g)| g * gain[i / s.plane % s.rows % s.channels]).collect();
            check_gradient(&c.x, &expected, |x| energy(x, &c.v0), &format!("x, {cell:?}"));
            check_gradient(&c.v0, &list(&dv0), |v0| energy(&c.x, v0), &format!("v0, {cell:?}"));
        }
    }
}

/// Central differences of `f` around `x`, against `expected`; a few may sit on a kink of the surrogate.
fn check_gradient(x: &Tensor, expected: &[f64], f: impl Fn(&Tensor) -> f64, what: &str) {
    const STEP: f64 = 1e-6;
    let values = list(x);
    for i in 0..values.len() {
        let moved = |by: f64| {
            let mut values = values.clone();
            values[i] += by;
            f(&Tensor::from_vec(values, x.shape(), x.device()).unwrap())
        };
        let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        assert!(
            (slope - expected[i]).abs() < 1e-5 * (1.0 + slope.abs()),
            "{what}: {i}: {slope} {}",
            expected[i]
        );
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let s = LifShape { steps: 4, rows: 96, plane: 225, channels: 12, current_steps: 4 };
    let c = case(&s, 4);
    for cell in cells() {
        same_for_any_threads(&format!("{cell:?}"), || c.run(&s, &cell).to_vec());
    }
}

#[test]
fn a_neuron_at_the_threshold_fires_unless_strict() {
    let s = LifShape { steps: 1, rows: 1, plane: 3, channels: 1, current_steps: 1 };
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::new(&[0.5f64, 0.499999, 0.500001], &candle_core::Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        for (strict, first) in [(false, 1.0), (true, 0.0)] {
            let cell = Cell { input_gain: 1.0, strict, ..cells()[0] };
            let (fired, last) = forward(&s, &cell, &Current { x: &x, affine: None }, None, false).unwrap();
            let Fired::Spikes(spikes) = fired else { panic!("spikes") };
            assert_eq!(list(&spikes.unpack(dtype).unwrap()), [first, 0.0, 1.0]);
            assert!(last.is_none());
        }
    }
}

#[test]
fn a_trace_decays_and_adds() {
    for (rows, plane) in [(1, 1), (3, 7), (65, 513), (2, 9000)] {
        for (rate, dtype) in [(0.0, DType::F32), (0.4, DType::F32), (1.0, DType::F64)] {
            let (a, s) = (tensor(1, &[rows, plane], dtype), spikes(2, &[rows, plane], rate));
            let expected = (a.affine(0.5, 0.0).unwrap() + s.to_dtype(dtype).unwrap()).unwrap();
            trace(&a, &packed(&s, rows), 0.5).unwrap();
            assert_eq!(bits(&a), bits(&expected));
        }
    }
}

#[test]
fn the_rectifier_folds_the_norm() {
    for s in shapes().into_iter().filter(|s| s.current_steps == s.steps) {
        for groups in [1, s.steps] {
            let c = case(&s, groups);
            let (y, sign) = relu_forward(&s, &c.current()).unwrap();
            let (x, scale, shift) = (list(&c.x), list(&c.scale), list(&c.shift));
            let expected: Vec<f64> = (0..x.len())
                .map(|i| {
                    let (t, ch) = (i / s.plane / s.rows, i / s.plane % s.rows % s.channels);
                    let g = if groups == 1 { 0 } else { t } * s.channels + ch;
                    (x[i] as f32 * scale[g] as f32 + shift[g] as f32).max(0.0) as f64
                })
                .collect();
            assert_eq!(list(&y), expected);
            let dx = list(&gate(&c.ds, &sign, false).unwrap());
            for (i, g) in list(&c.ds).into_iter().enumerate() {
                assert_eq!(dx[i], if expected[i] > 0.0 { g } else { 0.0 });
            }
        }
    }
}

#[test]
fn a_gate_does_what_the_window_of_a_neuron_without_a_state_does() {
    let (low, high) = (-0.3, 0.9);
    let surrogate = Surrogate::Window { low, high };
    let cell = Cell {
        decay: 0.0,
        input_gain: 1.0,
        threshold: 0.5,
        reset: Reset::None,
        reset_grad: ResetGrad::Detached,
        surrogate,
        strict: false,
        time_gradient: true,
        smooth: false,
    };
    for s in shapes().into_iter().filter(|s| s.current_steps == s.steps) {
        for groups in [1, s.steps] {
            let c = case(&s, groups);
            let (expected, _) = backward(&s, &cell, &c.current(), None, &c.ds, None, false, false).unwrap();
            let open = window(&s, &c.current(), low, high).unwrap();
            assert_eq!(list(&gate(&c.ds, &open, false).unwrap()), list(&expected));
            let ds = c.ds.copy().unwrap();
            assert_eq!(list(&gate(&ds, &open, true).unwrap()), list(&expected));
            assert_eq!(list(&ds), list(&expected), "in its place");
        }
    }
}
