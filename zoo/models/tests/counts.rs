//! Sizes of the published networks: parameters, and neurons of one image, as counted from the authors' code.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::rc::Rc;

use candle_core::DType;
use engine::drive;
use engine::model::{ModelSpec, Network};
use engine::operations::{Counts, Kind, Reads};
use engine::param::Params;
use engine::pass::{Mode, Pass, Session};
use engine::site::Role;
use engine::tape::Tape;
use engine::unroll::{Statistics, Survey, Surveyed, Through, TimeGradient};
use keys::Key;

/// The published network with this image and number of classes, in a plan: no memory is taken.
fn planned(id: &str, image: [usize; 3], classes: usize) -> Network {
    let entry = models::find(id).unwrap();
    let params = Params::new(Rc::new(Session::plan(DType::F32)), Key::new(1));
    entry.network(&ModelSpec { image, classes, ..(entry.published)() }, params).unwrap()
}

fn survey(network: &Network) -> Vec<Surveyed> {
    let session = Rc::clone(network.params.session());
    let tape = Tape::off();
    let (image, steps) = (network.spec.image, network.spec.steps);
    let pass = Pass::new(&session, &network.params, &tape, Mode::Train, steps, Key::new(2));
    let images = session.input(&[1, 1, image[0], image[1], image[2]], Vec::new()).unwrap();
    let mut statistics = Statistics::default();
    let mut through = Through::new(&mut statistics, TimeGradient::Kept);
    let mut survey = Survey::of(&mut through);
    drive::all_steps(&pass, &mut survey, &network.wiring, &images).unwrap();
    survey.into_calls()
}

const CIFAR: [usize; 3] = [3, 32, 32];
const IMAGENET: [usize; 3] = [3, 224, 224];
const EVENTS: [usize; 3] = [2, 128, 128];

#[test]
fn parameters_are_as_many_as_the_authors_networks_have() {
    for (id, image, classes, parameters) in [
        ("ms-resnet18", CIFAR, 10, 11_173_962),
        ("ms-resnet18", CIFAR, 100, 11_220_132),
        ("ms-resnet34", CIFAR, 10, 21_282_122),
        ("ms-resnet34", CIFAR, 100, 21_328_292),
        ("ms-resnet34", IMAGENET, 1000, 21_797_672),
        ("ms-resnet20", EVENTS, 10, 272_330),
        ("ms-resnet20", EVENTS, 11, 272_395),
        ("rev-resnet21", CIFAR, 10, 10_967_690),
        ("rev-resnet21", CIFAR, 100, 11_048_420),
        ("rev-resnet37", CIFAR, 10, 23_510_154),
        ("rev-resnet37", CIFAR, 100, 23_590_884),
        ("rev-resnet24", EVENTS, 10, 260_362),
        ("rev-resnet24", EVENTS, 11, 260_459),
        ("sew-resnet18", IMAGENET, 1000, 11_689_512),
        ("sew-resnet34", IMAGENET, 1000, 21_797_672),
        ("sew-resnet50", IMAGENET, 1000, 25_557_032),
        ("revsformer-2-384", CIFAR, 10, 5_766_586),
        ("revsformer-2-384", CIFAR, 100, 5_835_796),
        ("revsformer-4-384", CIFAR, 10, 9_323_962),
        ("revsformer-4-384", CIFAR, 100, 9_393_172),
        ("revsformer-2-256", EVENTS, 10, 2_569_226),
        ("revsformer-2-256", EVENTS, 11, 2_569_739),
        ("spikingformer-2-384", CIFAR, 10, 5_765_818),
        ("spikingformer-2-384", CIFAR, 100, 5_800_468),
        ("spikingformer-4-384", CIFAR, 10, 9_326_266),
        ("spikingformer-4-384", CIFAR, 100, 9_360_916),
        ("spikingformer-2-256", EVENTS, 10, 2_568_714),
        ("spikingformer-2-256", EVENTS, 11, 2_568_971),
        ("spike-driven-transformer-6-512", IMAGENET, 1000, 23_373_736),
        ("spike-driven-transformer-8-384", IMAGENET, 1000, 16_816_536),
        ("spike-driven-transformer-8-512", IMAGENET, 1000, 29_689_896),
        ("spike-driven-transformer-2-256", EVENTS, 10, 2_566_794),
        ("spike-driven-transformer-2-256", EVENTS, 11, 2_567_051),
        ("spike-driven-transformer-2-512", CIFAR, 10, 10_233_546),
        ("spike-driven-transformer-2-512", CIFAR, 100, 10_279_716),
    ] {
        assert_eq!(planned(id, image, classes).params.count(), parameters, "{id}, {classes} classes");
    }
}

#[test]
fn neurons_of_an_image_are_as_many_as_the_authors_networks_have() {
    for (id, neurons) in [
        ("ms-resnet18", 671_744),
        ("ms-resnet34", 1_081_344),
        ("rev-resnet21", 731_136),
        ("rev-resnet37", 1_021_952),
    ] {
        let calls = survey(&planned(id, CIFAR, 10));
        assert_eq!(calls.iter().map(|call| call.neurons).sum::<usize>(), neurons, "{id}");
    }
}

/// 8.26 G multiply-accumulates a step at 224 x 224, counted from the released code.
#[test]
fn the_work_of_a_spike_driven_transformer_is_that_of_the_authors_network() {
    let network = planned("spike-driven-transformer-8-512", IMAGENET, 1000);
    let calls = survey(&network);
    let all: u64 = calls.iter().map(|call| call.macs).sum();
    // The authors evaluate the first convolution at every one of the four steps, we once.
    let first = calls.iter().find(|call| call.site.role() == Role::Encoder).unwrap().macs;
    let giga = (all + 3 * first) as f64 / 4e9;
    assert!((giga - 8.26).abs() < 0.005, "{giga}");
}

#[test]
fn the_last_spiking_layer_of_each_stage_has_a_name() {
    let network = planned("spiking-resnet18", CIFAR, 10);
    let neurons: Vec<_> = network.sites.iter().filter(|site| site.role() == Role::Neuron).collect();
    for (stage, side) in [(1, 32), (2, 16), (3, 8), (4, 4)] {
        let of_stage = format!("layer{stage}.");
        let last = neurons.iter().rev().find(|site| site.name().starts_with(&of_stage)).unwrap();
        assert_eq!(last.name(), format!("layer{stage}.1.sn2"));
        let call = survey(&network).into_iter().find(|call| call.site == **last).unwrap();
        assert_eq!(call.output[3..], [side, side], "stage {stage}");
    }
}

#[test]
fn weights_that_nothing_reads_are_declared() {
    for (id, image, prefix, scalars) in [
        ("spikingformer-4-384", CIFAR, "norm", 6_144),
        ("spike-driven-transformer-8-512", IMAGENET, "talking_heads", 512),
    ] {
        let network = planned(id, image, 10);
        let read: Vec<_> = survey(&network).into_iter().flat_map(|call| call.params).collect();
        let all = network.params.iter().enumerate();
        let unread = all.filter(|(index, _)| !read.iter().any(|id| id.index() == *index));
        let unread: Vec<_> = unread.map(|(_, param)| param).collect();
        assert!(unread.iter().all(|param| param.name().contains(prefix)));
        assert_eq!(unread.iter().map(|param| param.value().len()).sum::<usize>(), scalars, "{id}");
    }
}

/// What a session counts of a planned evaluation.
fn counted(network: &Network) -> Counts {
    let session = Rc::clone(network.params.session());
    session.count_operations();
    survey(network);
    session.end_counted(1).unwrap();
    session.take_counts().unwrap().unwrap()
}

#[test]
fn a_resnet18_without_time_has_1_82_billion_operations() {
    let entry = models::find("sew-resnet18").unwrap();
    let params = Params::new(Rc::new(Session::plan(DType::F32)), Key::new(1));
    let spec = ModelSpec { image: IMAGENET, classes: 1000, steps: 1, ..(entry.published)() };
    let counts = counted(&entry.network(&spec, params).unwrap());
    // The shapes of ResNet-18: 11,689,512 parameters. Counter packages add two operations a value of each norm to the
    // products and print 1.82 G, which is 8.372 mJ at 4.6 pJ.
    let products = counts.total(|sums| sums.dense_macs);
    assert_eq!(products, 1_814_073_344);
    let norms =
        counts.rows.iter().filter(|row| row.kind == Kind::Norm).map(|row| row.sums.multiplies).sum::<u64>();
    assert_eq!(norms, 2_483_712);
    let millijoules = 4.6e-9 * (products + 2 * norms) as f64;
    assert!((millijoules / 8.372 - 1.0).abs() < 1e-3, "{millijoules}");
}

#[test]
fn every_network_is_counted_without_a_gap_and_as_the_survey_says() {
    for entry in models::all() {
        let spec = (entry.published)();
        let network = planned(entry.id, spec.image, spec.classes);
        let surveyed: u64 = survey(&network).iter().map(|call| call.macs).sum();
        let counts = counted(&network);
        assert_eq!(counts.total(|sums| sums.dense_macs), surveyed, "{}", entry.id);
        let unspent =
            counts.rows.iter().find(|row| row.reads != Reads::Spikes && row.sums.macs != row.sums.dense_macs);
        assert_eq!(unspent, None, "{}", entry.id);
    }
}
