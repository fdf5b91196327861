//! What is kept for backward: a value, or how to compute it again.
//!
//! A value may know its origin: the op that made it, and its inputs. Whoever saves such a value keeps its origin in
//! its place, so that the value itself is dropped as soon as forward has read it. Backward computes it again, by the
//! same kernel from the same numbers and therefore to the bit, when the first op that saved it is reached, and drops it
//! with the last. Inputs may have origins themselves; what they are computed from in the end was kept.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use crate::error::Result;
use crate::pass::Pass;
use crate::tape::Tape;
use crate::value::Value;

/// Which values are computed again in backward in place of being kept, beside those that every method spares: cheap
/// functions of spikes or of a parameter alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recompute {
    /// Places whose values are kept all the same.
    pub kept: BTreeSet<String>,
}

/// Multiply-accumulates of an op that has none: so few that a save is always worth less.
pub(crate) const CHEAP: u64 = 0;

/// How to compute a value again.
pub(crate) struct Origin {
    inputs: Vec<Saved>,
    again: Box<Again>,
    /// Multiply-accumulates of the op.
    macs: u64,
    /// Ops that saved the value and have not been walked back yet.
    readers: Cell<usize>,
    /// The value, from the first of its readers to the last.
    value: RefCell<Option<Saved>>,
}

type Again = dyn Fn(&Pass<'_>, &[Value]) -> Result<Value>;

impl Origin {
    pub(crate) fn new(
        inputs: &[&Value],
        macs: u64,
        again: impl Fn(&Pass<'_>, &[Value]) -> Result<Value> + 'static,
    ) -> Rc<Self> {
        Rc::new(Self {
            inputs: inputs.iter().map(|input| Saved::by(input, Reader::Origin)).collect(),
            again: Box::new(again),
            macs,
            readers: Cell::new(0),
            value: RefCell::new(None),
        })
    }

    /// Multiply-accumulates of computing it from what was kept.
    pub(crate) fn macs(&self) -> u64 {
        self.macs + self.inputs.iter().map(Saved::macs).sum::<u64>()
    }

    /// The value, computed at the first call and kept as long as it has readers.
    fn recall(&self, pass: &Pass<'_>) -> Result<Value> {
        if let Some(value) = &*self.value.borrow() {
            return value.get(pass);
        }
        let value = self.compute(pass)?;
        *self.value.borrow_mut() = Some(Saved::new(&value));
        Ok(value)
    }

    /// The value, kept only if it was already.
    fn compute(&self, pass: &Pass<'_>) -> Result<Value> {
        if let Some(value) = &*self.value.borrow() {
            return value.get(pass);
        }
        let off = Tape::off();
        let pass = pass.on(&off).rebuilding();
        let inputs = self.inputs.iter().map(|input| input.get(&pass)).collect::<Result<Vec<_>>>()?;
        (self.again)(&pass, &inputs)
    }

    fn enter(&self, reader: Reader) {
        self.readers.set(self.readers.get() + usize::from(reader == Reader::Op));
    }

    fn leave(&self, reader: Reader) {
        if reader == Reader::Op {
            self.readers.set(self.readers.get() - 1);
            if self.readers.get() == 0 {
                self.value.borrow_mut().take();
            }
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("inputs", &self.inputs)
            .field("macs", &self.macs)
            .finish_non_exhaustive()
    }
}

/// Who keeps a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// An op, for its backward.
    Op,
    /// An origin: it reads the value once each time that it computes, and holds on to nothing.
    Origin,
}

/// A value kept for backward, or its origin. While a value is kept its bytes are booked as saved.
#[derive(Debug)]
pub struct Saved {
    kept: Kept,
    reader: Reader,
}

#[derive(Debug)]
enum Kept {
    Value(Value),
    Origin(Rc<Origin>),
    /// A folded norm, and where what it normalises comes from.
    Norm(Value, Rc<Origin>),
}

impl Saved {
    /// Keeps a value for the backward of an op.
    #[must_use]
    pub fn new(value: &Value) -> Self {
        Self::by(value, Reader::Op)
    }

    fn by(value: &Value, reader: Reader) -> Self {
        let inner = || value.folded().and_then(|folded| folded.x.origin.clone());
        let kept = match &value.origin {
            Some(origin) => Kept::Origin(Rc::clone(origin)),
            None => match inner().zip(value.unfolded()) {
                Some((origin, norm)) => Kept::Norm(norm, origin),
                None => Kept::Value(value.detached()),
            },
        };
        match &kept {
            Kept::Value(value) => value.save(),
            Kept::Origin(origin) => origin.enter(reader),
            Kept::Norm(norm, origin) => {
                norm.save();
                origin.enter(reader);
            }
        }
        Self { kept, reader }
    }

    /// The value, computed again if it was not kept.
    ///
    /// # Errors
    /// When a kernel fails.
    pub fn get(&self, pass: &Pass<'_>) -> Result<Value> {
        let of = |origin: &Origin| match self.reader {
            Reader::Op => origin.recall(pass),
            Reader::Origin => origin.compute(pass),
        };
        match &self.kept {
            Kept::Value(value) => Ok(value.clone()),
            Kept::Origin(origin) => of(origin),
            Kept::Norm(norm, origin) => Ok(norm.refolded(of(origin)?)),
        }
    }

    fn macs(&self) -> u64 {
        match &self.kept {
            Kept::Value(_) => 0,
            Kept::Origin(origin) | Kept::Norm(_, origin) => origin.macs(),
        }
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        match &self.kept {
            Kept::Value(value) => value.unsave(),
            Kept::Origin(origin) => origin.leave(self.reader),
            Kept::Norm(norm, origin) => {
                norm.unsave();
                origin.leave(self.reader);
            }
        }
    }
}
