//! Run-time choice of the instruction set.
//!
//! The crate is built for baseline x86-64 (SSE2). `multiversion!` compiles the body of a hot loop three
//! times and picks the widest that the machine has. All three compute the same bits: Rust never contracts
//! `a * b + c`, and every reduction has a fixed number of lanes. The wide versions are never inlined into each
//! other: at a function's border the compiler knows that the slices do not overlap, and vectorises.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

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

/// Asks the processor to fetch what will be read soon; where it can't be asked this does nothing.
#[inline(always)]
pub(crate) fn fetch<T>(soon: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint that every such processor has; it reads nothing and changes no value, so it may be given any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(soon.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

/// The same for each line of cache of `many` values: runs of a few kilobytes that lie far apart end before the processor
/// has seen that they are runs.
#[inline(always)]
pub(crate) fn fetch_run<T>(from: *const T, many: usize) {
    const LINE: usize = 64;
    for offset in (0..many * size_of::<T>()).step_by(LINE) {
        fetch(from.wrapping_byte_add(offset));
    }
}

/// The instruction sets that hot loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor has.
    Portable,
    /// 256-bit vectors, and a product and a sum as one.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

/// All of them.
pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

/// What [`level`] answers, or [`UNASKED`].
static LEVEL: AtomicU8 = AtomicU8::new(UNASKED);

/// The processor has not been asked yet.
const UNASKED: u8 = u8::MAX;

/// The widest instruction set of this machine, within [`within`]'s limit. Small kernels ask thousands of times a step, so
/// the answer is kept.
#[inline]
pub(crate) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        UNASKED => {
            let has = machine();
            // A limit that is set meanwhile stays.
            _ = LEVEL.compare_exchange(UNASKED, has as u8, Ordering::Relaxed, Ordering::Relaxed);
            has
        }
        2 => Level::Avx512,
        1 => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cold]
fn machine() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let middle = has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("popcnt");
        let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
        match (wide, middle) {
            (true, true) => return Level::Avx512,
            (false, true) => return Level::Avx2,
            _ => {}
        }
    }
    Level::Portable
}

/// Runs `f` with hot loops that use at most `limit`, in every thread: so that tests meet each of them on one machine.
pub fn within<R>(limit: Level, f: impl FnOnce() -> R) -> R {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    struct Restore(u8);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEVEL.store(self.0, Ordering::Relaxed);
        }
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore(LEVEL.swap(machine().min(limit) as u8, Ordering::Relaxed));
    f()
}

/// The instruction set that hot loops run with on this machine: `avx512`, `avx2` or `portable`.
#[must_use]
pub fn instruction_set() -> &'static str {
    match level() {
        Level::Avx512 => "avx512",
        Level::Avx2 => "avx2",
        Level::Portable => "portable",
    }
}
