//! Pools, bits, grids, carried states, masks and updates: the CPU's bits.

use candle_core::DType;
use kernels::cuda::{launch, source};
use kernels::pool::{self, PoolShape};
use kernels::remainder::{self, Layout};
use kernels::update::{self, Averages};
use kernels::{Bits, Operand, elementwise};

use crate::host::{Host, from, numbers, same, tensor, to, value, values};

/// `struct Pool` of `pool.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pool([u64; 7]);

#[test]
fn pools_are_the_cpus() {
    let kernels = ["avg_forward", "avg_backward", "max_forward", "max_bits", "max_backward"];
    let Some(host) = Host::new(source::POOL, 0, &kernels) else { return };
    for (kernel, stride, pad) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2), (2, 3, 1), (1, 1, 0)] {
        let s = PoolShape { n_c: 3, h: 7, w: 9, kernel, stride, pad };
        let sizes = Pool([s.h, s.w, kernel, stride, pad, s.out_h(), s.out_w()].map(|size| size as u64));
        let (inputs, outputs) = (s.n_c * s.h * s.w, s.n_c * s.out_h() * s.out_w());
        // Few levels, so that maxima meet.
        let x: Vec<f32> = numbers(inputs, 1).iter().map(|x| x.round()).collect();
        let dy = numbers(outputs, 2);
        let (x_, dy_) = (tensor(&x, (s.n_c, s.h * s.w)), tensor(&dy, (s.n_c, s.out_h() * s.out_w())));
        let (mut y, mut dx) = (vec![0.0f32; outputs], vec![0.0f32; inputs]);
        let (forward, backward) =
            (launch::elements("pool", outputs).unwrap(), launch::elements("pool", inputs).unwrap());
        let dense = || vec![value(sizes), from(&x), value(0i32), value(1u64)];
        for count_pad in [false, true] {
            let (pads, len) = (value(i32::from(count_pad)), [value(outputs as u64), value(inputs as u64)]);
            host.run(
                "avg_forward",
                forward,
                [dense(), vec![pads.clone(), to(&mut y), len[0].clone()]].concat(),
            );
            same(
                "average",
                &y,
                &values(&pool::avg_forward(&s, Operand::Dense(&x_), DType::F32, count_pad).unwrap()),
            );
            host.run(
                "avg_backward",
                backward,
                vec![value(sizes), from(&dy), pads, to(&mut dx), len[1].clone()],
            );
            same("its gradient", &dx, &values(&pool::avg_backward(&s, &dy_, count_pad).unwrap()));
        }
        host.run("max_forward", forward, [dense(), vec![to(&mut y), value(outputs as u64)]].concat());
        same("maximum", &y, &values(&pool::max_forward(&s, Operand::Dense(&x_), DType::F32).unwrap()));
        host.run(
            "max_backward",
            backward,
            [dense(), vec![from(&dy), to(&mut dx), value(inputs as u64)]].concat(),
        );
        same("its gradient", &dx, &values(&pool::max_backward(&s, Operand::Dense(&x_), &dy_).unwrap()));

        let spikes = Bits::pack(&x_, s.n_c, s.h * s.w).unwrap();
        let bytes: Vec<u8> = spikes.tensor().flatten_all().unwrap().to_vec1().unwrap();
        let expected = pool::max_bits(&s, &spikes).unwrap();
        let mut any = vec![0xffu8; expected.bytes()];
        host.run(
            "max_bits",
            launch::elements("pool", any.len()).unwrap(),
            vec![value(sizes), from(&bytes), value((s.h * s.w) as u64), value(s.n_c as u64), to(&mut any)],
        );
        assert_eq!(any, expected.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap());
    }
}

#[test]
fn packed_bits_are_the_cpus() {
    let Some(host) = Host::new(source::BITS, 0, &["pack", "unpack"]) else { return };
    for plane in [1, 7, 8, 9, 33] {
        let (rows, x) = (5, numbers(5 * plane, 1).iter().map(|x| x.trunc()).collect::<Vec<f32>>());
        let expected = Bits::pack(&tensor(&x, (rows, plane)), rows, plane).unwrap();
        let (mut bytes, mut back) = (vec![0xffu8; expected.bytes()], vec![0.0f32; rows * plane]);
        let sizes = vec![value(rows as u64), value(plane as u64)];
        let grid = launch::elements("bits", bytes.len()).unwrap();
        host.run("pack", grid, [vec![from(&x)], sizes, vec![to(&mut bytes)]].concat());
        assert_eq!(bytes, expected.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap());
        host.run(
            "unpack",
            launch::elements("bits", rows * plane).unwrap(),
            vec![from(&bytes), value(plane as u64), to(&mut back), value((rows * plane) as u64)],
        );
        same("unpacked", &back, &values(&expected.unpack(DType::F32).unwrap()));
    }
}

#[test]
fn grids_and_carried_states_are_the_cpus() {
    let Some(grid) = Host::new(source::GRID, 0, &["round_to_grid"]) else { return };
    let Some(carried) = Host::new(source::REMAINDER, 0, &["carry"]) else { return };
    let layout = Layout { n: 2, ch: 64, plane: 9, bits: 16 };
    let len = layout.n * layout.ch * layout.plane;
    let (f, each) = (numbers(len, 1), launch::elements("grid", len).unwrap());
    let (up, down) = (65536f32, 1.0 / 65536f32);
    let (x, mut prev, mut out) = (numbers(len, 2), vec![0.0f32; len], vec![0.0f32; len]);
    grid.run("round_to_grid", each, vec![from(&x), value(up), value(down), to(&mut prev), value(len as u64)]);
    let shape = (layout.n, layout.ch, layout.plane);
    same("rounded", &prev, &values(&elementwise::round_to_grid(&tensor(&x, shape), 16).unwrap()));
    // Factors on both sides of one, and between two multiples of 1/64.
    let alpha = numbers(layout.ch, 3);
    carried.run(
        "carry",
        each,
        vec![
            from(&f),
            from(&prev),
            from(&alpha),
            value(layout.ch as u64),
            value(layout.plane as u64),
            value(up),
            value(down),
            to(&mut out),
            value(len as u64),
        ],
    );
    let expected =
        remainder::carry(&layout, &tensor(&f, shape), &tensor(&prev, shape), &tensor(&alpha, layout.ch));
    same("carried", &out, &values(&expected.unwrap()));
}

#[test]
fn masks_are_the_cpus() {
    let Some(host) = Host::new(source::DROPOUT, 0, &["mask", "mask_bits"]) else { return };
    let (key, rate) = (keys::Key::new(3).fork("mask"), 0.3);
    let kept = (1.0 / (1.0 - rate)) as f32;
    let drawn = || vec![value(key.words()), value(keys::bound(rate))];
    for (steps, n) in [(3usize, 700usize), (1, 1), (2, 4097), (4, 9)] {
        let grid = launch::elements("dropout", n.div_ceil(2)).unwrap();
        let rest = |out: &mut [f32]| vec![value(kept), value(steps as u64), to(out), value(n as u64)];
        let (x, mut y) = (numbers(steps * n, 1), vec![f32::NAN; steps * n]);
        let x_ = tensor(&x, (steps, n));
        let dense = vec![from(&x), value(0i32), value(1u64)];
        host.run("mask", grid, [dense, drawn(), rest(&mut y)].concat());
        let expected = elementwise::dropout(Operand::Dense(&x_), steps, n, key, rate, DType::F32).unwrap();
        same("masked", &y, &values(&expected));
        elementwise::dropout_assign(&x_, steps, key, rate).unwrap();
        let mut own = x.clone();
        let there = vec![to(&mut own), value(0i32), value(1u64)];
        host.run("mask", grid, [there, drawn(), rest(&mut own)].concat());
        same("masked where it lies", &own, &values(&x_));
        // Rows that begin on an odd draw, and ones that end inside a byte.
        for rows in [1, 3, 7].into_iter().filter(|rows| n % rows == 0) {
            let plane = n / rows;
            let ones: Vec<f32> = x.iter().map(|x| f32::from(*x > 0.5)).collect();
            let spikes = Bits::pack(&tensor(&ones, (steps, n)), steps * rows, plane).unwrap();
            let bytes: Vec<u8> = spikes.tensor().flatten_all().unwrap().to_vec1().unwrap();
            let sparse = vec![from(&bytes), value(1i32), value(plane as u64)];
            host.run("mask", grid, [sparse, drawn(), rest(&mut y)].concat());
            let masked = elementwise::dropout(Operand::Spikes(&spikes), steps, n, key, rate, DType::F32);
            same("masked spikes", &y, &values(&masked.unwrap()));
            let mut left = vec![0xffu8; bytes.len()];
            host.run(
                "mask_bits",
                launch::elements("dropout", bytes.len() / steps).unwrap(),
                [
                    vec![from(&bytes), value(plane as u64)],
                    drawn(),
                    vec![value(steps as u64), value(rows as u64), to(&mut left)],
                ]
                .concat(),
            );
            let expected = elementwise::dropout_spikes(&spikes, steps, key, rate).unwrap();
            assert_eq!(left, expected.tensor().flatten_all().unwrap().to_vec1::<u8>().unwrap());
        }
    }
}

#[test]
fn updates_are_the_cpus() {
    let Some(host) = Host::new(source::UPDATE, 0, &["sgd", "adam"]) else { return };
    let len = 300;
    let (mut p, g, mut v) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
    let (p_, g_, v_) = (tensor(&p, len), tensor(&g, len), tensor(&v, len));
    let (grid, many) = (launch::elements("update", len).unwrap(), value(len as u64));
    update::sgd(&p_, &g_, Some(&v_), 0.1, 0.9, 1e-2, true).unwrap();
    host.run(
        "sgd",
        grid,
        vec![
            to(&mut p),
            from(&g),
            to(&mut v),
            value(0.1f32),
            value(0.9f32),
            value(1e-2f32),
            value(1i32),
            many.clone(),
        ],
    );
    same("sgd", &p, &values(&p_));
    same("velocity", &v, &values(&v_));

    let (mut m, mut square) = (numbers(len, 4), numbers(len, 5).iter().map(|v| v * v).collect::<Vec<f32>>());
    let (m_, square_) = (tensor(&m, len), tensor(&square, len));
    let at = Averages { step: 3, betas: [0.9, 0.999], eps: 1e-8 };
    update::adam(&p_, &g_, &m_, &square_, at, 1e-2, 0.1, true).unwrap();
    let unbias = |b: f64| (1.0 / (1.0 - b.powi(3))) as f32;
    let constants =
        [0.9f32, 0.999, (1.0f64 - 0.9) as f32, (1.0f64 - 0.999) as f32, unbias(0.9), unbias(0.999), 1e-8];
    host.run(
        "adam",
        grid,
        vec![
            to(&mut p),
            from(&g),
            to(&mut m),
            to(&mut square),
            value(constants),
            value(1e-2f32),
            value(0.0f32),
            value((1.0f64 - 1e-2 * 0.1) as f32),
            many,
        ],
    );
    same("adam", &p, &values(&p_));
    same("mean square", &square, &values(&square_));
}
