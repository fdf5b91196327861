//! Numbers beside tensors: a loss, a norm, a count.
//!
//! A number stays where it was computed until someone reads it, because to read it is to wait until the device has done
//! everything before it. So numbers are read late, and together: who reads one reads all that stand open. [`waits`] counts how
//! often that happens. A processor has nothing to wait for, and counts what a device would.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use candle_core::Tensor;

use crate::Result;

/// A number that may not have been read yet.
#[derive(Clone, Debug)]
pub struct Scalar(Place);

#[derive(Clone, Debug)]
enum Place {
    /// On the processor, with the number of readings before it was made.
    Host(f64, u64),
    #[cfg_attr(not(any(feature = "cuda", test)), expect(dead_code, reason = "there is no device"))]
    Device(Rc<Number>),
}

/// A number on a device.
#[derive(Debug)]
struct Number {
    /// One element of type `f64`.
    tensor: Tensor,
    /// Its value, once it was read.
    read: Cell<Option<f64>>,
}

thread_local! {
    /// Numbers on devices that were not read yet.
    static OPEN: RefCell<Vec<Weak<Number>>> = const { RefCell::new(Vec::new()) };
    /// Readings, each of all numbers that stood open.
    static READINGS: Cell<u64> = const { Cell::new(0) };
    static WAITS: Cell<u64> = const { Cell::new(0) };
}

/// Numbers that may stand open before those that nobody holds any more are looked for.
#[cfg(any(feature = "cuda", test))]
const MANY: usize = 1024;

/// How often this thread has waited for a device, or would have on one, for the sake of numbers.
#[must_use]
pub fn waits() -> u64 {
    WAITS.get()
}

/// Counts waits for what is read in another way.
pub(crate) fn waited(times: u64) {
    WAITS.set(WAITS.get() + times);
}

impl Scalar {
    /// A number that the processor has computed.
    pub(crate) fn host(value: f64) -> Self {
        Self(Place::Host(value, READINGS.get()))
    }

    /// The one element, of type `f64`, of a tensor on a device.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn device(tensor: Tensor) -> Self {
        let number = Rc::new(Number { tensor, read: Cell::new(None) });
        OPEN.with_borrow_mut(|open| {
            if open.len() >= MANY {
                open.retain(|number| number.strong_count() > 0);
            }
            open.push(Rc::downgrade(&number));
        });
        Self(Place::Device(number))
    }

    /// Where it lies, if on a device.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(&self) -> Option<&Tensor> {
        match &self.0 {
            Place::Host(..) => None,
            Place::Device(number) => Some(&number.tensor),
        }
    }

    /// Its value where nobody has to wait for it: it was read, or the processor has it.
    #[must_use]
    pub fn at_hand(&self) -> Option<f64> {
        match &self.0 {
            Place::Host(value, _) => Some(*value),
            Place::Device(number) => number.read.get(),
        }
    }

    /// Its value; waits for the device unless it was read already, and reads every number that stands open there.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read(&self) -> Result<f64> {
        let number = match &self.0 {
            Place::Host(value, before) => {
                if *before == READINGS.get() {
                    reading();
                }
                return Ok(*value);
            }
            Place::Device(number) => number,
        };
        if let Some(value) = number.read.get() {
            return Ok(value);
        }
        let mut open = vec![Rc::clone(number)];
        OPEN.with_borrow_mut(|all| {
            for other in std::mem::take(all).iter().filter_map(Weak::upgrade) {
                if !other.tensor.device().same_device(number.tensor.device()) {
                    all.push(Rc::downgrade(&other));
                } else if !Rc::ptr_eq(&other, number) && other.read.get().is_none() {
                    open.push(other);
                }
            }
        });
        reading();
        // Copies on the device, and one to the host.
        let tensors: Vec<&Tensor> = open.iter().map(|number| &number.tensor).collect();
        for (number, value) in open.iter().zip(Tensor::cat(&tensors, 0)?.to_vec1::<f64>()?) {
            number.read.set(Some(value));
        }
        // It was the first.
        Ok(number.read.get().unwrap_or(f64::NAN))
    }
}

/// Counts a reading of everything that stands open.
fn reading() {
    READINGS.set(READINGS.get() + 1);
    waited(1);
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn far(value: f64) -> Scalar {
        Scalar::device(Tensor::new(&[value], &Device::Cpu).unwrap())
    }

    #[test]
    fn who_reads_one_number_reads_all_that_stand_open() {
        for of in [Scalar::host, far] {
            let (a, b) = (of(1.5), of(-2.0));
            let before = waits();
            assert_eq!(a.read().unwrap(), 1.5);
            assert_eq!(b.read().unwrap(), -2.0);
            assert_eq!(a.clone().read().unwrap(), 1.5);
            assert_eq!(waits() - before, 1);
            let late = of(3.0);
            assert_eq!(late.read().unwrap(), 3.0);
            assert_eq!((late.read().unwrap(), waits() - before), (3.0, 2));
        }
    }

    #[test]
    fn a_look_at_what_the_processor_has_is_no_wait() {
        let before = waits();
        assert_eq!(Scalar::host(7.0).at_hand(), Some(7.0));
        let open = far(7.0);
        assert_eq!((open.at_hand(), waits()), (None, before));
        open.read().unwrap();
        assert_eq!(open.at_hand(), Some(7.0));
    }

    #[test]
    fn more_numbers_than_are_looked_through_keep_their_values() {
        let numbers: Vec<Scalar> = (0..2 * MANY).map(|i| far(i as f64)).collect();
        let before = waits();
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(number.read().unwrap(), i as f64);
        }
        assert_eq!(waits() - before, 1);
    }

    #[test]
    fn numbers_that_nobody_holds_are_not_kept() {
        for i in 0..10 * MANY {
            drop(far(i as f64));
        }
        OPEN.with_borrow(|open| assert!(open.len() <= MANY, "{}", open.len()));
    }
}
