//! Neurons: spikes, membranes and gradients have the CPU's bits.

use kernels::cuda::{launch, source};
use kernels::lif::{self, Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};

use crate::host::{Argument, Host, from, missing, numbers, same, tensor, to, value, values};

const STEPS: usize = 5;

/// `struct Cell` of `lif.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Constants(pub(super) [f32; 6], pub(super) [i32; 6]);

/// `struct Input` of `lif.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Input(pub(super) [u64; 7], pub(super) [i32; 3]);

/// A neuron with a leak and a soft reset through which the gradient flows.
pub(super) fn soft_cell() -> Cell {
    Cell {
        decay: 0.8,
        input_gain: 0.75,
        threshold: 0.5,
        reset: Reset::Soft,
        reset_grad: ResetGrad::Through,
        surrogate: Surrogate::Triangle { alpha: 1.0 },
        strict: false,
        time_gradient: true,
        smooth: false,
    }
}

pub(super) fn constants(cell: &Cell) -> Constants {
    let (reset, to) = match cell.reset {
        Reset::Soft => (0, 0.0),
        Reset::Hard(to) => (1, to),
        Reset::None => (2, 0.0),
    };
    let (kind, first, second) = match cell.surrogate {
        Surrogate::Rectangle { width, height, closed } => (i32::from(closed), width / 2.0, height),
        Surrogate::Triangle { alpha } => (2, alpha, 0.0),
        Surrogate::Sigmoid { alpha } => (3, alpha, 0.0),
        Surrogate::ArcTan { alpha } => (4, alpha / 2.0, std::f64::consts::FRAC_PI_2 * alpha),
        Surrogate::Window { low, high } => (5, low, high),
    };
    let numbers =
        [cell.decay, cell.input_gain, cell.threshold, to, first, second].map(|number| number as f32);
    let detached = i32::from(cell.reset_grad == ResetGrad::Detached);
    let flags = [reset, detached, i32::from(cell.strict), i32::from(cell.time_gradient), 0, kind];
    Constants(numbers, flags)
}

fn cells() -> Vec<Cell> {
    let surrogates = [
        Surrogate::Rectangle { width: 1.0, height: 1.0, closed: false },
        Surrogate::Rectangle { width: 1.5, height: 0.5, closed: true },
        Surrogate::Triangle { alpha: 1.0 },
        Surrogate::Sigmoid { alpha: 4.0 },
        Surrogate::ArcTan { alpha: 2.0 },
        Surrogate::Window { low: -0.5, high: 1.5 },
    ];
    let resets = [Reset::Soft, Reset::Hard(0.0), Reset::Hard(0.25), Reset::None];
    let all = surrogates.iter().flat_map(|surrogate| resets.iter().map(move |reset| (*surrogate, *reset)));
    all.enumerate()
        .map(|(i, (surrogate, reset))| Cell {
            decay: 0.8,
            input_gain: 0.75,
            threshold: 0.5,
            reset,
            reset_grad: if i % 2 == 0 { ResetGrad::Through } else { ResetGrad::Detached },
            surrogate,
            strict: i % 3 == 0,
            time_gradient: i % 5 != 0,
            smooth: false,
        })
        .collect()
}

#[test]
fn spikes_membranes_and_gradients_are_the_cpus() {
    let Some(host) = Host::new(source::LIF, STEPS, &["forward", "backward"]) else { return };
    for (i, cell) in cells().iter().enumerate() {
        // Rows that end inside a byte; a norm of one row or one a step, or none; a current that is constant in time.
        let (channels, plane, constant) = (2, [1, 8, 13][i % 3], i % 4 == 0);
        let groups = [0, 1, STEPS][i % 3];
        let s = LifShape {
            steps: STEPS,
            rows: 6,
            plane,
            channels,
            current_steps: if constant { 1 } else { STEPS },
        };
        let frame = s.rows * plane;
        let x = numbers(s.current_steps * frame, 1);
        let (scale, shift) = (numbers(groups * channels, 2), numbers(groups * channels, 3));
        let (v0, ds, dlast) = (numbers(frame, 4), numbers(STEPS * frame, 5), numbers(frame, 6));
        let (x_, v0_) = (tensor(&x, (s.current_steps, s.rows, plane)), tensor(&v0, (s.rows, plane)));
        let folded = [tensor(&scale, (groups, channels)), tensor(&shift, (groups, channels))];
        let current = Current { x: &x_, affine: (groups > 0).then_some((&folded[0], &folded[1])) };

        let (fired, last) = lif::forward(&s, cell, &current, Some(&v0_), true).unwrap();
        let Fired::Spikes(spikes) = fired else { panic!("spikes are bits") };
        let (ds_, dlast_) = (tensor(&ds, (STEPS, s.rows, plane)), tensor(&dlast, (s.rows, plane)));
        let (di, dv0) =
            lif::backward(&s, cell, &current, Some(&v0_), &ds_, Some(&dlast_), true, false).unwrap();

        let address = |values: &[f32]| if values.is_empty() { 0 } else { values.as_ptr().addr() as u64 };
        let places = [address(&x), address(&scale), address(&shift), address(&v0)];
        let sizes = [s.rows, plane, channels].map(|size| size as u64);
        let flags = [i32::from(constant), i32::from(groups == STEPS), 0];
        let input = Input([places[0], places[1], places[2], places[3], sizes[0], sizes[1], sizes[2]], flags);
        let head = || -> Vec<Argument> { vec![value(constants(cell)), value(input)] };

        let (mut bits, mut membrane) = (vec![0xffu8; spikes.bytes()], vec![0.0f32; frame]);
        let grid = launch::elements("forward", s.rows * plane.div_ceil(8)).unwrap();
        host.run("forward", grid, [head(), vec![to(&mut bits), to(&mut membrane)]].concat());
        assert_eq!(bits, spikes.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap(), "{cell:?}");
        same("last", &membrane, &values(&last.unwrap()));

        let per_step = !constant || groups == STEPS;
        let (mut gradient, mut first) = (vec![0.0f32; di.elem_count()], vec![0.0f32; frame]);
        let rest =
            vec![from(&ds), from(&dlast), value(i32::from(per_step)), to(&mut gradient), to(&mut first)];
        host.run("backward", launch::elements("backward", frame).unwrap(), [head(), rest].concat());
        same(&format!("di of {cell:?}"), &gradient, &values(&di));
        same("dv0", &first, &values(&dv0.unwrap()));

        if per_step {
            // The gradient may take the place of what it comes from.
            let mut both = ds.clone();
            let at = both.as_mut_ptr();
            let rest = vec![value(at), from(&dlast), value(1i32), value(at), missing()];
            host.run("backward", launch::elements("backward", frame).unwrap(), [head(), rest].concat());
            same("di in place", &both, &gradient);
        }
    }
}
