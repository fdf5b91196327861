//! Philox4x32-10.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The lower half of a lane.
pub(crate) const WORD: u64 = u32::MAX as u64;

/// Ten rounds of the bijection: four random words for one counter.
pub(crate) fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut c = counter;
    let mut k = key;
    for _ in 0..10 {
        let (high0, low0) = wide(MULTIPLIERS[0], c[0]);
        let (high1, low1) = wide(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// The blocks of `N` counters from `first` on, word by word, each in the lower half of its lane; what a product left above
/// it means nothing. Products are as wide as lanes, so that a compiler can take lanes together without widening any.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "iterators over several arrays hide that lanes are independent"
)]
pub(crate) fn blocks<const N: usize>(first: u64, key: [u32; 2]) -> [[u64; N]; 4] {
    const MULTIPLY: [u64; 2] = [MULTIPLIERS[0] as u64, MULTIPLIERS[1] as u64];
    // Loops and no closures, which would be functions without the caller's instructions.
    let mut c = [[0; N]; 4];
    for lane in 0..N {
        let counter = first.wrapping_add(lane as u64);
        (c[0][lane], c[1][lane]) = (counter, counter >> 32);
    }
    let mut k = key;
    for _ in 0..10 {
        let [k0, k1] = [u64::from(k[0]), u64::from(k[1])];
        for lane in 0..N {
            let p0 = MULTIPLY[0] * (c[0][lane] & WORD);
            let p1 = MULTIPLY[1] * (c[2][lane] & WORD);
            c[0][lane] = (p1 >> 32) ^ c[1][lane] ^ k0;
            c[1][lane] = p1;
            c[2][lane] = (p0 >> 32) ^ c[3][lane] ^ k1;
            c[3][lane] = p0;
        }
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// One key from a parent and a label.
pub(crate) fn mix(parent: u64, label: u64) -> u64 {
    let out = block([label as u32, (label >> 32) as u32, 0x464F_524B, 0], split(parent));
    u64::from(out[0]) | (u64::from(out[1]) << 32)
}

/// A 64-bit key as the two words Philox takes.
pub(crate) fn split(key: u64) -> [u32; 2] {
    [key as u32, (key >> 32) as u32]
}

fn wide(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

#[cfg(test)]
mod tests {
    use super::{WORD, block, blocks};

    /// The known answers that the authors ship with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(block([0; 4], [0; 2]), [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]);
        assert_eq!(block([u32::MAX; 4], [u32::MAX; 2]), [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]);
        assert_eq!(
            block([0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0]),
            [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        );
    }

    #[test]
    fn blocks_side_by_side_are_those_one_by_one() {
        let (first, key) = (u64::from(u32::MAX) - 5, [3, 0xDEAD_BEEF]);
        let many = blocks::<16>(first, key);
        for lane in 0..16 {
            let counter = first + lane as u64;
            let one = block([counter as u32, (counter >> 32) as u32, 0, 0], key);
            assert_eq!(many.map(|word| (word[lane] & WORD) as u32), one);
        }
    }
}
