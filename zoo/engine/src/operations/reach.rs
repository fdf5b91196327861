//! How many outputs read a place of an input.

use kernels::bits::Bits;

use super::Reach;
use crate::error::{Error, Result};

/// How many windows of a convolution or a pool hold each place of an axis of `len` places: the number of outputs `i` with
/// `0 <= place + pad - i * stride < kernel`.
fn holders(len: usize, outputs: usize, (kernel, stride, pad): (usize, usize, usize)) -> Vec<u64> {
    let mut holders = vec![0; len];
    for output in 0..outputs {
        for tap in 0..kernel {
            let place = (output * stride + tap).checked_sub(pad);
            if let Some(holder) = place.and_then(|place| holders.get_mut(place)) {
                *holder += 1;
            }
        }
    }
    holders
}

/// Accumulates that a spike causes at each place of an `h x w` plane, `[h * w]`: the windows that hold it, times the
/// output channels that read its channel.
pub(crate) fn windows(
    [h, w]: [usize; 2],
    [out_h, out_w]: [usize; 2],
    window: (usize, usize, usize),
    readers: usize,
) -> Vec<u64> {
    let (rows, columns) = (holders(h, out_h, window), holders(w, out_w, window));
    rows.iter().flat_map(|row| columns.iter().map(move |column| row * column * readers as u64)).collect()
}

/// Values in all bins of an adaptive pool along an axis, from `floor(i n / m)` to `ceil((i + 1) n / m)` each.
pub(crate) fn binned(len: usize, bins: usize) -> usize {
    (0..bins).map(|bin| ((bin + 1) * len).div_ceil(bins) - bin * len / bins).sum()
}

/// The sum over spikes of their reach, for each of `steps` equal parts of the rows. `len` is the number of values.
pub(super) fn reached(bits: &Bits, len: usize, steps: usize, reach: Reach<'_>) -> Result<Vec<u64>> {
    let packed = bits.tensor().flatten_all()?.to_vec1::<u8>()?;
    let (plane, width) = (bits.plane(), bits.plane().div_ceil(8).max(1));
    let each = len / steps.max(1);
    let mut sums = vec![0; steps];
    if each == 0 || bits.rows() * plane != len {
        let found = format!("{} rows of {plane} spikes for {len} values", bits.rows());
        return Err(Error::Misuse(found));
    }
    for (row, bytes) in packed.chunks(width).enumerate() {
        for (byte, &octet) in bytes.iter().enumerate() {
            let mut left = octet;
            while left != 0 {
                let place = row * plane + 8 * byte + left.trailing_zeros() as usize;
                left &= left - 1;
                sums[place / each] += match reach {
                    Reach::Each(count) => count,
                    Reach::Plane(counts) => counts[place % counts.len()],
                };
            }
        }
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::{binned, holders, windows};

    #[test]
    fn borders_and_strides_have_fewer_readers() {
        // Three taps, one zero around: the ends are held twice, the middle three times.
        assert_eq!(holders(5, 5, (3, 1, 1)), [2, 3, 3, 3, 2]);
        // Every other window: places take turns at one and two.
        assert_eq!(holders(5, 3, (3, 2, 1)), [1, 2, 1, 2, 1]);
        // A stride beyond the window leaves places that nobody reads.
        assert_eq!(holders(4, 2, (1, 2, 0)), [1, 0, 1, 0]);
        assert_eq!(windows([2, 2], [2, 2], (3, 1, 1), 10), [40; 4]);
    }

    #[test]
    fn without_a_border_readers_are_outputs_times_fan_in() {
        let all: u64 = windows([6, 6], [4, 4], (3, 1, 0), 7).iter().sum();
        assert_eq!(all, 4 * 4 * 9 * 7);
    }

    #[test]
    fn bins_of_an_adaptive_pool_may_overlap() {
        assert_eq!(binned(4, 2), 4);
        assert_eq!(binned(3, 2), 4);
    }
}
