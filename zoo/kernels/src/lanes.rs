//! Sixteen `f32` that are computed with together, on each instruction set.
//!
//! Where the compiler does not keep sums in registers by itself, a kernel is written once over [`Lanes`] and compiled for
//! AVX-512, AVX2 and baseline by [`on_lanes!`]. A product and a sum are one rounding on the first two and two roundings
//! on the third: kernels that use [`Lanes::mul_add`] say so.

/// Values of a vector.
pub(crate) const LANES: usize = 16;

/// Sixteen values; methods need the instruction set of their type, and pointers that are valid for the lanes they touch.
pub(crate) trait Lanes: Copy {
    /// Whether there are registers for many vectors: 32, else 16 of half the size.
    const WIDE: bool;

    /// The same value everywhere.
    unsafe fn splat(value: f32) -> Self;
    /// Sixteen values from `from` on.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `many` values from `from` on, then zeros.
    unsafe fn load_some(from: *const f32, many: usize) -> Self;
    /// Writes sixteen values.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `many` values.
    unsafe fn store_some(self, to: *mut f32, many: usize);
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * by + to`.
    unsafe fn mul_add(self, by: Self, to: Self) -> Self;
    /// `out[i][j] = rows[j][i]`.
    unsafe fn turn(rows: [Self; LANES]) -> [Self; LANES];
}

/// One register of AVX-512.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Wide(std::arch::x86_64::__m512);

/// Two registers of AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Middle(std::arch::x86_64::__m256, std::arch::x86_64::__m256);

/// What every processor has.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; LANES]);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes, Middle, Wide};

    // SAFETY (all of this module): the processor has the instruction set and pointers are valid, by the trait's contract.
    impl Lanes for Wide {
        const WIDE: bool = true;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, many: usize) -> Self {
            // SAFETY: see above; lanes behind `many` are not touched.
            Self(unsafe { _mm512_maskz_loadu_ps(first(many), from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, many: usize) {
            // SAFETY: see above; lanes behind `many` are not touched.
            unsafe { _mm512_mask_storeu_ps(to, first(many), self.0) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn mul_add(self, by: Self, to: Self) -> Self {
            // SAFETY: see above.
            Self(unsafe { _mm512_fmadd_ps(self.0, by.0, to.0) })
        }

        #[inline(always)]
        unsafe fn turn([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]: [Self; LANES]) -> [Self; LANES] {
            // Without a loop: what is reached by an index that counts would lie in memory.
            // SAFETY: see above.
            unsafe {
                let ([a, b, c, d], [e, f, g, h]) = (four([a, b, c, d]), four([e, f, g, h]));
                let ([i, j, k, l], [m, n, o, p]) = (four([i, j, k, l]), four([m, n, o, p]));
                let ([a, e, i, m], [b, f, j, n]) = (quarters([a, e, i, m]), quarters([b, f, j, n]));
                let ([c, g, k, o], [d, h, l, p]) = (quarters([c, g, k, o]), quarters([d, h, l, p]));
                [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
            }
        }
    }

    /// Four rows turned inside each quarter of their registers: vector `c` has column `c` of each.
    #[inline(always)]
    unsafe fn four([a, b, c, d]: [Wide; 4]) -> [Wide; 4] {
        // SAFETY: the processor has AVX-512, by the caller's contract.
        unsafe {
            let low = (pair(_mm512_unpacklo_ps(a.0, b.0)), pair(_mm512_unpacklo_ps(c.0, d.0)));
            let high = (pair(_mm512_unpackhi_ps(a.0, b.0)), pair(_mm512_unpackhi_ps(c.0, d.0)));
            [
                Wide(_mm512_castpd_ps(_mm512_unpacklo_pd(low.0, low.1))),
                Wide(_mm512_castpd_ps(_mm512_unpackhi_pd(low.0, low.1))),
                Wide(_mm512_castpd_ps(_mm512_unpacklo_pd(high.0, high.1))),
                Wide(_mm512_castpd_ps(_mm512_unpackhi_pd(high.0, high.1))),
            ]
        }
    }

    /// The quarters of four registers turned: vector `q` has quarter `q` of each.
    #[inline(always)]
    unsafe fn quarters([a, b, c, d]: [Wide; 4]) -> [Wide; 4] {
        // SAFETY: as above.
        unsafe {
            let even = (_mm512_shuffle_f32x4::<0x88>(a.0, b.0), _mm512_shuffle_f32x4::<0x88>(c.0, d.0));
            let odd = (_mm512_shuffle_f32x4::<0xdd>(a.0, b.0), _mm512_shuffle_f32x4::<0xdd>(c.0, d.0));
            [
                Wide(_mm512_shuffle_f32x4::<0x88>(even.0, even.1)),
                Wide(_mm512_shuffle_f32x4::<0x88>(odd.0, odd.1)),
                Wide(_mm512_shuffle_f32x4::<0xdd>(even.0, even.1)),
                Wide(_mm512_shuffle_f32x4::<0xdd>(odd.0, odd.1)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn pair(values: __m512) -> __m512d {
        // SAFETY: the processor has AVX-512, by the caller's contract.
        unsafe { _mm512_castps_pd(values) }
    }

    /// The first `many` lanes.
    #[inline(always)]
    fn first(many: usize) -> __mmask16 {
        ((1_u32 << many) - 1) as __mmask16
    }

    impl Lanes for Middle {
        const WIDE: bool = false;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, many: usize) -> Self {
            let mut all = [0.0; LANES];
            // SAFETY: see above; the array has sixteen values.
            unsafe {
                std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), many);
                Self::load(all.as_ptr())
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, many: usize) {
            let mut all = [0.0; LANES];
            // SAFETY: see above; the array has sixteen values.
            unsafe {
                self.store(all.as_mut_ptr());
                std::ptr::copy_nonoverlapping(all.as_ptr(), to, many);
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, by: Self, to: Self) -> Self {
            // SAFETY: see above.
            unsafe { Self(_mm256_fmadd_ps(self.0, by.0, to.0), _mm256_fmadd_ps(self.1, by.1, to.1)) }
        }

        #[inline(always)]
        unsafe fn turn(rows: [Self; LANES]) -> [Self; LANES] {
            // SAFETY: see above.
            unsafe {
                let mut out = rows;
                for half in 0..2 {
                    let (mut left, mut right) = ([rows[0].0; 8], [rows[0].0; 8]);
                    for i in 0..8 {
                        (left[i], right[i]) = (rows[8 * half + i].0, rows[8 * half + i].1);
                    }
                    let (left, right) = (turn_eight(left), turn_eight(right));
                    for i in 0..8 {
                        if half == 0 {
                            (out[i].0, out[8 + i].0) = (left[i], right[i]);
                        } else {
                            (out[i].1, out[8 + i].1) = (left[i], right[i]);
                        }
                    }
                }
                out
            }
        }
    }

    /// `out[i][j] = rows[j][i]`.
    #[inline(always)]
    unsafe fn turn_eight(rows: [__m256; 8]) -> [__m256; 8] {
        // SAFETY: the processor has AVX, by the caller's contract.
        unsafe {
            // Of rows 4g..4g+4, in each half: column c of that half.
            let mut four = [[rows[0]; 4]; 2];
            for (g, four) in four.iter_mut().enumerate() {
                let [a, b, c, d] = [rows[4 * g], rows[4 * g + 1], rows[4 * g + 2], rows[4 * g + 3]];
                let low = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let high = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                *four = [
                    _mm256_shuffle_ps::<0x44>(low.0, low.1),
                    _mm256_shuffle_ps::<0xee>(low.0, low.1),
                    _mm256_shuffle_ps::<0x44>(high.0, high.1),
                    _mm256_shuffle_ps::<0xee>(high.0, high.1),
                ];
            }
            let mut out = rows;
            for c in 0..4 {
                out[c] = _mm256_permute2f128_ps::<0x20>(four[0][c], four[1][c]);
                out[4 + c] = _mm256_permute2f128_ps::<0x31>(four[0][c], four[1][c]);
            }
            out
        }
    }
}

// SAFETY (all of it): pointers are valid by the trait's contract; no instruction set is needed.
impl Lanes for Plain {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, many: usize) -> Self {
        let mut all = [0.0; LANES];
        // SAFETY: see above.
        unsafe { std::ptr::copy_nonoverlapping(from, all.as_mut_ptr(), many) };
        Self(all)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, many: usize) {
        // SAFETY: see above.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, many) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, to: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] * by.0[i] + to.0[i]))
    }

    #[inline(always)]
    unsafe fn turn(rows: [Self; LANES]) -> [Self; LANES] {
        std::array::from_fn(|i| Self(std::array::from_fn(|j| rows[j].0[i])))
    }
}

/// Loads `N` vectors that begin `apart` values apart.
///
/// No closures here and in the bodies of [`on_lanes!`]: they are functions of their own, without the instruction set.
///
/// # Safety
/// As [`Lanes::load`].
#[inline(always)]
pub(crate) unsafe fn load<L: Lanes, const N: usize>(from: *const f32, apart: usize) -> [L; N] {
    // SAFETY: by the caller's contract.
    unsafe {
        let mut all = [L::splat(0.0); N];
        for (i, one) in all.iter_mut().enumerate() {
            *one = L::load(from.wrapping_add(i * apart));
        }
        all
    }
}

/// Makes `unsafe fn name[L](args)` a dispatcher over a body that is generic in `L: Lanes`, compiled for AVX-512, AVX2 and
/// baseline.
macro_rules! on_lanes {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident [$L:ident] ($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
        $vis unsafe fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
            unsafe fn body<$L: $crate::lanes::Lanes>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[inline(never)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt")]
                #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
                unsafe fn on_avx512($($arg: $ty),*) {
                    // SAFETY: by the caller's contract.
                    unsafe { body::<$crate::lanes::Wide>($($arg),*) }
                }
                #[inline(never)]
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt")]
                #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
                unsafe fn on_avx2($($arg: $ty),*) {
                    // SAFETY: by the caller's contract.
                    unsafe { body::<$crate::lanes::Middle>($($arg),*) }
                }
                match $crate::simd::level() {
                    // SAFETY: `level` has asked the processor for exactly these features; the rest by the caller.
                    $crate::simd::Level::Avx512 => return unsafe { on_avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 => return unsafe { on_avx2($($arg),*) },
                    $crate::simd::Level::Portable => {}
                }
            }
            // SAFETY: by the caller's contract.
            unsafe { body::<$crate::lanes::Plain>($($arg),*) }
        }
    };
}
pub(crate) use on_lanes;

#[cfg(test)]
mod tests {
    use super::*;

    on_lanes! {
        unsafe fn turned[L](from: &[f32; 256], to: &mut [f32; 256]) {
            // SAFETY: sixteen rows of sixteen values.
            unsafe {
                for (i, row) in L::turn(load::<L, LANES>(from.as_ptr(), LANES)).into_iter().enumerate() {
                    row.store(to.as_mut_ptr().add(LANES * i));
                }
            }
        }
    }

    #[test]
    fn a_turned_square_has_its_columns_as_rows() {
        let from: [f32; 256] = std::array::from_fn(|i| i as f32);
        let expected: [f32; 256] = std::array::from_fn(|i| (i % 16 * 16 + i / 16) as f32);
        for limit in crate::simd::ALL {
            crate::simd::within(limit, || {
                let mut to = [0.0; 256];
                // SAFETY: nothing is asked for but the processor.
                unsafe { turned(&from, &mut to) };
                assert_eq!(to, expected, "{limit:?}");
            });
        }
    }
}
