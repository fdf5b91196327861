//! The factor on the loss of a run in `f16`, whose smallest numbers are gradients' usual ones (Micikevicius et al., ICLR
//! 2018, section 3.2).
//!
//! It is a power of two, so that putting it on and taking it off moves no bits. It is put on the gradient of the scores, in
//! `f32`, and taken off the accumulators of parameters, in `f32`, before an update reads them. Where one of them is not
//! finite, the update is left out and the factor is halved for the next one.

use std::cell::Cell;

use candle_core::{DType, Tensor};
use kernels::{elementwise, update};

use crate::error::{Error, Result};
use crate::param::Params;

/// The factor that PyTorch's `GradScaler` begins with, `2^16`.
const FIRST: f64 = 65536.0;

/// Below it gradients that are not finite are no matter of range: training diverged.
const LEAST: f64 = 1.0 / 65536.0;

/// The factor of a session, and how often it was too large.
#[derive(Debug)]
pub struct LossScale {
    factor: Cell<f64>,
    left_out: Cell<u64>,
}

impl LossScale {
    /// That of a number type: 1 for all that have the exponents of `f32` or more.
    pub(crate) fn of(dtype: DType) -> Self {
        let factor = if dtype == DType::F16 { FIRST } else { 1.0 };
        Self { factor: Cell::new(factor), left_out: Cell::new(0) }
    }

    /// What the loss is multiplied with now.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.factor.get()
    }

    /// Updates that were left out, each because a gradient was not finite.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.get()
    }

    /// Begins with a factor that was seen to fit, where there is one at all.
    pub fn begin_at(&self, factor: f64) {
        self.factor.set(factor);
    }

    /// Multiplies a gradient of scores where it lies.
    pub(crate) fn put_on(&self, gradient: &Tensor) -> Result<()> {
        if self.factor() != 1.0 {
            elementwise::scale_assign(gradient, self.factor())?;
        }
        Ok(())
    }

    /// Divides all gradients of parameters; `false` where one is not finite, so that the update has to be left out.
    ///
    /// # Errors
    /// When that happened at the least factor already, or a kernel fails.
    pub fn take_off(&self, params: &Params) -> Result<bool> {
        let factor = self.factor();
        if !self.is_on(params) {
            return Ok(true);
        }
        let gradients = params.iter().filter_map(|param| param.gradient());
        let gradients = gradients.map(|gradient| gradient.tensor()).collect::<Result<Vec<_>>>()?;
        // Their norm is finite where all of them are; whatever else stands open is read with it.
        if !update::norm_of(&gradients)?.read()?.is_finite() {
            self.left_out.set(self.left_out() + 1);
            self.factor.set(factor / 2.0);
            if factor / 2.0 < LEAST {
                return Err(Error::Misuse(format!("gradients are not finite with a loss scale of {factor}")));
            }
            return Ok(false);
        }
        for gradient in gradients {
            elementwise::scale_assign(gradient, 1.0 / factor)?;
        }
        Ok(true)
    }

    /// Whether there is a factor at all, and numbers that it is on.
    fn is_on(&self, params: &Params) -> bool {
        params.session().dtype() == DType::F16 && !params.session().is_planned()
    }
}
