//! The memory laws: what an extra step or block may cost, to the byte.

use kernels::cuda::launch;
use kernels::remainder;
use serde::Deserialize;

use crate::device::DeviceKind;

/// What a method promises of the categories that the laws are stated on, for T of at least 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// An extra time step costs nothing.
    NoBytePerStep,
    /// An extra time step costs what a plan of it says: the method keeps what it computes.
    PlannedBytesPerStep,
    /// An extra time step costs the remainders of dividing each carried state by 2: one bit a state element.
    OneBitPerStateAndStep,
    /// An extra block of a stage costs nothing.
    NoBytePerBlock,
}

impl Law {
    /// The law as a message says it, after the method's name.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoBytePerStep => "holds no byte per extra step",
            Self::PlannedBytesPerStep => "holds the planned bytes per extra step",
            Self::OneBitPerStateAndStep => "holds one bit a state per extra step",
            Self::NoBytePerBlock => "holds no byte per extra block",
        }
    }

    /// Whether it compares numbers of blocks; else numbers of steps.
    #[must_use]
    pub fn is_of_blocks(self) -> bool {
        self == Self::NoBytePerBlock
    }

    /// How many T and numbers of blocks it takes to see it.
    pub(super) fn fewest(self) -> (usize, usize) {
        if self.is_of_blocks() { (1, 2) } else { (2, 0) }
    }
}

/// A stream's place and length on the host.
const STREAM_BYTES: usize = 16;

/// A stream's place on an accelerator; the end of the last one has a place too.
const PLACE_BYTES: usize = 4;

/// Bytes of the remainders of one step, from the number of elements of each carried state: 32 elements to a word, and
/// where the streams are.
#[must_use]
pub(super) fn remainder_bytes(states: &[usize], device: DeviceKind) -> usize {
    let places = |elements: usize| match device {
        DeviceKind::Cpu => STREAM_BYTES * elements.div_ceil(remainder::CHUNK),
        DeviceKind::Cuda(_) => PLACE_BYTES * (elements.div_ceil(launch::RUN) + 1),
    };
    states.iter().map(|&elements| elements / 8 + places(elements)).sum()
}

#[cfg(test)]
mod tests {
    use super::{DeviceKind, remainder_bytes};

    #[test]
    fn a_state_of_half_a_part_leaves_one_stream_and_one_of_two_parts_leaves_two() {
        assert_eq!(remainder_bytes(&[8192], DeviceKind::Cpu), 1024 + 16);
        assert_eq!(remainder_bytes(&[1 << 15, 32], DeviceKind::Cpu), 4096 + 32 + 4 + 16);
        assert_eq!(remainder_bytes(&[8192, 32], DeviceKind::Cuda(0)), 1024 + 4 * 9 + 4 + 4 * 2);
    }
}
