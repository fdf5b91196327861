//! How many blocks and threads a kernel gets. Plain arithmetic, tested without a device.

use crate::Result;
use crate::error::ensure;

/// Threads of a block; `prelude.cu` has the same number.
pub const THREADS: u32 = 256;

/// The most blocks along the first axis of a grid.
const MOST_BLOCKS: usize = i32::MAX as usize;

/// The most blocks along the second axis.
const MOST_ROWS: usize = u16::MAX as usize;

/// Blocks of a sum over a whole tensor: enough to fill a device, few enough for the host to add what they give.
const PARTS: usize = 512;

/// Values that one part of a channel's sum should have at least.
const PART: usize = 1 << 14;

/// Elements of a stream of remainders; `remainder.cu` has the same number.
pub const RUN: usize = 1 << 10;

/// The side of the tiles that a product of small matrices is computed in; `attention.cu` has the same number.
const TILE: usize = 64;

/// The grid of a launch: blocks along both axes, [`THREADS`] threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks along x and y.
    pub blocks: (u32, u32),
}

/// One thread for each of `len` elements.
///
/// # Errors
/// When there are more elements than a grid has threads.
pub fn elements(op: &'static str, len: usize) -> Result<Grid> {
    blocks(op, len.div_ceil(THREADS as usize))
}

/// One block for each of `count` rows.
///
/// # Errors
/// When there are more rows than a grid has blocks.
pub fn blocks(op: &'static str, count: usize) -> Result<Grid> {
    ensure(count <= MOST_BLOCKS, op, "a grid has at most 2^31 - 1 blocks", || count.to_string())?;
    // A grid of no blocks can't be launched; kernels look at the length themselves.
    Ok(Grid { blocks: (count.max(1) as u32, 1) })
}

/// Blocks that sum `len` values, each its own part in strides of the whole grid.
#[must_use]
pub fn parts(len: usize) -> Grid {
    Grid { blocks: (len.div_ceil(THREADS as usize).clamp(1, PARTS) as u32, 1) }
}

/// Blocks that sum channels of `values` values: `(channels, splits)`.
///
/// # Errors
/// When there are more channels than a grid has blocks.
pub fn channels(op: &'static str, channels: usize, values: usize) -> Result<Grid> {
    let Grid { blocks: (x, _) } = blocks(op, channels)?;
    Ok(Grid { blocks: (x, splits(channels, values) as u32) })
}

/// Parts that the values of one channel are cut in: as few as fill a device, and none smaller than it is worth.
#[must_use]
pub fn splits(channels: usize, values: usize) -> usize {
    PARTS.div_ceil(channels.max(1)).min(values.div_ceil(PART)).clamp(1, MOST_ROWS)
}

/// Tiles of a product `[m, n]`.
#[must_use]
pub fn tiles(m: usize, n: usize) -> usize {
    m.div_ceil(TILE) * n.div_ceil(TILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_a_thread_and_no_block_is_idle() {
        for len in [1, 2, 255, 256, 257, 511, 512, 513, 1_000_003, (1 << 32) + 1] {
            let Grid { blocks: (x, y) } = elements("op", len).unwrap();
            let threads = x as usize * y as usize * THREADS as usize;
            assert!(threads >= len && threads - len < THREADS as usize, "{len}");
        }
    }

    #[test]
    fn an_empty_tensor_still_makes_a_grid() {
        assert_eq!(elements("op", 0).unwrap().blocks, (1, 1));
        assert_eq!(parts(0).blocks, (1, 1));
        assert_eq!(splits(0, 0), 1);
    }

    #[test]
    fn too_many_elements_are_an_error() {
        assert!(elements("op", MOST_BLOCKS * THREADS as usize).is_ok());
        assert!(elements("op", MOST_BLOCKS * THREADS as usize + 1).is_err());
    }

    /// `sum_channels` with its index arithmetic, on the host: each value of each channel is read exactly once.
    #[test]
    fn the_parts_of_a_channel_cover_it_once() {
        for (groups, n, c, plane) in [(1, 3, 2, 5), (2, 7, 3, 64), (4, 32, 1, 1024), (1, 2, 5, 1)] {
            let (channels, values) = (groups * c, n * plane);
            let splits = splits(channels, values);
            let mut seen = vec![0; channels * values];
            for channel in 0..channels {
                let (group, ch) = (channel / c, channel % c);
                let each = values.div_ceil(splits);
                for split in 0..splits {
                    for i in split * each..values.min((split + 1) * each) {
                        seen[((group * n + i / plane) * c + ch) * plane + i % plane] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|times| *times == 1), "{groups} {n} {c} {plane}");
        }
    }

    /// The windows that `pool.cu` adds for a place are those that hold it.
    #[test]
    fn the_holders_of_a_place_are_its_windows() {
        for (kernel, stride, pad, len) in
            [(2, 2, 0, 7), (3, 2, 1, 8), (3, 1, 1, 5), (5, 3, 2, 11), (2, 3, 1, 10)]
        {
            let outputs = (len + 2 * pad + 1usize).saturating_sub(kernel).div_ceil(stride);
            for place in 0..len {
                let at = place + pad;
                let from = if at + 1 > kernel { (at + 1 - kernel).div_ceil(stride) } else { 0 };
                let to = (at / stride + 1).min(outputs);
                let holds = |i: &usize| i * stride <= at && at < i * stride + kernel;
                let expected: Vec<usize> = (0..outputs).filter(holds).collect();
                assert_eq!((from..to).collect::<Vec<_>>(), expected, "{kernel} {stride} {pad} {place}");
            }
        }
    }
}
