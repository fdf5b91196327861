//! Numbers drawn from a key.

use crate::philox;

/// The numbers of one key, in order.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: u64,
    block: [u32; 4],
    used: usize,
}

impl Stream {
    pub(crate) fn new(key: u64) -> Self {
        Self { key: philox::split(key), counter: 0, block: [0; 4], used: 4 }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox::block([self.counter as u32, (self.counter >> 32) as u32, 0, 0], self.key);
            self.counter += 1;
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// Uniform on `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        let high = u64::from(self.bits()) << 32;
        ((high | u64::from(self.bits())) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform on `0..bound`, without bias (rejection). `bound = 0` gives 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 {
            return 0;
        }
        let reject = bound.wrapping_neg() % bound;
        loop {
            let wide = u64::from(self.bits()) * u64::from(bound);
            if wide as u32 >= reject {
                return (wide >> 32) as u32;
            }
        }
    }

    /// True with the given probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal (Box-Muller, the cosine branch; two uniforms a number, so that the count of draws is fixed).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// See [`crate::bound`].
#[inline(always)]
pub(crate) fn bound(probability: f64) -> u64 {
    // Below 0 and NaN become 0, above 1 all draws are below it. Between whole numbers, the next one is as good a bound.
    ((probability * (1_u64 << 53) as f64).ceil() as u64).min(1 << 53)
}

/// See [`crate::Key::chances`]. A block has two draws of 53 bits; dividing by 2^53 is exact, so whole numbers compare.
#[inline(always)]
#[allow(
    clippy::needless_range_loop,
    reason = "iterators over several arrays hide that lanes are independent"
)]
pub(crate) fn chances<const N: usize>(key: u64, first: u64, probability: f64) -> [[u64; N]; 2] {
    let bound = bound(probability);
    let [a, b, c, d] = philox::blocks::<N>(first, philox::split(key));
    // Loops and no closures, which would be functions without the caller's instructions.
    let mut below = [[0; N]; 2];
    for lane in 0..N {
        // Differences of numbers of 54 bits: the highest bit says which is the smaller. Comparisons would be truth values,
        // which a compiler keeps as bytes and takes apart one by one.
        below[0][lane] = ((a[lane] << 32 | b[lane] & philox::WORD) >> 11).wrapping_sub(bound) >> 63;
        below[1][lane] = ((c[lane] << 32 | d[lane] & philox::WORD) >> 11).wrapping_sub(bound) >> 63;
    }
    below
}

#[cfg(test)]
mod tests {
    use crate::Key;

    #[test]
    fn chances_are_those_of_the_stream() {
        let key = Key::new(5).fork("chances");
        for probability in [-0.5, 0.0, 1e-3, 0.1, 0.3, 0.5, 0.875, 1.0, 1.5, 1e30, f64::NAN] {
            let mut stream = key.stream();
            for block in 0..20 {
                let [even, odd] = key.chances::<8>(8 * block, probability);
                for (even, odd) in even.into_iter().zip(odd) {
                    assert_eq!([even, odd], [0, 1].map(|_| u64::from(stream.chance(probability))));
                }
            }
        }
    }

    #[test]
    fn forks_are_independent_of_draws() {
        let root = Key::new(1);
        let mut stream = root.stream();
        for _ in 0..5 {
            stream.bits();
        }
        assert_eq!(root.fork("a").stream().bits(), Key::new(1).fork("a").stream().bits());
        assert_ne!(root.fork("a").stream().bits(), root.fork("b").stream().bits());
        assert_ne!(root.index(0), root.index(1));
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let mut stream = Key::new(2).stream();
        let draws: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.015, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.02, "variance {variance}");
    }

    #[test]
    fn below_covers_its_range_evenly() {
        let mut stream = Key::new(3).stream();
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[stream.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (9_500..10_500).contains(&n)), "{seen:?}");
        assert_eq!(stream.below(0), 0);
    }
}
