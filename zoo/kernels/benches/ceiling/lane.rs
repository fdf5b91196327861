//! Vectors of single precision, one instruction set each: what the loops of the ceilings are written in.

/// 64 bytes on a border of 64: a cache line, and the widest vector.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [f32; 16]);

/// A register of numbers.
pub(super) trait Lane: Copy {
    /// Numbers that one instruction takes.
    const WIDTH: usize;

    /// # Safety
    /// The processor must have the type's instruction set; so for all methods.
    unsafe fn load(line: &[f32]) -> Self;

    /// # Safety
    /// As for `load`.
    unsafe fn store(self, line: &mut [f32]);

    /// # Safety
    /// As for `load`.
    unsafe fn add(self, other: Self) -> Self;

    /// `self * factor + term`: one instruction where there is one, else two.
    ///
    /// # Safety
    /// As for `load`.
    unsafe fn fma(self, factor: Self, term: Self) -> Self;
}

/// Without vectors of 256 bits: what a baseline build has, a product and a sum in place of an fma.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Lane for Portable {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn load(line: &[f32]) -> Self {
        Self([line[0], line[1], line[2], line[3]])
    }

    #[inline(always)]
    unsafe fn store(self, line: &mut [f32]) {
        line[..4].copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn fma(self, factor: Self, term: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * factor.0[i] + term.0[i]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lane;
    use std::arch::x86_64::{
        __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm512_add_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_storeu_ps,
    };

    macro_rules! lane {
        ($vector:ty, $width:literal, $load:ident, $store:ident, $add:ident, $fma:ident) => {
            impl Lane for $vector {
                const WIDTH: usize = $width;

                #[inline(always)]
                unsafe fn load(line: &[f32]) -> Self {
                    let from: &[f32; $width] = line.first_chunk().unwrap_or(&[0.0; $width]);
                    // SAFETY: `from` is an array of as many numbers as the vector has; the instruction by the contract.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                unsafe fn store(self, line: &mut [f32]) {
                    if let Some(into) = line.first_chunk_mut::<$width>() {
                        // SAFETY: `into` is an array of as many numbers as the vector has; the instruction by the contract.
                        unsafe { $store(into.as_mut_ptr(), self) }
                    }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: by the trait's contract.
                    unsafe { $add(self, other) }
                }

                #[inline(always)]
                unsafe fn fma(self, factor: Self, term: Self) -> Self {
                    // SAFETY: by the trait's contract.
                    unsafe { $fma(self, factor, term) }
                }
            }
        };
    }

    lane!(__m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
    lane!(__m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
}
