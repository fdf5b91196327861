//! Laws that hold for every shape and every pattern of spikes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

use candle_core::{DType, Device, Tensor};
use kernels::{Bits, Operand, conv, conv::ConvShape, elementwise};
use proptest::prelude::*;

/// Rows, plane and that many spikes.
fn spikes() -> impl Strategy<Value = (usize, usize, Vec<bool>)> {
    (1_usize..6, 1_usize..40).prop_flat_map(|(rows, plane)| {
        (Just(rows), Just(plane), proptest::collection::vec(any::<bool>(), rows * plane))
    })
}

fn tensor(spikes: &[bool]) -> Tensor {
    let numbers: Vec<f32> = spikes.iter().map(|&spike| f32::from(u8::from(spike))).collect();
    Tensor::from_vec(numbers, spikes.len(), &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

proptest! {
    #[test]
    fn packing_loses_no_spike((rows, plane, spikes) in spikes()) {
        let dense = tensor(&spikes);
        let bits = Bits::pack(&dense, rows, plane).unwrap();
        prop_assert_eq!(bits.bytes(), Bits::bytes_for(rows, plane));
        prop_assert_eq!(bits.count_ones().unwrap(), spikes.iter().filter(|spike| **spike).count() as u64);
        prop_assert_eq!(numbers(&bits.unpack(DType::F32).unwrap()), numbers(&dense));
        let last = bits.narrow(rows - 1, 1).unwrap();
        prop_assert_eq!(numbers(&last.unpack(DType::F32).unwrap()), numbers(&dense)[(rows - 1) * plane..].to_vec());
    }

    #[test]
    fn a_convolution_of_bits_is_that_of_numbers(
        side in 1_usize..9, kernel in prop_oneof![Just(1_usize), Just(3)], stride in 1_usize..3, seed in any::<u64>(),
    ) {
        let s = ConvShape {
            n: 2, c_in: 3, h: side, w: side, c_out: 4, kernel: (kernel, kernel), stride, pad: kernel / 2, groups: 1,
        };
        let spikes: Vec<bool> = (0..2 * 3 * side * side).map(|i| seed.rotate_left(i as u32 * 7 + 3) & 1 == 1).collect();
        let dense = tensor(&spikes);
        let bits = Bits::pack(&dense, 6, side * side).unwrap();
        let weight: Vec<f32> = (0..4 * 3 * kernel * kernel).map(|i| (i as f32 * 0.37).sin()).collect();
        let weight = Tensor::from_vec(weight, (4, 3, kernel, kernel), &Device::Cpu).unwrap();
        let a = conv::forward(&s, Operand::Dense(&dense), &weight, None).unwrap();
        let b = conv::forward(&s, Operand::Spikes(&bits), &weight, None).unwrap();
        prop_assert_eq!(numbers(&a), numbers(&b));
    }

    #[test]
    fn sums_on_the_grid_are_undone_exactly(
        pairs in proptest::collection::vec((-200.0_f32..200.0, -50.0_f32..50.0), 1..50),
    ) {
        let (x, f): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let len = x.len();
        let x = elementwise::round_to_grid(&Tensor::from_vec(x, len, &Device::Cpu).unwrap(), 16).unwrap();
        let f = Tensor::from_vec(f, len, &Device::Cpu).unwrap();
        let y = elementwise::add_rounded(&x, &f, 16, 1).unwrap();
        prop_assert_eq!(numbers(&elementwise::add_rounded(&y, &f, 16, -1).unwrap()), numbers(&x));
    }
}
