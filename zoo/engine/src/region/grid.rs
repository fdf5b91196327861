//! The grid that makes the inversion of a reversible stream bit-exact.

use kernels::Scalar;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pass::Pass;
use crate::value::Value;

/// A fixed-point grid for reversible streams.
///
/// `x + round(f)` and `y - round(f)` are exact when all are multiples of `2^-bits` below `2^range` and
/// `bits + range` is at most the 24 bits of an f32's significand. A stream that leaves the range is an error, never
/// a silent rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grid {
    /// Fractional bits: the spacing is `2^-bits`.
    pub bits: i32,
    /// The stream stays below `2^range`.
    pub range: i32,
}

impl Default for Grid {
    /// Spacing `2^-16`, range `2^8`: all 24 bits of f32.
    fn default() -> Self {
        Self { bits: 16, range: 8 }
    }
}

/// Bits of an f32's significand, the hidden one included.
const SIGNIFICAND: i32 = 24;

impl Grid {
    /// Checks that sums on the grid are exact in f32.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check_range(self) -> Result<()> {
        if !(0..=SIGNIFICAND).contains(&self.bits) {
            return Err(Error::setting("grid.bits", format!("in [0, {SIGNIFICAND}]"), self.bits));
        }
        if self.bits + self.range > SIGNIFICAND {
            let rule = format!("at most {} with {} bits", SIGNIFICAND - self.bits, self.bits);
            return Err(Error::setting("grid.range", rule, self.range));
        }
        Ok(())
    }

    /// Rounds a value to the grid, to even; on it, it is no half.
    pub(crate) fn round(self, pass: &Pass<'_>, x: &Value) -> Result<Value> {
        let real = pass.session().real();
        let y = pass.passing_in(real, x.shape(), || {
            Ok(kernels::elementwise::round_to_grid(x.tensor()?, self.bits)?)
        })?;
        pass.moved(x, &y);
        Ok(y)
    }

    /// Refuses a stream that left the range: at once where its largest value is at hand, else when the step's numbers are
    /// read, which is before its update.
    pub(crate) fn check(self, pass: &Pass<'_>, place: &str, x: &Value) -> Result<()> {
        let Ok(tensor) = x.tensor() else { return Ok(()) };
        let (found, limit) = (kernels::elementwise::max_abs(tensor)?, f64::from(self.range).exp2());
        match found.at_hand() {
            Some(found) => in_range(place, found, limit),
            None => {
                pass.session().put_off(StreamRange { place: place.to_string(), found, limit });
                Ok(())
            }
        }
    }
}

/// What a stream's largest value, which was not read yet, must stay below.
#[derive(Debug)]
pub(crate) struct StreamRange {
    place: String,
    found: Scalar,
    limit: f64,
}

impl StreamRange {
    /// Refuses a stream that has left it; waits for a device that has not been waited for since.
    pub(crate) fn check(self) -> Result<()> {
        in_range(&self.place, self.found.read()?, self.limit)
    }
}

fn in_range(place: &str, found: f64, limit: f64) -> Result<()> {
    // Written so that a NaN fails too.
    if found < limit { Ok(()) } else { Err(Error::StreamRange { place: place.to_string(), found, limit }) }
}
