//! The two number types that kernels compute in.

use candle_core::WithDType;

/// `f32` (what training runs in) or `f64` (what references and gradient checks run in).
///
/// Arithmetic comes from candle's [`WithDType`]; this adds the few functions that kernels need.
pub(crate) trait Real: WithDType + std::ops::Neg<Output = Self> + Default {
    const ZERO: Self;
    const ONE: Self;
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    fn is_nan(self) -> bool;
    fn exp(self) -> Self;
    fn atan(self) -> Self;
    /// Rounds to the nearest whole number, ties to even.
    fn round_even(self) -> Self;
    /// The bits of a byte as numbers, lowest first.
    fn octet(byte: u8) -> &'static [Self; 8];
}

macro_rules! real {
    ($T:ident, $exp:path) => {
        impl Real for $T {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $T
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $T::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $T::abs(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $T::is_nan(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn atan(self) -> Self {
                $T::atan(self)
            }
            #[inline(always)]
            fn round_even(self) -> Self {
                // Adding and taking away 2^mantissa rounds a magnitude in the adder, ties to even; larger ones
                // are whole already. It vectorises everywhere, where the library call does not.
                const SHIFT: $T = 1.0 / $T::EPSILON;
                let magnitude = $T::abs(self);
                let rounded = $T::copysign((magnitude + SHIFT) - SHIFT, self);
                if magnitude < SHIFT { rounded } else { self }
            }
            #[inline(always)]
            fn octet(byte: u8) -> &'static [Self; 8] {
                static TABLE: [[$T; 8]; 256] = {
                    let mut table = [[0.0; 8]; 256];
                    let mut i = 0;
                    while i < 2048 {
                        table[i / 8][i % 8] = ((i / 8) >> (i % 8) & 1) as $T;
                        i += 1;
                    }
                    table
                };
                &TABLE[byte as usize]
            }
        }
    };
}
real!(f32, exp_f32);
real!(f64, f64::exp);

/// `e^x` within 2 units in the last place, in a form that vectorises and is the same on every machine.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial for `e^r` (Cephes' coefficients), `2^n` by its bits.
#[inline(always)]
fn exp_f32(x: f32) -> f32 {
    const SHIFT: f32 = 1.5 / f32::EPSILON;
    // Below and above, the result is (nearly) zero or would overflow; a NaN passes through.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    // ln 2 in two parts: n times the first is exact.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    // Written out: a loop here would keep the caller's from being vectorised.
    let p = (1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3;
    let p = ((p * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 5.000_000_3e-1;
    let power = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(127) << 23;
    (p * r * r + r + 1.0) * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(Real::exp(x)) / exact - 1.0).abs() < 2.4e-7, "e^{x}");
        }
        assert!(Real::exp(f32::NAN).is_nan());
        assert!(Real::exp(-1e30f32) < 1e-37);
    }

    #[test]
    fn round_even_is_the_librarys() {
        for i in -1000..1000 {
            let x = i as f32 / 8.0;
            assert_eq!(Real::round_even(x), x.round_ties_even());
            assert_eq!(Real::round_even(f64::from(x)), f64::from(x).round_ties_even());
        }
        // Above 2^22 an f32 still has halves.
        for x in [4_194_304.5f32, 4_194_305.5, 6_908_928.5, 8_388_607.5, -4_194_305.5, -8_388_606.5] {
            assert_eq!(Real::round_even(x), x.round_ties_even());
        }
        for x in [1e30f32, -1e30, 8_388_609.0, 16_777_217.0] {
            assert_eq!(Real::round_even(x), x);
        }
    }
}
