//! What cuDNN and cuBLAS are asked for: number types, which algorithms are taken, how work is cut. Plain choices, tested
//! without a device.
//!
//! An op of halves is the op of `f32` on widened inputs, its outputs rounded once. Tensor cores serve that: a product of two
//! halves is exact in `f32`, and sums are `f32`. What they do not serve is
//!
//! - an algorithm that transforms its inputs first (Winograd's, Fourier's), which would round what it transformed;
//! - a result that is not rounded. cuDNN gives a filter's gradient, and what a bias comes on top of, in its inputs' type: these
//!   run on inputs widened to `f32`, piece by piece. The factors of tensor cores in `f32` have 11 bits (TF32), which every half
//!   fits, so their products are exact too.

use crate::conv::ConvShape;
use crate::cuda::source::Number;

/// Which of the three products of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient of the input.
    Input,
    /// The gradient of the weights.
    Weight,
}

/// A number type of the libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// 32 bits.
    Float,
    /// 64 bits.
    Double,
    /// 16 bits, 10 of them of the fraction.
    Half,
    /// 16 bits, 7 of them of the fraction.
    Bfloat16,
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// In the type of its numbers, at their full precision; of halves by tensor cores.
    Plain(Number),
    /// On halves that were widened to `f32`, by tensor cores.
    Widened,
}

impl Lane {
    /// The type of what a convolution reads and writes.
    #[must_use]
    pub fn data(self) -> Data {
        match self {
            Self::Plain(Number::F32) | Self::Widened => Data::Float,
            Self::Plain(Number::F64) => Data::Double,
            Self::Plain(Number::Bf16) => Data::Bfloat16,
            Self::Plain(Number::F16) => Data::Half,
        }
    }

    /// The type of its sums, and of the factors on them.
    #[must_use]
    pub fn sums(self) -> Data {
        match self.data() {
            Data::Double => Data::Double,
            _ => Data::Float,
        }
    }

    /// Whether tensor cores may multiply: their factors have as many bits as the numbers that come in.
    #[must_use]
    pub fn by_tensor_cores(self) -> bool {
        !matches!(self, Self::Plain(Number::F32 | Number::F64))
    }

    /// The lane of a convolution in this direction.
    #[must_use]
    pub fn of(number: Number, direction: Direction, biased: bool) -> Self {
        let half = matches!(number, Number::Bf16 | Number::F16);
        let unrounded = direction == Direction::Weight || (direction == Direction::Forward && biased);
        if half && unrounded { Self::Widened } else { Self::Plain(number) }
    }

    /// Whether an algorithm that cuDNN offers may be taken.
    #[must_use]
    pub fn takes(self, offer: Offer) -> bool {
        let exact = match offer.math {
            // The default is told of algorithms that have no other way.
            Math::Full | Math::Default => true,
            Math::TensorCores => self.by_tensor_cores(),
            Math::Converted => false,
        };
        let transforms = self.by_tensor_cores() && offer.transforms;
        offer.works && offer.deterministic && exact && !transforms
    }
}

/// How an algorithm multiplies, in cuDNN's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Math {
    /// Fused multiply-adds.
    Full,
    /// As the descriptor allows.
    Default,
    /// Tensor cores on the numbers as they are.
    TensorCores,
    /// Tensor cores on numbers made smaller.
    Converted,
}

/// An algorithm that cuDNN offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whether it serves the shape.
    pub works: bool,
    /// Whether it gives the same bits each time.
    pub deterministic: bool,
    /// How it multiplies.
    pub math: Math,
    /// Whether it transforms its inputs first.
    pub transforms: bool,
}

/// Bytes of inputs and outputs that are widened at a time.
const PIECE: usize = 1 << 27;

/// Images of one piece of a convolution that runs on widened halves: by the shape alone, so that the order of its sums is too.
#[must_use]
pub fn images_of_a_piece(s: &ConvShape) -> usize {
    let image = (s.input_len() + s.output_len()) / s.n.max(1) * size_of::<f32>();
    (PIECE / image.max(1)).clamp(1, s.n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALVES: [Number; 2] = [Number::Bf16, Number::F16];
    const DIRECTIONS: [Direction; 3] = [Direction::Forward, Direction::Input, Direction::Weight];

    fn shape(n: usize, side: usize) -> ConvShape {
        ConvShape { n, c_in: 64, h: side, w: side, c_out: 128, kernel: (3, 3), stride: 2, pad: 1, groups: 1 }
    }

    #[test]
    fn sums_are_never_halves() {
        for number in Number::ALL {
            for direction in DIRECTIONS {
                for biased in [false, true] {
                    let lane = Lane::of(number, direction, biased);
                    let double = number == Number::F64;
                    assert_eq!(lane.sums(), if double { Data::Double } else { Data::Float });
                    assert_eq!(lane.data() == Data::Double, double);
                }
            }
        }
    }

    #[test]
    fn halves_stay_halves_where_the_result_is_one_rounding_away() {
        for (number, data) in HALVES.into_iter().zip([Data::Bfloat16, Data::Half]) {
            assert_eq!(Lane::of(number, Direction::Forward, false).data(), data);
            assert_eq!(Lane::of(number, Direction::Input, false).data(), data);
        }
    }

    #[test]
    fn accumulators_and_biased_outputs_are_reached_without_a_rounding() {
        for number in HALVES {
            assert_eq!(Lane::of(number, Direction::Weight, false), Lane::Widened);
            assert_eq!(Lane::of(number, Direction::Forward, true), Lane::Widened);
        }
        for number in [Number::F32, Number::F64] {
            for direction in DIRECTIONS {
                assert_eq!(Lane::of(number, direction, true), Lane::Plain(number));
            }
        }
    }

    #[test]
    fn full_precision_takes_no_tensor_core_and_halves_no_transform() {
        let offer = Offer { works: true, deterministic: true, math: Math::Full, transforms: true };
        let lanes = Number::ALL.map(Lane::Plain).into_iter().chain([Lane::Widened]);
        for lane in lanes {
            let halves = lane.by_tensor_cores();
            assert_eq!(lane.takes(offer), !halves, "{lane:?}");
            let direct = Offer { transforms: false, ..offer };
            assert!(lane.takes(direct), "{lane:?}");
            assert_eq!(lane.takes(Offer { math: Math::TensorCores, ..direct }), halves, "{lane:?}");
            assert!(!lane.takes(Offer { math: Math::Converted, ..direct }), "{lane:?}");
            assert!(!lane.takes(Offer { deterministic: false, ..direct }), "{lane:?}");
            assert!(!lane.takes(Offer { works: false, ..direct }), "{lane:?}");
        }
        assert!(!Lane::Plain(Number::F32).by_tensor_cores());
    }

    #[test]
    fn pieces_fit_their_room_and_an_image_is_never_cut() {
        for (n, side) in [(1, 8), (2048, 8), (2048, 112), (64, 56), (3, 4096)] {
            let s = shape(n, side);
            let each = images_of_a_piece(&s);
            let bytes = |images| ConvShape { n: images, ..s };
            let bytes = |images| 4 * (bytes(images).input_len() + bytes(images).output_len());
            assert!((1..=n).contains(&each), "{n} {side}");
            assert!(bytes(each) <= PIECE || each == 1, "{n} {side}");
            assert!(each == n || bytes(each + 1) > PIECE, "{n} {side}");
        }
        assert_eq!(images_of_a_piece(&ConvShape { n: 0, ..shape(1, 8) }), 1);
    }
}
