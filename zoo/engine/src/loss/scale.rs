//! The factor on the loss of a run in `f16`, whose smallest numbers are gradients' usual ones (Micikevicius et al., ICLR
//! 2018, section 3.2).
//!
//! It is a power of two, so that putting it on and taking it off moves no bits. It is put on the gradient of the scores, in
//! `f32`, and taken off the accumulators of parameters, in `f32`, before an update reads them. Where one of them is not
//! finite, the update is left out and the factor is halved for the next one; after so many updates in a row that were not, it
//! is doubled, because gradients shrink as training goes on. Interval, factors and beginning are those of PyTorch's
//! `GradScaler`, which has no bounds.
//!
//! What it is depends on the gradients alone, so a run that is begun again has the same one at each step. No run is taken up
//! half-way, so nothing has to be saved.

use std::cell::Cell;

use candle_core::{DType, Tensor};
use kernels::{elementwise, update};

use crate::error::{Divergence, Error, Result};
use crate::param::Params;

/// The factor that a run begins with, `2^16`.
const FIRST: f64 = 65536.0;

/// With it gradients that are not finite are no matter of range: training diverged.
const LEAST: f64 = 1.0 / 65536.0;

/// Beyond it no gradient is lifted that `f16` would lose otherwise: `2^24` is one over its smallest number.
const MOST: f64 = 16_777_216.0;

/// So many updates in a row have to be finite for the factor to grow.
const INTERVAL: u64 = 2000;

/// The factor of a session, and how often it was too large.
#[derive(Debug)]
pub struct LossScale {
    factor: Cell<f64>,
    /// Updates since the factor was moved last.
    finite: Cell<u64>,
    left_out: Cell<u64>,
}

impl LossScale {
    /// That of a number type: 1 for all that have the exponents of `f32` or more.
    pub(crate) fn of(dtype: DType) -> Self {
        let factor = if dtype == DType::F16 { FIRST } else { 1.0 };
        Self { factor: Cell::new(factor), finite: Cell::new(0), left_out: Cell::new(0) }
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
        self.move_to(factor);
    }

    /// Multiplies a gradient of scores where it lies.
    pub(crate) fn put_on(&self, gradient: &Tensor) -> Result<()> {
        if self.factor() != 1.0 {
            elementwise::scale_assign(gradient, self.factor())?;
        }
        Ok(())
    }

    /// Divides all gradients of parameters; `false` where one is not finite, so that the update has to be left out. `step` is
    /// the iteration of the run that an error names.
    ///
    /// # Errors
    /// When that happened at the least factor already, or a kernel fails.
    pub fn take_off(&self, params: &Params, step: u64) -> Result<bool> {
        if !self.is_on(params) {
            return Ok(true);
        }
        let gradients = params.iter().filter_map(|param| param.gradient());
        let gradients = gradients.map(|gradient| gradient.tensor()).collect::<Result<Vec<_>>>()?;
        // Their norm is finite where all of them are; whatever else stands open is read with it.
        if !update::norm_of(&gradients)?.read()?.is_finite() {
            self.shrink(step)?;
            return Ok(false);
        }
        for gradient in gradients {
            elementwise::scale_assign(gradient, 1.0 / self.factor())?;
        }
        self.grow();
        Ok(true)
    }

    /// Behind an update that was left out.
    fn shrink(&self, step: u64) -> Result<()> {
        let factor = self.factor();
        if factor <= LEAST {
            return Err(Error::Diverged { what: Divergence::Gradients(factor), step });
        }
        self.left_out.set(self.left_out() + 1);
        self.move_to(factor / 2.0);
        Ok(())
    }

    /// Behind gradients that were finite.
    fn grow(&self) {
        self.finite.set(self.finite.get() + 1);
        if self.finite.get() == INTERVAL {
            self.move_to((2.0 * self.factor()).min(MOST));
        }
    }

    fn move_to(&self, factor: f64) {
        self.factor.set(factor);
        self.finite.set(0);
    }

    /// Whether there is a factor at all, and numbers that it is on.
    fn is_on(&self, params: &Params) -> bool {
        params.session().dtype() == DType::F16 && !params.session().is_planned()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use candle_core::Device;
    use keys::Key;

    use super::*;
    use crate::param::{Init, ParamId, ParamKind};
    use crate::pass::Session;

    /// One parameter whose gradient is this number.
    fn params(dtype: DType, gradient: f32) -> (Params, ParamId) {
        let session = Rc::new(Session::new(Device::Cpu, dtype));
        let mut params = Params::new(Rc::clone(&session), Key::new(1));
        let id = params.declare("w", ParamKind::Weight, &[1], Init::Constant(0.0)).unwrap();
        set(&params, id, gradient);
        (params, id)
    }

    fn set(params: &Params, id: ParamId, gradient: f32) {
        let (accumulator, _) = params.accumulator(id).unwrap().unwrap();
        let value = Tensor::new(&[gradient], &Device::Cpu).unwrap();
        elementwise::copy(accumulator, &value).unwrap();
    }

    fn gradient(params: &Params) -> f32 {
        let param = params.iter().next().unwrap();
        param.gradient().unwrap().tensor().unwrap().to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn it_doubles_after_two_thousand_finite_updates_in_a_row() {
        let (params, _) = params(DType::F16, 0.0);
        let scale = params.session().loss_scale();
        for update in 0..1999 {
            assert!(scale.take_off(&params, update).unwrap());
        }
        assert_eq!(scale.factor(), 65536.0);
        assert!(scale.take_off(&params, 1999).unwrap());
        assert_eq!((scale.factor(), scale.left_out()), (131_072.0, 0));
    }

    #[test]
    fn an_update_that_is_left_out_begins_the_count_anew() {
        let (params, id) = params(DType::F16, 0.0);
        let scale = params.session().loss_scale();
        let updates = |count: usize| (0..count).for_each(|_| assert!(scale.take_off(&params, 0).unwrap()));
        updates(1999);
        set(&params, id, f32::INFINITY);
        assert!(!scale.take_off(&params, 0).unwrap());
        assert_eq!((scale.factor(), scale.left_out()), (32768.0, 1));
        set(&params, id, 0.0);
        updates(1999);
        assert_eq!(scale.factor(), 32768.0);
        updates(1);
        assert_eq!((scale.factor(), scale.left_out()), (65536.0, 1));
    }

    #[test]
    fn it_stays_in_its_bounds() {
        let (finite, _) = params(DType::F16, 0.0);
        let scale = finite.session().loss_scale();
        scale.begin_at(MOST);
        for _ in 0..INTERVAL {
            scale.take_off(&finite, 0).unwrap();
        }
        assert_eq!(scale.factor(), MOST);

        let (infinite, _) = params(DType::F16, f32::NAN);
        let scale = infinite.session().loss_scale();
        for halved in 1..=32 {
            assert!(!scale.take_off(&infinite, halved).unwrap());
            assert_eq!(scale.factor(), FIRST / 2f64.powi(halved as i32));
        }
        let said = scale.take_off(&infinite, 77).unwrap_err();
        assert!(matches!(said, Error::Diverged { what: Divergence::Gradients(LEAST), step: 77 }), "{said}");
        assert!(said.to_string().ends_with("at step 77: training diverged"), "{said}");
        assert_eq!(scale.factor(), LEAST);
    }

    #[test]
    fn what_was_put_on_is_taken_off_to_the_bit() {
        let (params, _) = params(DType::F16, 0.1 * 65536.0);
        assert!(params.session().loss_scale().take_off(&params, 0).unwrap());
        assert_eq!(gradient(&params), 0.1);
    }

    #[test]
    fn other_number_types_have_none() {
        for dtype in [DType::F32, DType::BF16, DType::F64] {
            let session = Session::new(Device::Cpu, dtype);
            assert_eq!(session.loss_scale().factor(), 1.0);
        }
        let (params, _) = params(DType::BF16, f32::INFINITY);
        assert!(params.session().loss_scale().take_off(&params, 0).unwrap());
        assert_eq!(gradient(&params), f32::INFINITY);
    }
}
