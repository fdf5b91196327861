//! A part of a loss that may not have been read yet.

use kernels::Scalar;

use crate::error::Result;

/// `share * (sum of weight * number)` of at most two numbers; nothing counts as zero.
#[derive(Clone, Debug, Default)]
pub struct Part {
    share: f64,
    terms: [Option<(f64, Scalar)>; 2],
}

impl Part {
    /// A share of one number.
    pub(super) fn of(share: f64, number: Scalar) -> Self {
        Self { share, terms: [Some((1.0, number)), None] }
    }

    /// A share of a weighted sum of two.
    pub(super) fn mixed(share: f64, first: (f64, Scalar), second: (f64, Scalar)) -> Self {
        Self { share, terms: [Some(first), Some(second)] }
    }

    /// Its value where nobody has to wait for it.
    #[must_use]
    pub fn at_hand(&self) -> Option<f64> {
        self.sum(|number| number.at_hand().ok_or(())).ok()
    }

    /// Its value; waits for a device that has not been waited for since.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read(&self) -> Result<f64> {
        Ok(self.sum(Scalar::read)?)
    }

    fn sum<E>(&self, value: impl Fn(&Scalar) -> std::result::Result<f64, E>) -> std::result::Result<f64, E> {
        let mut sum = 0.0;
        for (weight, number) in self.terms.iter().flatten() {
            sum += weight * value(number)?;
        }
        Ok(self.share * sum)
    }
}
