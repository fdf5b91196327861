//! Surrogate derivatives of the spike, with their primitives.

use crate::real::Real;

/// What stands for the derivative of the step function in the backward pass.
///
/// `x = u - threshold`; `h` is the derivative that is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// `h = height` for `|x| < width / 2`, the ends included when `closed`, else 0 (STBP, Wu et al. 2018, h1).
    Rectangle {
        /// Width of the window.
        width: f64,
        /// Its height; `1 / width` makes the area 1.
        height: f64,
        /// Whether the ends belong to it.
        closed: bool,
    },
    /// `h = max(0, alpha - alpha^2 |x|)`.
    Triangle {
        /// Height, and one over half the base.
        alpha: f64,
    },
    /// `h = alpha * sig(alpha x) * (1 - sig(alpha x))`.
    Sigmoid {
        /// Steepness.
        alpha: f64,
    },
    /// `h = (alpha / 2) / (1 + (pi / 2 * alpha * x)^2)` (Fang et al. 2021).
    ArcTan {
        /// Steepness.
        alpha: f64,
    },
    /// `h = 1` for `low <= u <= high`, in membrane units: a straight-through quantiser.
    Window {
        /// Lowest membrane that passes gradient.
        low: f64,
        /// Highest.
        high: f64,
    },
}

/// A surrogate ready for the loop: `at(u, x)` is the derivative, `primitive(u, x)` a function it belongs to.
pub(crate) trait Slope<T: Real>: Copy + Send + Sync {
    fn at(self, u: T, x: T) -> T;
    fn primitive(self, u: T, x: T) -> T;
}

#[derive(Clone, Copy)]
pub(crate) struct Rectangle<T, const CLOSED: bool> {
    pub(crate) half: T,
    pub(crate) height: T,
}

impl<T: Real, const CLOSED: bool> Slope<T> for Rectangle<T, CLOSED> {
    #[inline(always)]
    fn at(self, _u: T, x: T) -> T {
        let inside = if CLOSED { x.abs() <= self.half } else { x.abs() < self.half };
        if inside { self.height } else { T::ZERO }
    }

    fn primitive(self, _u: T, x: T) -> T {
        let inside = if x < -self.half {
            -self.half
        } else if x > self.half {
            self.half
        } else {
            x
        };
        self.height * (inside + self.half)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Triangle<T> {
    pub(crate) alpha: T,
}

impl<T: Real> Slope<T> for Triangle<T> {
    #[inline(always)]
    fn at(self, _u: T, x: T) -> T {
        let h = self.alpha - self.alpha * self.alpha * x.abs();
        if h > T::ZERO { h } else { T::ZERO }
    }

    fn primitive(self, _u: T, x: T) -> T {
        let (y, half) = (self.alpha * x, T::of(0.5));
        if y <= -T::ONE {
            T::ZERO
        } else if y >= T::ONE {
            T::ONE
        } else if y < T::ZERO {
            half * (T::ONE + y) * (T::ONE + y)
        } else {
            T::ONE - half * (T::ONE - y) * (T::ONE - y)
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Sigmoid<T> {
    pub(crate) alpha: T,
}

impl<T: Real> Slope<T> for Sigmoid<T> {
    #[inline(always)]
    fn at(self, _u: T, x: T) -> T {
        // Even in x, so the exponent is never positive and nothing overflows.
        let e = (-(self.alpha * x).abs()).exp();
        self.alpha * e / ((T::ONE + e) * (T::ONE + e))
    }

    fn primitive(self, _u: T, x: T) -> T {
        let e = (-(self.alpha * x).abs()).exp();
        if x >= T::ZERO { T::ONE / (T::ONE + e) } else { e / (T::ONE + e) }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct ArcTan<T> {
    pub(crate) half: T,
    pub(crate) steepness: T,
}

impl<T: Real> Slope<T> for ArcTan<T> {
    #[inline(always)]
    fn at(self, _u: T, x: T) -> T {
        let y = self.steepness * x;
        self.half / (T::ONE + y * y)
    }

    fn primitive(self, _u: T, x: T) -> T {
        (self.steepness * x).atan() / T::of(std::f64::consts::PI) + T::of(0.5)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Window<T> {
    pub(crate) low: T,
    pub(crate) high: T,
}

impl<T: Real> Slope<T> for Window<T> {
    #[inline(always)]
    fn at(self, u: T, _x: T) -> T {
        if (u >= self.low) & (u <= self.high) { T::ONE } else { T::ZERO }
    }

    fn primitive(self, u: T, _x: T) -> T {
        if u < self.low {
            T::ZERO
        } else if u > self.high {
            self.high - self.low
        } else {
            u - self.low
        }
    }
}

/// Runs `$body` with `$h` bound to the surrogate in number type `$T`, compiled for each kind.
macro_rules! with_slope {
    ($surrogate:expr, $T:ty, $h:ident => $body:expr) => {{
        use $crate::lif::surrogate as kinds;
        let of = <$T as $crate::real::Real>::of;
        match $surrogate {
            kinds::Surrogate::Rectangle { width, height, closed: true } => {
                let $h = kinds::Rectangle::<$T, true> { half: of(width / 2.0), height: of(height) };
                $body
            }
            kinds::Surrogate::Rectangle { width, height, closed: false } => {
                let $h = kinds::Rectangle::<$T, false> { half: of(width / 2.0), height: of(height) };
                $body
            }
            kinds::Surrogate::Triangle { alpha } => {
                let $h = kinds::Triangle::<$T> { alpha: of(alpha) };
                $body
            }
            kinds::Surrogate::Sigmoid { alpha } => {
                let $h = kinds::Sigmoid::<$T> { alpha: of(alpha) };
                $body
            }
            kinds::Surrogate::ArcTan { alpha } => {
                let steepness = of(std::f64::consts::FRAC_PI_2 * alpha);
                let $h = kinds::ArcTan::<$T> { half: of(alpha / 2.0), steepness };
                $body
            }
            kinds::Surrogate::Window { low, high } => {
                let $h = kinds::Window::<$T> { low: of(low), high: of(high) };
                $body
            }
        }
    }};
}
pub(crate) use with_slope;
