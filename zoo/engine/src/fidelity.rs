//! How much of a gradient is right: a method's parameter gradients beside those of exact backpropagation.
//!
//! A method that stores less may do so by computing something else than the gradient of the loss. How far it is off is
//! told by two numbers on the same batch and the same parameters, for every layer and for all of them together:
//!
//! - cosine: `<a, b> / (|a| |b|)`, whether it points the same way;
//! - norm ratio: `|a| / |b|`, whether it is as long.
//!
//! `a` is the method's gradient, `b` the exact one.

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};
use crate::journal::snapshot;
use crate::method::{Batch, Trainer};
use crate::optim::Hold;

/// How two gradients agree. Both numbers are `None` where either gradient is zero or not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// `<a, b> / (|a| |b|)`, in [-1, 1].
    pub cosine: Option<f64>,
    /// `|a| / |b|`.
    pub norm_ratio: Option<f64>,
}

/// How the gradients of a network agree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fidelity {
    /// Each layer, which is a parameter's name without its last part, in the order of declaration.
    pub layers: Vec<(String, Agreement)>,
    /// All parameters as one vector.
    pub overall: Agreement,
}

/// `<a, b>`, `<a, a>` and `<b, b>`, to which parameters are added one after another.
#[derive(Clone, Copy, Debug, Default)]
struct Products {
    cross: f64,
    own: f64,
    exact: f64,
}

impl Products {
    /// Element by element, in order, in f64: the sums do not depend on threads.
    fn of(own: &[f64], exact: &[f64]) -> Self {
        let mut sums = Self::default();
        for (a, b) in own.iter().zip(exact) {
            sums.cross += a * b;
            sums.own += a * a;
            sums.exact += b * b;
        }
        sums
    }

    fn add(&mut self, other: Self) {
        self.cross += other.cross;
        self.own += other.own;
        self.exact += other.exact;
    }

    fn agreement(self) -> Agreement {
        let known = |square: f64| square > 0.0 && square.is_finite();
        if !known(self.own) || !known(self.exact) {
            return Agreement::default();
        }
        // One root of each square: a gradient beside itself gives exactly 1, where the root of a product may not.
        let (own, exact) = (self.own.sqrt(), self.exact.sqrt());
        let cosine = if self.own == self.exact { self.cross / self.own } else { self.cross / own / exact };
        Agreement { cosine: Some(cosine.clamp(-1.0, 1.0)), norm_ratio: Some(own / exact) }
    }
}

/// The gradient of a parameter, by name.
type Named = (String, Tensor);

/// Compares a method's gradients with the exact ones, both in declaration order as
/// [`snapshot`] gives them.
///
/// # Errors
/// When the two lists are not of the same parameters.
pub fn compare(own: &[Named], exact: &[Named]) -> Result<Fidelity> {
    if own.len() != exact.len() {
        let (own, exact) = (own.len(), exact.len());
        return Err(Error::Misuse(format!("gradients of {own} parameters beside those of {exact}")));
    }
    let mut layers: Vec<(String, Products)> = Vec::new();
    let mut overall = Products::default();
    for ((name, a), (exact_name, b)) in own.iter().zip(exact) {
        if name != exact_name {
            return Err(Error::Misuse(format!("the gradient of {name} beside that of {exact_name}")));
        }
        if a.dims() != b.dims() {
            return Err(Error::shape(name, format!("{:?}, the exact gradient's", b.dims()), a.dims()));
        }
        let products = Products::of(&numbers(a)?, &numbers(b)?);
        overall.add(products);
        let layer = layer_of(name);
        match layers.iter_mut().find(|(known, _)| known == layer) {
            Some((_, sums)) => sums.add(products),
            None => layers.push((layer.to_owned(), products)),
        }
    }
    let layers = layers.into_iter().map(|(layer, sums)| (layer, sums.agreement())).collect();
    Ok(Fidelity { layers, overall: overall.agreement() })
}

/// Parameter gradients of one training step that moves no parameter, in declaration order.
///
/// A method that updates at every time step has a gradient for each; it is their sum.
///
/// # Errors
/// When the step fails, or in a plan.
pub fn gradients(trainer: &mut dyn Trainer, batch: &Batch) -> Result<Vec<Named>> {
    trainer.session().watch_updates();
    let stepped = trainer.step(batch, &mut Hold);
    let journal = trainer.session().take_journal().unwrap_or_default();
    stepped?;
    match journal.updates.is_empty() {
        true => snapshot(&trainer.network().params, true),
        false => journal.summed_gradients(),
    }
}

/// A parameter's name without its last part: `stage.0.conv` of `stage.0.conv.weight`. A name of one part is a layer of
/// its own.
fn layer_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn named(list: &[(&str, &[f32])]) -> Vec<Named> {
        list.iter()
            .map(|(name, numbers)| {
                ((*name).to_owned(), Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_gradient_beside_itself_is_exactly_1_and_1() {
        let one =
            named(&[("conv.weight", &[0.1, -0.7, 3e-9]), ("conv.bias", &[1.3]), ("fc.weight", &[1e-20])]);
        let fidelity = compare(&one, &one).unwrap();
        let exact = Agreement { cosine: Some(1.0), norm_ratio: Some(1.0) };
        assert_eq!(fidelity.overall, exact);
        assert_eq!(fidelity.layers, [("conv".to_owned(), exact), ("fc".to_owned(), exact)]);
    }

    #[test]
    fn a_layer_is_all_parameters_of_a_name_and_overall_is_all_layers() {
        let own = named(&[("a.weight", &[3.0]), ("b.weight", &[0.0, 2.0]), ("a.bias", &[4.0])]);
        let exact = named(&[("a.weight", &[4.0]), ("b.weight", &[1.0, 0.0]), ("a.bias", &[3.0])]);
        let fidelity = compare(&own, &exact).unwrap();
        let [(a, first), (b, second)] = fidelity.layers.as_slice() else { panic!("{fidelity:?}") };
        assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
        assert_eq!(*first, Agreement { cosine: Some(24.0 / 25.0), norm_ratio: Some(1.0) });
        assert_eq!(*second, Agreement { cosine: Some(0.0), norm_ratio: Some(2.0) });
        let overall = fidelity.overall;
        assert!((overall.cosine.unwrap() - 24.0 / (29.0_f64 * 26.0).sqrt()).abs() < 1e-15);
        assert!((overall.norm_ratio.unwrap() - (29.0_f64 / 26.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn scale_moves_the_norm_and_sign_the_cosine() {
        let exact = named(&[("a.weight", &[1.0, 2.0])]);
        let overall = compare(&named(&[("a.weight", &[-0.5, -1.0])]), &exact).unwrap().overall;
        assert!((overall.cosine.unwrap() + 1.0).abs() < 1e-15);
        assert_eq!(overall.norm_ratio, Some(0.5));
    }

    #[test]
    fn a_zero_or_broken_gradient_has_no_direction() {
        let some = named(&[("a.weight", &[1.0])]);
        for other in [0.0, f32::NAN, f32::INFINITY] {
            let other = named(&[("a.weight", &[other])]);
            assert_eq!(compare(&other, &some).unwrap().overall, Agreement::default());
            assert_eq!(compare(&some, &other).unwrap().overall, Agreement::default());
        }
    }

    #[test]
    fn gradients_of_other_parameters_are_refused() {
        let one = named(&[("a.weight", &[1.0])]);
        assert!(compare(&one, &[]).is_err());
        assert!(compare(&one, &named(&[("b.weight", &[1.0])])).is_err());
        assert!(compare(&one, &named(&[("a.weight", &[1.0, 2.0])])).is_err());
    }

    #[test]
    fn a_name_of_one_part_is_a_layer() {
        assert_eq!(layer_of("alpha"), "alpha");
        assert_eq!(layer_of("stage.0.conv.weight"), "stage.0.conv");
    }
}
