//! The loops that reach a ceiling, compiled for three instruction sets and chosen at run time as kernels are.

use std::hint::black_box;

use super::lane::{Lane, Line, Portable};

/// Independent sums or products in flight. Four or five cycles of latency on two ports need ten.
pub(super) const CHAINS: usize = 16;

/// A loop over lanes of any width.
pub(super) trait Loop {
    type Found;

    /// # Safety
    /// The processor must have the lane's instruction set.
    unsafe fn run<L: Lane>(self) -> Self::Found;
}

/// Runs a loop with the widest lanes that the machine has; the found value, and the numbers of a lane.
pub(super) fn widest<P: Loop>(work: P) -> (P::Found, usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m256, __m512};
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn wide<P: Loop>(work: P) -> P::Found {
            // SAFETY: this function's own features are those of the lane.
            unsafe { work.run::<__m512>() }
        }
        #[target_feature(enable = "avx2,fma")]
        fn middle<P: Loop>(work: P) -> P::Found {
            // SAFETY: as above.
            unsafe { work.run::<__m256>() }
        }
        match kernels::instruction_set() {
            // SAFETY: `instruction_set` has asked the processor for these features.
            "avx512" => return (unsafe { wide(work) }, 16),
            // SAFETY: as above.
            "avx2" => return (unsafe { middle(work) }, 8),
            _ => {}
        }
    }
    // SAFETY: the portable lane needs nothing of the processor.
    (unsafe { work.run::<Portable>() }, 4)
}

/// Instructions in a row that change registers alone: `rounds` times one on each chain.
pub(super) struct Registers {
    pub(super) rounds: usize,
    /// Multiply and add, else add.
    pub(super) fma: bool,
}

impl Loop for Registers {
    type Found = f32;

    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        // Unknown to the compiler, and different from chain to chain, so that none is another's copy.
        let seeds: [[f32; 16]; CHAINS] = black_box(std::array::from_fn(|i| [1.0 + i as f32; 16]));
        let (factor, term) = (black_box([0.999_f32; 16]), black_box([1e-3_f32; 16]));
        // SAFETY: by the contract of this method.
        unsafe {
            let (factor, term) = (L::load(&factor), L::load(&term));
            let mut chains: [L; CHAINS] = std::array::from_fn(|i| L::load(&seeds[i]));
            for _ in 0..self.rounds {
                for chain in &mut chains {
                    *chain = if self.fma { chain.fma(factor, term) } else { chain.add(term) };
                }
            }
            fold(chains)
        }
    }
}

/// Reads all lines, `rounds` times, and adds them up.
pub(super) struct Load<'a> {
    pub(super) lines: &'a [Line],
    pub(super) rounds: usize,
}

impl Loop for Load<'_> {
    type Found = f32;

    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        // SAFETY: by the contract of this method.
        unsafe {
            let mut sums: [L; CHAINS] = [L::load(&[0.0; 16]); CHAINS];
            for _ in 0..self.rounds {
                for block in black_box(self.lines).chunks_exact(CHAINS / (16 / L::WIDTH)) {
                    let numbers = block.iter().flat_map(|line| line.0.chunks_exact(L::WIDTH));
                    for (sum, numbers) in sums.iter_mut().zip(numbers) {
                        *sum = sum.add(L::load(numbers));
                    }
                }
            }
            fold(sums)
        }
    }
}

/// Writes all lines, `rounds` times.
pub(super) struct Store<'a> {
    pub(super) lines: &'a mut [Line],
    pub(super) rounds: usize,
}

impl Loop for Store<'_> {
    type Found = f32;

    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        for round in 0..self.rounds {
            // SAFETY: by the contract of this method.
            unsafe {
                let value = L::load(&black_box([round as f32; 16]));
                for line in self.lines.iter_mut() {
                    line.0.chunks_exact_mut(L::WIDTH).for_each(|numbers| value.store(numbers));
                }
            }
            black_box(&mut *self.lines);
        }
        self.lines[0].0[0]
    }
}

/// Reads all lines of one buffer and writes them to another, `rounds` times.
pub(super) struct Copy<'a> {
    pub(super) from: &'a [Line],
    pub(super) to: &'a mut [Line],
    pub(super) rounds: usize,
}

impl Loop for Copy<'_> {
    type Found = f32;

    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        for _ in 0..self.rounds {
            for (to, from) in self.to.iter_mut().zip(black_box(self.from)) {
                let (to, from) = (to.0.chunks_exact_mut(L::WIDTH), from.0.chunks_exact(L::WIDTH));
                // SAFETY: by the contract of this method.
                to.zip(from).for_each(|(to, from)| unsafe { L::load(from).store(to) });
            }
            black_box(&mut *self.to);
        }
        self.to[0].0[0]
    }
}

/// Reads all lines and writes them where they stand, `rounds` times: no line is fetched only to be overwritten.
pub(super) struct Change<'a> {
    pub(super) lines: &'a mut [Line],
    pub(super) rounds: usize,
}

impl Loop for Change<'_> {
    type Found = f32;

    #[inline(always)]
    unsafe fn run<L: Lane>(self) -> f32 {
        for _ in 0..self.rounds {
            // SAFETY: by the contract of this method.
            unsafe {
                let term = L::load(&black_box([1e-3; 16]));
                for line in self.lines.iter_mut() {
                    line.0
                        .chunks_exact_mut(L::WIDTH)
                        .for_each(|numbers| L::load(numbers).add(term).store(numbers));
                }
            }
            black_box(&mut *self.lines);
        }
        self.lines[0].0[0]
    }
}

/// One number that depends on every chain.
#[inline(always)]
unsafe fn fold<L: Lane>(chains: [L; CHAINS]) -> f32 {
    let mut numbers = [0.0; 16];
    let mut sum = 0.0;
    for chain in chains {
        // SAFETY: as for the loop that calls.
        unsafe { chain.store(&mut numbers) };
        sum += numbers[0];
    }
    sum
}
