//! Operations are counted from the numbers, to the digit, and none goes by uncounted.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::Error;
use engine::bridge::bridge;
use engine::ledger::{Category, Phase};
use engine::neuron::{InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::operations::{Counted, Counts, During, Kind, Reads};
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::param::Params;
use engine::pass::{Mode, Pass, Session};
use engine::tape::Tape;
use engine::unroll::{Statistics, Through, TimeGradient};
use engine::value::Value;
use keys::Key;

const STEPS: usize = 2;

/// What `compute` does, counted as one evaluation of one sample at T = 2.
fn counted(planned: bool, compute: impl FnOnce(&Pass<'_>) -> engine::Result<()>) -> engine::Result<Counts> {
    let session = if planned { Session::plan(DType::F32) } else { Session::new(Device::Cpu, DType::F32) };
    let session = Rc::new(session);
    let (params, tape) = (Params::new(Rc::clone(&session), Key::new(1)), Tape::off());
    let pass = Pass::new(&session, &params, &tape, Mode::Eval, STEPS, Key::new(2));
    session.ledger().enter(Phase::Evaluation);
    session.count_operations();
    compute(&pass)?;
    session.end_counted(1)?;
    Ok(session.take_counts()?.unwrap())
}

fn ones(pass: &Pass<'_>, category: Category, shape: &[usize]) -> Value {
    let ones = Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    pass.session().constant(category, shape, &ones).unwrap()
}

fn conv(pass: &Pass<'_>, name: &str, spec: &ConvSpec, x: &Value) -> engine::Result<Value> {
    let weight = ones(pass, Category::Parameters, &spec.weight_shape());
    ops::conv(pass, name, spec, x, &weight, None, None)
}

/// Spikes `[2, 1, 2, 3, 3]`: a corner and the centre at the first step, an edge and two corners at the second.
fn spikes(pass: &Pass<'_>) -> engine::Result<Value> {
    let mut current = vec![0.0; STEPS * 2 * 9];
    for (step, channel, row, column) in [(0, 0, 0, 0), (0, 1, 1, 1), (1, 0, 0, 1), (1, 0, 2, 2), (1, 1, 0, 2)]
    {
        current[((step * 2 + channel) * 3 + row) * 3 + column] = 1.0;
    }
    let current = pass.session().input(&[STEPS, 1, 2, 3, 3], current)?;
    let neuron = Neuron::Quantiser { smooth: false };
    Ok(ops::fire(pass, "neurons", &neuron, &current, STEPS, None, (false, false))?.0)
}

fn rows<'c>(counts: &'c Counts, layer: &str) -> Vec<&'c Counted> {
    counts.rows.iter().filter(|row| row.layer == layer).collect()
}

#[test]
fn two_layers_are_counted_to_the_digit() {
    let counts = counted(false, |pass| {
        let image = pass.session().input(&[1, 1, 1, 3, 3], vec![0.5; 9])?;
        conv(pass, "conv1", &ConvSpec::same(1, 2, 3, 1), &image)?;
        let spikes = spikes(pass)?;
        conv(pass, "conv2", &ConvSpec::same(2, 4, 3, 1), &spikes)?;
        Ok(())
    })
    .unwrap();
    // An image that is shown at both steps is convolved once: 2 channels x 9 places x 9 taps, the padding's too.
    let [first] = rows(&counts, "conv1")[..] else { panic!("{counts:?}") };
    assert_eq!((first.step, first.reads, first.kind), (0, Reads::Images, Kind::Convolution));
    assert_eq!((first.sums.dense_macs, first.sums.macs, first.sums.acs, first.weights), (162, 162, 0, 18));
    // A corner is read by 4 windows, an edge by 6, the centre by 9, each with 4 channels.
    let second = rows(&counts, "conv2");
    let acs: Vec<_> = second.iter().map(|row| (row.step, row.sums.macs, row.sums.acs)).collect();
    assert_eq!(acs, [(1, 0, (4 + 9) * 4), (2, 0, (6 + 4 + 4) * 4)]);
    assert!(second.iter().all(|row| row.sums.dense_macs == 4 * 9 * 18 && row.reads == Reads::Spikes));
    // Counting by rates would give more: 2 and 3 of 18 inputs of 648 products.
    assert_eq!([648 * 2 / 18, 648 * 3 / 18], [72, 108]);
    let fired: Vec<_> = rows(&counts, "neurons").iter().map(|row| (row.sums.spikes, row.neurons)).collect();
    assert_eq!(fired, [(2, 18), (3, 18)]);
    assert_eq!(counts.samples, 1);
}

#[test]
fn strides_skip_places_and_a_factor_goes_to_the_weights() {
    let counts = counted(false, |pass| {
        let scaled = ops::scale(pass, "scale", &spikes(pass)?, 2.5)?;
        conv(pass, "strided", &ConvSpec::same(2, 1, 1, 2), &scaled)?;
        Ok(())
    })
    .unwrap();
    // Windows stand at even rows and columns: the corners are read, edge and centre are not.
    let acs: Vec<_> = rows(&counts, "strided").iter().map(|row| row.sums.acs).collect();
    assert_eq!(acs, [1, 2]);
    assert!(rows(&counts, "scale").is_empty());
}

#[test]
fn weights_behind_weights_multiply_and_the_papers_convention_stands_beside() {
    let counts = counted(false, |pass| {
        let depthwise = ConvSpec { groups: 2, ..ConvSpec::same(2, 2, 3, 1) };
        let y = conv(pass, "depthwise", &depthwise, &spikes(pass)?)?;
        conv(pass, "pointwise", &ConvSpec::same(2, 3, 1, 1), &y)?;
        Ok(())
    })
    .unwrap();
    let acs: Vec<_> = rows(&counts, "depthwise").iter().map(|row| row.sums.acs).collect();
    assert_eq!(acs, [4 + 9, 6 + 4 + 4]);
    let pointwise = rows(&counts, "pointwise");
    assert!(pointwise.iter().all(|row| row.reads == Reads::Weighted && row.sums.macs == 54));
    let chained: Vec<_> = pointwise.iter().map(|row| row.sums.chained_acs).collect();
    assert_eq!(chained, [54.0 * 2.0 / 18.0, 54.0 * 3.0 / 18.0]);
}

#[test]
fn sums_and_means_of_spikes_are_no_spikes() {
    let counts = counted(false, |pass| {
        let spikes = spikes(pass)?;
        let sum = ops::add(pass, "sum", &spikes, &spikes)?;
        conv(pass, "of sums", &ConvSpec::same(2, 1, 1, 1), &sum)?;
        let spec = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 1, pad: 0 };
        let mean = ops::pool(pass, "mean", &spec, &spikes)?;
        conv(pass, "of means", &ConvSpec::same(2, 1, 1, 1), &mean)?;
        let spec = PoolSpec { kind: PoolKind::Max, ..spec };
        let most = ops::pool(pass, "most", &spec, &spikes)?;
        conv(pass, "of maxima", &ConvSpec::same(2, 1, 1, 1), &most)?;
        Ok(())
    })
    .unwrap();
    for (layer, reads, macs, acs) in [
        ("of sums", Reads::SpikeCounts, [18, 18], [0, 0]),
        ("of means", Reads::SpikeMeans, [2, 2], [0, 0]),
        ("of maxima", Reads::Spikes, [0, 0], [2, 2]),
    ] {
        let rows = rows(&counts, layer);
        let found: Vec<_> = rows.iter().map(|row| (row.reads, row.sums.macs, row.sums.acs)).collect();
        assert_eq!(found, [(reads, macs[0], acs[0]), (reads, macs[1], acs[1])], "{layer}");
    }
}

#[test]
fn a_neuron_leaks_adds_compares_and_subtracts_where_it_fired() {
    let neuron = Neuron::Lif {
        decay: 0.5,
        input_decay: InputDecay::Off,
        threshold: 1.0,
        reset: Reset::Soft,
        reset_gradient: ResetGradient::Detached,
        surrogate: Surrogate::Triangle,
        firing: engine::neuron::Firing::At,
        smooth: false,
    };
    let counts = counted(false, |pass| {
        let current = pass.session().input(&[1, 1, 3], vec![1.0, 0.0, 0.75])?;
        ops::fire(pass, "lif", &neuron, &current, STEPS, None, (false, false))?;
        Ok(())
    })
    .unwrap();
    // The first fires at both steps, the third at the second alone: 0.75, then 0.375 + 0.75.
    let found: Vec<_> = rows(&counts, "lif")
        .iter()
        .map(|row| (row.sums.multiplies, row.sums.adds, row.sums.compares, row.sums.spikes))
        .collect();
    assert_eq!(found, [(3, 3 + 1, 3, 1), (3, 3 + 2, 3, 2)]);
}

#[test]
fn an_operation_that_no_counter_knows_is_an_error() {
    let found = counted(false, |pass| {
        let image = pass.session().input(&[1, 1, 1, 3, 3], vec![0.5; 9])?;
        bridge(pass, "foreign", &[1, 1, 1, 3, 3], Rc::new(|inputs| inputs[0].sqr()), &[&image])?;
        Ok(())
    });
    assert!(
        matches!(&found, Err(Error::Uncounted { shape, others: 0 }) if shape == &[1, 1, 1, 3, 3]),
        "{found:?}"
    );
}

#[test]
fn a_plan_counts_the_products_of_shapes() {
    let counts = counted(true, |pass| {
        let image = pass.session().input(&[1, 4, 3, 8, 8], Vec::new())?;
        let y = conv(pass, "conv", &ConvSpec::same(3, 5, 3, 2), &image)?;
        let spikes =
            ops::fire(pass, "n", &Neuron::Quantiser { smooth: false }, &y, 1, None, (false, false))?.0;
        conv(pass, "next", &ConvSpec::same(5, 5, 1, 1), &spikes)?;
        Ok(())
    })
    .unwrap();
    assert_eq!(rows(&counts, "conv")[0].sums.macs, 4 * 5 * 16 * 27);
    let next = rows(&counts, "next")[0].sums;
    assert_eq!((next.dense_macs, next.macs), (4 * 5 * 16 * 5, 0));
}

/// What the way back from ones does, row by row: `compute` reads `[2, 1, 2, 4, 4]`.
fn counted_back(compute: impl FnOnce(&Pass<'_>, &Value) -> engine::Result<Value>) -> Vec<Counted> {
    let session = Rc::new(Session::plan(DType::F32));
    let (params, tape) = (Params::new(Rc::clone(&session), Key::new(1)), session.tape());
    let pass = Pass::new(&session, &params, &tape, Mode::Train, STEPS, Key::new(2));
    let image = session.input(&[STEPS, 1, 2, 4, 4], Vec::new()).unwrap();
    session.count_operations();
    session.ledger().enter(Phase::Forward);
    let y = compute(&pass, &tape.leaf(&image)).unwrap();
    session.ledger().enter(Phase::Backward);
    let seed = session.zeros(Category::ActivationGradients, y.shape()).unwrap();
    let mut statistics = Statistics::default();
    let mut port = Through::new(&mut statistics, TimeGradient::Kept);
    tape.backward(&pass, &mut port, [(y, seed)]).unwrap();
    let counts = session.take_counts().unwrap().unwrap();
    counts.rows.into_iter().filter(|row| row.during == During::Backward).collect()
}

/// Multiplications, additions and comparisons of each row.
fn work(rows: &[Counted]) -> Vec<(&str, usize, [u64; 3])> {
    let of = |row: &Counted| [row.sums.multiplies, row.sums.adds, row.sums.compares];
    rows.iter().map(|row| (row.layer.as_str(), row.step, of(row))).collect()
}

#[test]
fn the_way_back_through_a_neuron_costs_what_its_equations_say() {
    let neuron = |reset_gradient, surrogate| Neuron::Lif {
        decay: 0.5,
        input_decay: InputDecay::Off,
        threshold: 1.0,
        reset: Reset::Soft,
        reset_gradient,
        surrogate,
        firing: engine::neuron::Firing::At,
        smooth: false,
    };
    let back = |neuron: &Neuron, time: bool| {
        counted_back(|pass, x| Ok(ops::fire(pass, "lif", neuron, x, STEPS, None, (false, time))?.0))
    };
    // u = v / 2 + I, a comparison, a reset; x = u - 1, 1 - |x| compared with 0 and times a constant; g_s h + g_v; g_v / 2.
    let detached = neuron(ResetGradient::Detached, Surrogate::Triangle);
    let each = [1 + 1 + 1 + 1, 2 + 2 + 1, 1 + 1].map(|count: u64| 32 * count);
    assert_eq!(work(&back(&detached, true)), [("lif", 1, each), ("lif", 2, each)]);
    // Without a gradient in time there is neither g_v / 2 nor its sum.
    let each = [1 + 1 + 1, 2 + 2, 1 + 1].map(|count: u64| 32 * count);
    assert_eq!(work(&back(&detached, false)), [("lif", 1, each), ("lif", 2, each)]);
    // g_v (1 - h) in place of g_v: h times the threshold, times g_v, and a sum.
    let through = neuron(ResetGradient::Through, Surrogate::Triangle);
    let each = [1 + 1 + 1 + 1 + 2, 2 + 2 + 1 + 1, 1 + 1].map(|count: u64| 32 * count);
    assert_eq!(work(&back(&through, true)), [("lif", 1, each), ("lif", 2, each)]);
    // A quantiser asks which of two bounds a current is between.
    let gate = back(&Neuron::Quantiser { smooth: false }, false);
    assert_eq!(work(&gate), [("lif", 1, [0, 0, 64]), ("lif", 2, [0, 0, 64])]);
}

#[test]
fn the_way_back_through_pools_factors_and_sums_is_counted() {
    let back = counted_back(|pass, x| {
        let spec = PoolSpec { kind: PoolKind::Average, kernel: 2, stride: 1, pad: 0 };
        ops::pool(pass, "mean", &spec, x)
    });
    // 18 means a step; of their 72 shares 32 are the first of their place.
    assert_eq!(work(&back), [("mean", 1, [18, 40, 0]), ("mean", 2, [18, 40, 0])]);

    let back = counted_back(|pass, x| {
        let spec = PoolSpec { kind: PoolKind::Max, kernel: 2, stride: 2, pad: 0 };
        ops::pool(pass, "most", &spec, x)
    });
    assert_eq!(work(&back), [("most", 1, [0, 0, 24]), ("most", 2, [0, 0, 24])]);

    // A value that is read twice gets the sum of two gradients.
    let back = counted_back(|pass, x| {
        let scaled = ops::scale(pass, "scale", x, 3.0)?;
        ops::add(pass, "sum", x, &scaled)
    });
    let scale = |step| ("scale", step, [32, 0, 0]);
    let sum = |step| ("gradients", step, [0, 32, 0]);
    assert_eq!(work(&back), [scale(1), scale(2), sum(1), sum(2)]);
}
