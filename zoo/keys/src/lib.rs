//! Counter-based random keys, forked by purpose.
//!
//! A [`Key`] is a name for a stream of random numbers, not a state that moves. Forking a key by a purpose
//! (`"init"`, `"order"`, `"augment"`) or by an index (epoch, sample) gives an independent key, so a number depends
//! only on *what it is for*, never on how many numbers were drawn before it or on which thread drew them.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! SC 2011): a bijection of a 128-bit counter under a 64-bit key.
//!
//! ```
//! use keys::Key;
//! let root = Key::new(7);
//! let epoch = root.fork("order").index(3);
//! let mut order: Vec<u32> = (0..10).collect();
//! epoch.stream().shuffle(&mut order);
//! assert_eq!(order.len(), 10);
//! assert_ne!(root.fork("order"), root.fork("init"));
//! ```
#![forbid(unsafe_code)]

mod philox;
mod stream;

pub use stream::Stream;

/// The name of a random stream. Two keys made by the same forks of the same seed are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The root key of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(philox::mix(seed, 0x5EED))
    }

    /// The key for one purpose.
    #[must_use]
    pub fn fork(self, purpose: &str) -> Self {
        // FNV-1a of the name; Philox does the mixing.
        let name = purpose.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(philox::mix(self.0, name))
    }

    /// The key of one item in a numbered family: an epoch, a sample, a step.
    #[must_use]
    pub fn index(self, index: u64) -> Self {
        // The rotation keeps small indices apart from small seeds and from names.
        Self(philox::mix(self.0, index.rotate_left(32) ^ 0x1D_E0_1D_E0))
    }

    /// What `2 N` calls of [`Stream::chance`] answer, 1 for yes and 0 for no, from the call with index `2 * first` on: the
    /// even ones and the odd ones. For loops that take many draws at once; inlined, so that they are compiled for the
    /// caller's instructions.
    #[must_use]
    #[inline(always)]
    pub fn chances<const N: usize>(self, first: u64, probability: f64) -> [[u64; N]; 2] {
        stream::chances(self.0, first, probability)
    }

    /// The two words that the generator takes, the first one lowest: for kernels that draw on a device.
    #[must_use]
    pub fn words(self) -> u64 {
        self.0
    }

    /// The numbers of this key, from the first.
    #[must_use]
    pub fn stream(self) -> Stream {
        Stream::new(self.0)
    }
}

/// Draws of 53 bits below this are the ones for which [`Stream::chance`] answers yes: for kernels that draw on a device.
#[must_use]
pub fn bound(probability: f64) -> u64 {
    stream::bound(probability)
}
