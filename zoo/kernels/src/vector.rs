//! Vectors of `f32` for kernels that must keep their sums in registers, one type an instruction set.
//!
//! A kernel is written once over [`Vector`] and `#[inline(always)]`, and compiled in a wrapper for each instruction set,
//! as [`crate::simd`] does with loops that the compiler vectorises by itself.

/// Some `f32` that are loaded, added and stored together.
pub(crate) trait Vector: Copy {
    /// All zeros.
    ///
    /// # Safety
    /// The processor has the vector's instruction set.
    unsafe fn zero() -> Self;

    /// # Safety
    /// As [`Vector::zero`], and `from` is valid for reads of a vector.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// As [`Vector::zero`], and `to` is valid for writes of a vector.
    unsafe fn store(self, to: *mut f32);

    /// # Safety
    /// As [`Vector::zero`].
    unsafe fn plus(self, other: Self) -> Self;
}

/// Four `f32`, of any processor.
pub(crate) type Narrow = [f32; 4];

impl Vector for Narrow {
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's contract.
        unsafe { from.cast::<Self>().read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe { to.cast::<Self>().write(self) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
}

/// Implements [`Vector`] by the named intrinsics.
#[cfg(target_arch = "x86_64")]
macro_rules! vector {
    ($vector:ident, $zero:ident, $load:ident, $store:ident, $add:ident) => {
        pub(crate) use std::arch::x86_64::$vector;

        impl Vector for $vector {
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: the caller's contract.
                unsafe { std::arch::x86_64::$zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's contract.
                unsafe { std::arch::x86_64::$load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller's contract.
                unsafe { std::arch::x86_64::$store(to, self) }
            }

            #[inline(always)]
            unsafe fn plus(self, other: Self) -> Self {
                // SAFETY: the caller's contract.
                unsafe { std::arch::x86_64::$add(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(__m256, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps);
#[cfg(target_arch = "x86_64")]
vector!(__m512, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps);
