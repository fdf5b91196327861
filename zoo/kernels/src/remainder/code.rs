//! The truncated binary code of an index, with tables by residue, and streams of its words.
//!
//! With `a = |n| < 64` and `r = a D mod 64`, a state D has the index `i = r div a` in its interval, whose first state has
//! the residue `r0 = r mod a`; the interval holds the `m = ceil((64 - r0) / a)` states with `r0 + i a < 64`. A code of m
//! symbols, `k = floor(log2 m)`, `u = 2^(k+1) - m`: the first u symbols take k bits, the others k + 1.

/// Words and intervals of one magnitude of n.
pub(super) struct Code {
    /// By r: the word, its first bit lowest, and its length.
    words: [(u8, u8); 64],
    /// By r0: `(k, u)`.
    spans: [(u8, u8); 64],
    /// Whether r0 alone gives the length of a word.
    is_even: bool,
    /// Bits of 64 states in a row.
    bits_of_64: usize,
}

impl Code {
    /// The code of a magnitude of n; none where the product is one to one.
    #[inline]
    pub(super) fn of(magnitude: u32) -> Option<&'static Self> {
        static CODES: [Code; 64] = {
            const EMPTY: Code =
                Code { words: [(0, 0); 64], spans: [(0, 0); 64], is_even: true, bits_of_64: 0 };
            let mut all = [EMPTY; 64];
            let mut a = 1;
            while a < 64 {
                all[a] = Code::new(a as u32);
                a += 1;
            }
            all
        };
        CODES.get(magnitude as usize)
    }

    /// Bits that 64 states in a row take together.
    #[inline]
    pub(super) fn bits_of_64(&self) -> usize {
        self.bits_of_64
    }

    const fn new(a: u32) -> Self {
        let mut code = Self { words: [(0, 0); 64], spans: [(0, 0); 64], is_even: true, bits_of_64: 0 };
        let mut r = 0;
        while r < 64 {
            let (i, r0) = (r / a, r % a);
            let m = (64 - r0).div_ceil(a);
            let k = m.ilog2();
            let u = 2 * (1 << k) - m;
            code.words[r as usize] = if i < u {
                (i as u8, k as u8)
            } else {
                (((i + u) >> 1 | ((i + u) & 1) << k) as u8, k as u8 + 1)
            };
            code.spans[r0 as usize] = (k as u8, u as u8);
            code.is_even &= m == 1 << k;
            r += 1;
        }
        let mut state = 0;
        while state < 64 {
            code.bits_of_64 += code.words[(state * a % 64) as usize].1 as usize;
            state += 1;
        }
        code
    }
}

/// The most bytes a chunk's stream can take, and room for the last store of eight.
const ROOM: usize = super::CHUNK * 6 / 8 + 8;

/// Writes a chunk's stream.
pub(super) struct Writer {
    bytes: [u8; ROOM],
    at: usize,
    held: u64,
    fill: u32,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { bytes: [0; ROOM], at: 0, held: 0, fill: 0 }
    }

    /// Appends the words of residues below 64.
    #[inline(always)]
    pub(super) fn push(&mut self, code: &Code, residues: &[u8]) {
        let (octets, tail) = residues.as_chunks::<8>();
        if code.bits_of_64 == 64 {
            // n = 32, where training starts: residues 0 and 32, one bit each.
            for octet in octets {
                let flags = (u64::from_le_bytes(*octet) >> 5).to_le_bytes();
                self.held |= u64::from(crate::bits::gather(flags)) << self.fill;
                self.fill += 8;
                self.store();
            }
        } else {
            for octet in octets {
                // At most 7 + 8 * 6 bits are held.
                octet.iter().for_each(|&r| self.word(code, r));
                self.store();
            }
        }
        tail.iter().for_each(|&r| self.word(code, r));
        self.store();
    }

    #[inline(always)]
    fn word(&mut self, code: &Code, residue: u8) {
        let (word, length) = code.words[usize::from(residue & 63)];
        self.held |= u64::from(word) << self.fill;
        self.fill += u32::from(length);
    }

    /// Moves whole bytes out.
    #[inline(always)]
    fn store(&mut self) {
        if let Some(room) = self.bytes.get_mut(self.at..self.at + 8) {
            room.copy_from_slice(&self.held.to_le_bytes());
        }
        let whole = self.fill / 8;
        self.at += whole as usize;
        self.held >>= whole * 8;
        self.fill %= 8;
    }

    pub(super) fn finish(self) -> Box<[u8]> {
        let len = self.at + usize::from(self.fill > 0);
        self.bytes[..len].into()
    }
}

/// Eight bytes of 0 or 1 from the bits of one, the lowest bit first.
#[inline(always)]
fn scatter(bits: u8) -> [u8; 8] {
    // Byte i keeps bit i of its copy, and adding 127 moves it to the byte's highest place if it is set.
    let kept = (u64::from(bits) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    (((kept + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101).to_le_bytes()
}

/// Reads a chunk's stream.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether the last word ended in the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) == self.bytes.len()
    }

    /// Replaces the first residues of intervals by the indices read.
    #[inline(always)]
    pub(super) fn pull(&mut self, code: &Code, firsts: &mut [u8]) {
        let (octets, tail) = firsts.as_chunks_mut::<8>();
        if code.bits_of_64 == 64 {
            for octet in octets {
                *octet = scatter(self.held() as u8);
                self.at += 8;
            }
            self.even(code, tail);
        } else if code.is_even {
            for octet in octets {
                self.even(code, octet);
            }
            self.even(code, tail);
        } else {
            for octet in octets {
                self.uneven(code, octet);
            }
            self.uneven(code, tail);
        }
    }

    /// At most eight words whose lengths are known beforehand.
    #[inline(always)]
    fn even(&mut self, code: &Code, firsts: &mut [u8]) {
        let held = self.held();
        let mut taken = 0;
        for first in firsts {
            let length = u32::from(code.spans[usize::from(*first & 63)].0);
            *first = (held >> taken) as u8 & ((1 << length) - 1) as u8;
            taken += length;
        }
        self.at += taken as usize;
    }

    /// At most eight words.
    #[inline(always)]
    fn uneven(&mut self, code: &Code, firsts: &mut [u8]) {
        let mut held = self.held();
        let mut taken = 0;
        for first in firsts {
            let (k, u) = code.spans[usize::from(*first & 63)];
            let (k, u) = (u32::from(k), u64::from(u));
            let prefix = held & ((1 << k) - 1);
            let long = prefix >= u;
            *first = if long { 2 * prefix + (held >> k & 1) - u } else { prefix } as u8;
            let length = k + u32::from(long);
            held >>= length;
            taken += length;
        }
        self.at += taken as usize;
    }

    /// The next 57 bits or more; zeros behind the end.
    #[inline(always)]
    fn held(&self) -> u64 {
        let (byte, skip) = (self.at / 8, self.at % 8);
        let held = match self.bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(eight) => u64::from_le_bytes(*eight),
            None => {
                let mut eight = [0; 8];
                let rest = self.bytes.get(byte..).unwrap_or_default();
                eight[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(eight)
            }
        };
        held >> skip
    }
}
