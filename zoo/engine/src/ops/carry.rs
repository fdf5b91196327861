//! The invertible shortcut of a level, `c[t] = F + alpha c[t-1]` with one alpha a channel, forward and back (T-RevSNN,
//! ICML 2024, section 4).
//!
//! Plain: in floating point; back by `(c[t] - F) / alpha`. Exact, on a grid of spacing `2^-bits`:
//!
//! ```text
//! C[t] = round(F) + floor(n C[t-1] / 64)     n = round(64 alpha), not 0
//! ```
//!
//! in whole numbers of grid steps, with the index that the floor loses written down (`kernels::remainder`). Gradients
//! pass rounding and floor as if they were not there: `d alpha = g c[t-1]`, `d c[t-1] = (n / 64) g`.

use kernels::elementwise;
use kernels::remainder::{self, Layout};

use super::dense;
use super::held::{real, typed};
use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::model::Levels;
use crate::operations::{Each, Kind, Reads, Work};
use crate::param::ParamId;
use crate::pass::Pass;
use crate::region::{Grid, Remainders};
use crate::saved::Saved;
use crate::value::Value;

/// Magnitudes of `alpha` below this are raised to it before a plain shortcut uses it, in the parameter itself, with a
/// gradient of 1: the inversion divides by `alpha` (T-RevSNN's released code).
const SMALLEST_ALPHA: f64 = 1e-3;

/// The shortcut of a level at a step.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut<'a> {
    place: &'a str,
    alpha: ParamId,
    grid: Option<Grid>,
}

impl<'a> Shortcut<'a> {
    /// The shortcut with factor `alpha` at a named place; exact on a grid, plain without one.
    #[must_use]
    pub fn new(place: &'a str, alpha: ParamId, grid: Option<Grid>) -> Self {
        Self { place, alpha, grid }
    }

    /// The shortcut of a wiring's level at a step.
    pub(crate) fn of(levels: &'a dyn Levels, level: usize, step: usize) -> Self {
        Self::new(levels.sites()[level].name(), levels.skip(level, step), levels.grid())
    }

    /// The value of the first step, which has none before it: F, on the grid where there is one.
    ///
    /// # Errors
    /// When the value leaves the grid's range.
    pub fn first(self, pass: &Pass<'_>, f: &Value) -> Result<Value> {
        let f = dense(pass, f)?;
        let Some(grid) = self.grid else {
            // Scales nothing yet, but the released code raises it all the same.
            if let Ok(alpha) = pass.param(self.alpha).tensor() {
                elementwise::floor_magnitude(alpha, SMALLEST_ALPHA)?;
            }
            return real(pass, &f);
        };
        let y = pass
            .passing_in(pass.session().real(), f.shape(), || Ok(remainder::start(f.tensor()?, grid.bits)?))?;
        // On its grid: rounded, nothing else.
        pass.moved(&f, &y);
        grid.check(pass, self.place, &y)?;
        let tape = pass.tape();
        if !tape.tracks(&f) {
            return Ok(y);
        }
        let (slot, dtype) = (f.slot, f.dtype());
        Ok(tape.record("carry_first", y, move |backward, dy| {
            let df = typed(backward.pass(), dy, dtype)?;
            backward.give(slot, df)
        }))
    }

    /// `f + alpha * previous`. Saves the previous value, for the gradient of alpha.
    ///
    /// # Errors
    /// When the shapes differ or the value leaves the grid's range.
    pub fn carry_on(self, pass: &Pass<'_>, f: &Value, previous: &Value) -> Result<Value> {
        let (f, previous) = (dense(pass, f)?, dense(pass, previous)?);
        self.check(&f, &previous)?;
        let (n, c, plane) = image_geometry(&f);
        let alpha = pass.param(self.alpha);
        let y = pass.passing_in(pass.session().real(), f.shape(), || match self.grid {
            Some(grid) => {
                let (f, previous, layout) = (f.tensor()?, previous.tensor()?, layout(grid, &f));
                Ok(remainder::carry(&layout, f, previous, alpha.tensor()?)?)
            }
            None => {
                elementwise::floor_magnitude(alpha.tensor()?, SMALLEST_ALPHA)?;
                Ok(elementwise::mix(f.tensor()?, previous.tensor()?, alpha.tensor()?, n, c, plane)?)
            }
        })?;
        pass.count(
            Work::at(self.place, Kind::Carry, &[&f, &previous], &y, Reads::Summed)
                .multiplies(y.len())
                .adds(y.len()),
        )?;
        if let Some(grid) = self.grid {
            grid.check(pass, self.place, &y)?;
        }
        let tape = pass.tape();
        let f_slot = f.slot.filter(|_| tape.tracks(&f));
        let previous_slot = previous.slot.filter(|_| tape.tracks(&previous));
        // Where nothing before it is trained, its factor isn't either.
        if f_slot.is_none() && previous_slot.is_none() {
            return Ok(y);
        }
        let kept = Saved::new(&previous);
        let (alpha, grid, dtype) = (self.alpha, self.grid, f.dtype());
        let counted = pass.to_count(self.place, Kind::Carry, 0);
        Ok(tape.record("carry_on", y, move |backward, dy| {
            let pass = backward.pass();
            pass.count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::ADDED);
            alpha_gradient(pass, alpha, &dy, &kept.get(pass)?)?;
            drop(kept);
            if previous_slot.is_some() {
                pass.count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
                backward.give(previous_slot, scaled(pass, alpha, grid, &dy)?)?;
            }
            backward.give(f_slot, typed(pass, dy, dtype)?)
        }))
    }

    /// What [`Shortcut::carry_on`] is about to lose of the previous value; nothing where it is plain.
    pub(crate) fn remainders(self, pass: &Pass<'_>, previous: &Value) -> Result<Option<Remainders>> {
        let Some(grid) = self.grid else { return Ok(None) };
        let layout = layout(grid, previous);
        let session = pass.session();
        if session.is_planned() {
            let alpha = pass.params().start(self.alpha);
            return Ok(Some(Remainders::planned(session.ledger(), &layout, &alpha)));
        }
        let alpha = pass.param(self.alpha);
        let streams = remainder::encode(&layout, previous.tensor()?, alpha.tensor()?)?;
        Ok(Some(Remainders::new(session.ledger(), streams)))
    }

    /// The previous value, back from the one it led to: by the remainders on a grid, else `(carried - f) / alpha`. Not
    /// recorded.
    ///
    /// # Errors
    /// When the shapes differ, or the remainders are not those of this step.
    pub(crate) fn carry_back(
        self,
        pass: &Pass<'_>,
        carried: &Value,
        f: &Value,
        lost: Option<&Remainders>,
    ) -> Result<Value> {
        let f = dense(pass, f)?;
        self.check(&f, carried)?;
        let (n, c, plane) = image_geometry(&f);
        let alpha = pass.param(self.alpha);
        pass.session().dense(Category::State, f.shape(), || {
            let (carried, f, alpha) = (carried.tensor()?, f.tensor()?, alpha.tensor()?);
            match (self.grid, lost.and_then(Remainders::streams)) {
                (None, _) => Ok(elementwise::unmix(carried, f, alpha, n, c, plane)?),
                (Some(Grid { bits, .. }), Some(streams)) => {
                    Ok(remainder::recover(&Layout { n, ch: c, plane, bits }, carried, f, alpha, streams)?)
                }
                (Some(_), None) => {
                    Err(Error::Misuse(format!("{}: a step back on a grid needs its remainders", self.place)))
                }
            }
        })
    }

    /// Through the shortcut: the gradient of alpha goes to its accumulator, that of the previous value is returned.
    pub(crate) fn through(self, pass: &Pass<'_>, gradient: &Value, previous: &Value) -> Result<Value> {
        let counted = pass.to_count(self.place, Kind::Carry, 0);
        let each = Each::ADDED.and(Each::PRODUCT);
        pass.count_back_each(counted.as_deref(), gradient.len(), gradient.steps(), each);
        alpha_gradient(pass, self.alpha, gradient, previous)?;
        scaled(pass, self.alpha, self.grid, gradient)
    }

    fn check(self, f: &Value, carried: &Value) -> Result<()> {
        if f.shape() == carried.shape() {
            return Ok(());
        }
        Err(Error::shape(self.place, format!("{:?}", carried.shape()), f.shape()))
    }
}

fn alpha_gradient(pass: &Pass<'_>, alpha: ParamId, gradient: &Value, previous: &Value) -> Result<()> {
    let (n, c, plane) = image_geometry(gradient);
    if let Some((into, add)) = pass.params().accumulator(alpha)? {
        elementwise::channel_dot(gradient.tensor()?, previous.tensor()?, n, c, plane, into, add)?;
    }
    Ok(())
}

/// The gradient times the factor that the forward pass used.
fn scaled(pass: &Pass<'_>, alpha: ParamId, grid: Option<Grid>, gradient: &Value) -> Result<Value> {
    let (n, c, plane) = image_geometry(gradient);
    let alpha = pass.param(alpha);
    pass.gradient_in(gradient.dtype(), gradient.shape(), || {
        let gradient = gradient.tensor()?;
        match grid {
            None => Ok(elementwise::channel_scale(gradient, n, c, plane, alpha.tensor()?)?),
            Some(_) => {
                let factors = remainder::factors(alpha.tensor()?)?;
                Ok(elementwise::channel_scale(gradient, n, c, plane, &factors)?)
            }
        }
    })
}

fn layout(grid: Grid, value: &Value) -> Layout {
    let (n, ch, plane) = image_geometry(value);
    Layout { n, ch, plane, bits: grid.bits }
}

fn image_geometry(value: &Value) -> (usize, usize, usize) {
    (value.steps() * value.batch(), value.channels(), value.plane())
}
