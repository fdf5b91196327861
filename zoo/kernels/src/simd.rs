//! Run-time choice of the instruction set.
//!
//! The crate is built for baseline x86-64 (SSE2). [`multiversion!`] compiles the body of a hot loop three
//! times and picks the widest that the machine has. All three compute the same bits: Rust never contracts
//! `a * b + c`, and every reduction has a fixed number of lanes. The wide versions are never inlined into each
//! other: at a function's border the compiler knows that the slices do not overlap, and vectorises.

/// Makes `fn name(args)` a dispatcher over an `#[inline(always)]` body compiled for AVX-512, AVX2 and baseline.
///
/// `fn name[K](args)` takes a constant `K: usize`, such as the width of a filter.
macro_rules! multiversion {
    ($(#[$meta:meta])* fn $name:ident [$K:ident] ($($arg:ident : $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        fn $name<const $K: usize>($($arg: $ty),*) {
            #[inline(always)]
            fn body<const $K: usize>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[inline(never)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt")]
                fn wide<const $K: usize>($($arg: $ty),*) { body::<$K>($($arg),*) }
                #[inline(never)]
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt")]
                fn middle<const $K: usize>($($arg: $ty),*) { body::<$K>($($arg),*) }
                match $crate::simd::level() {
                    // SAFETY: `level` has asked the processor for exactly these features.
                    $crate::simd::Level::Avx512 => return unsafe { wide::<$K>($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 => return unsafe { middle::<$K>($($arg),*) },
                    $crate::simd::Level::Portable => {}
                }
            }
            body::<$K>($($arg),*)
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($G:ident : $B:path),+>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
        $vis fn $name $(<$($G: $B),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
            fn body $(<$($G: $B),+>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[inline(never)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt")]
                #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
                fn wide $(<$($G: $B),+>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[inline(never)]
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt")]
                #[allow(clippy::too_many_arguments, reason = "a hot loop names its operands")]
                fn middle $(<$($G: $B),+>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::simd::level() {
                    // SAFETY: `level` has asked the processor for exactly these features.
                    $crate::simd::Level::Avx512 => return unsafe { wide($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx2 => return unsafe { middle($($arg),*) },
                    $crate::simd::Level::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// The instruction sets that hot loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(target_arch = "x86_64")]
pub(crate) enum Level {
    Avx512,
    Avx2,
    Portable,
}

/// The widest instruction set of this machine (the standard library caches the answer).
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn level() -> Level {
    use std::arch::is_x86_feature_detected as has;
    let middle = has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("popcnt");
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    match (wide, middle) {
        (true, true) => Level::Avx512,
        (false, true) => Level::Avx2,
        _ => Level::Portable,
    }
}

/// The instruction set that hot loops run with on this machine: `avx512`, `avx2` or `portable`. It changes no number,
/// but the size of some scratch.
#[must_use]
pub fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    match level() {
        Level::Avx512 => return "avx512",
        Level::Avx2 => return "avx2",
        Level::Portable => {}
    }
    "portable"
}
