//! Huffman codes of a baseline JPEG, read together with the numbers that follow them.
//!
//! A code tells how many coefficients are zero and how many bits the next one has; those bits follow at once. One look at the
//! next ten bits mostly gives all three: zeros, coefficient, and the bits that both took.

/// Bits that one look covers. Nine and twelve were slower: the tables must stay in the nearest cache.
const LOOK: u32 = 10;

/// The run of a code that ends its block: beyond any place.
const END: u32 = 64;

/// Bytes behind the code that [`Bits`] may read and that are no part of it.
pub(super) const PADDING: usize = 16;

/// The codes of one table.
pub(super) struct Codes {
    /// What the next [`LOOK`] bits begin with. Bits 0..5: how many are taken, number included; 8..15: zeros before the number;
    /// 16..32: the number. Where the number does not fit, the first five are 0, and 16..21 have the code's length and 24..28 the
    /// number's. 0 where the code itself does not fit.
    quick: Vec<u32>,
    /// For each length: what codes up to it lie below, as 16 bits from the top, and from a code to its place in `symbols`.
    ends: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// `counts[n]` codes of `n + 1` bits for `symbols` in their order, of first coefficients (`dc`) or of all others. `None`
    /// where they are no code, or a symbol is not one of 8-bit baseline files.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8], dc: bool) -> Option<Self> {
        let mut quick = vec![0; 1 << LOOK];
        let mut ends = [(0, 0); 17];
        let (mut code, mut place) = (0_u32, 0);
        for length in 1..=16 {
            let count = usize::from(counts[length as usize - 1]);
            ends[length as usize].1 = place as i32 - code as i32;
            for &symbol in symbols.get(place..place + count)? {
                let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
                let known = match (dc, size) {
                    (true, _) => run == 0 && size <= 11,
                    (false, 0) => run == 0 || run == 15,
                    (false, _) => size <= 10,
                };
                if !known {
                    return None;
                }
                if let Some(spare) = LOOK.checked_sub(length) {
                    let run = if !dc && symbol == 0 { END } else { run };
                    let entries =
                        quick.get_mut((code << spare) as usize..)?.iter_mut().zip(0..1_u32 << spare);
                    for (entry, rest) in entries {
                        *entry = run << 8
                            | if size == 0 {
                                length
                            } else if size <= spare {
                                let number = number(rest >> (spare - size), size);
                                (length + size) | (number as u32) << 16
                            } else {
                                length << 16 | size << 24
                            };
                    }
                }
                code += 1;
            }
            if code > 1 << length {
                return None;
            }
            ends[length as usize].0 = code << (16 - length);
            place += count;
            code <<= 1;
        }
        Some(Self { quick, ends, symbols: symbols.to_vec() })
    }
}

/// A coefficient of `size` bits, at least one: where the first is unset it is negative.
#[inline(always)]
fn number(bits: u32, size: u32) -> i32 {
    let negative = (bits >> (size - 1)) ^ 1;
    bits as i32 - ((negative << size) as i32 - negative as i32)
}

/// Coded bits, from the highest of each byte on.
pub(super) struct Bits<'b> {
    bytes: &'b [u8],
    /// The next byte that is not held whole.
    at: usize,
    /// The next bits, from the top.
    held: u64,
    count: u32,
}

impl<'b> Bits<'b> {
    /// `bytes` ends with [`PADDING`].
    #[inline(always)]
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, held: 0, count: 0 }
    }

    /// Whether no more bits were taken than there are.
    #[inline(always)]
    pub(super) fn inside(&self) -> bool {
        self.at * 8 - self.count as usize <= (self.bytes.len() - PADDING) * 8
    }

    /// Holds at least 56 bits: two codes and their numbers, of 27 bits at most.
    #[inline(always)]
    fn fill(&mut self) -> Option<()> {
        let next = u64::from_be_bytes(*self.bytes.get(self.at..)?.first_chunk()?);
        self.held |= next >> self.count;
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        Some(())
    }

    #[inline(always)]
    fn take(&mut self, count: u32) {
        self.held <<= count & 63;
        self.count = self.count.wrapping_sub(count);
    }

    /// Zeros and the number behind them.
    #[inline(always)]
    fn next(&mut self, codes: &Codes) -> Option<(u32, i32)> {
        let entry = *codes.quick.get((self.held >> (64 - LOOK)) as usize)?;
        let taken = entry & 31;
        if taken > 0 {
            self.take(taken);
            return Some(((entry >> 8) & 127, entry as i32 >> 16));
        }
        let (run, length, size) = if entry > 0 {
            ((entry >> 8) & 127, (entry >> 16) & 31, entry >> 24)
        } else {
            let next = (self.held >> 48) as u32;
            let length = (LOOK + 1..=16).find(|&length| next < codes.ends[length as usize].0)?;
            let place = (next >> (16 - length)) as i32 + codes.ends[length as usize].1;
            let symbol = *codes.symbols.get(usize::try_from(place).ok()?)?;
            let run = if symbol == 0 { END } else { u32::from(symbol >> 4) };
            (run, length, u32::from(symbol & 15))
        };
        self.take(length);
        if size == 0 {
            return Some((run, 0));
        }
        let number = number((self.held >> (64 - size)) as u32, size);
        self.take(size);
        Some((run, number))
    }

    /// One block: its coefficients times `steps`, row by row, into zeros; or, without `KEEP`, nothing but the way to the next.
    /// `before` is the first coefficient of the block before it. Gives how many coefficients may not be zero, in their order.
    #[inline(always)]
    pub(super) fn block<const KEEP: bool>(
        &mut self,
        [dc, ac]: [&Codes; 2],
        before: &mut i32,
        steps: &[i32; 64],
        into: &mut [i32; 64],
    ) -> Option<usize> {
        self.fill()?;
        *before = before.wrapping_add(self.next(dc)?.1);
        if KEEP {
            into[0] = before.wrapping_mul(steps[0]);
        }
        let (mut place, mut seen) = (1, 1);
        loop {
            self.fill()?;
            for _ in 0..2 {
                let (run, number) = self.next(ac)?;
                place += run as usize;
                if place > 63 {
                    return (run == END).then_some(seen);
                }
                if KEEP {
                    into[usize::from(ROW_BY_ROW[place]) & 63] = number * steps[place];
                }
                place += 1;
                seen = place;
                if place == 64 {
                    return Some(64);
                }
            }
        }
    }
}

/// From the order of the code, a zigzag from the slowest waves to the fastest, to row by row (ITU-T T.81, figure 5).
#[rustfmt::skip]
const ROW_BY_ROW: [u8; 64] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_their_first_bit_are_negative() {
        let of = |size: u32| (0..1_u32 << size).map(|bits| number(bits, size)).collect::<Vec<_>>();
        assert_eq!(of(1), [-1, 1]);
        assert_eq!(of(3), [-7, -6, -5, -4, 4, 5, 6, 7]);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let codes = |counts: &[u8], symbols: &[u8], dc| {
            let mut all = [0; 16];
            all[..counts.len()].copy_from_slice(counts);
            Codes::new(&all, symbols, dc).is_some()
        };
        assert!(codes(&[2], &[0, 1], true));
        // Three codes of one bit; a symbol that is missing; sizes that no 8-bit file has; a run without a number.
        assert!(!codes(&[3], &[0, 1, 2], true));
        assert!(!codes(&[2], &[0], true));
        assert!(!codes(&[1], &[12], true));
        assert!(codes(&[1], &[0xF0], false));
        assert!(!codes(&[1], &[0x0B], false));
        assert!(!codes(&[1], &[0x10], false));
    }
}
