//! What one run through a network needs to know.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use kernels::bits::Bits;
use kernels::{conv, held};
use keys::Key;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::ledger::{Category, Ledger};
use crate::loss::LossScale;
use crate::operations::Tally;
use crate::param::Params;
use crate::region::{Regions, StreamRange};
use crate::saved::{CHEAP, Origin};
use crate::tape::Tape;
use crate::value::{Folded, Value};

/// Training or evaluation: which statistics norms use, and whether dropout is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch.
    Train,
    /// Running statistics.
    Eval,
}

/// Whether norms move their running statistics. A rebuilt forward should not move them twice; the released codes of
/// the reversible methods do, and a recipe may say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormUpdates {
    /// Move them.
    Move,
    /// Leave them.
    Keep,
}

/// Tiles of outputs that input gradients of 3x3 convolutions of stride 1 are computed by on a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tiles {
    /// 2 x 2, with the rounding errors of a matrix product.
    #[default]
    Two,
    /// 4 x 4 where that takes fewer products, with larger errors.
    Four,
}

/// What a session's journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Nothing,
    Updates,
    All,
}

/// Where and how values are made: device, dtype, and whether there are numbers at all.
#[derive(Debug)]
pub struct Session {
    device: Device,
    dtype: DType,
    planned: bool,
    ledger: Rc<Ledger>,
    tapes: Cell<u64>,
    journal: RefCell<Option<Journal>>,
    watching: Cell<Watch>,
    spared: RefCell<BTreeMap<String, Spared>>,
    loss_scale: LossScale,
    /// Checks of streams whose numbers were not at hand.
    ranges: RefCell<Vec<StreamRange>>,
    pub(crate) tally: RefCell<Option<Tally>>,
}

/// Values of one place that are computed again in place of being kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// Bytes of all of them.
    pub bytes: usize,
    /// Multiply-accumulates of computing each of them once from what is kept.
    pub macs: u64,
}

impl Session {
    /// A session that computes.
    #[must_use]
    pub fn new(device: Device, dtype: DType) -> Self {
        Self {
            device,
            dtype,
            planned: false,
            ledger: Rc::default(),
            tapes: Cell::new(0),
            journal: RefCell::default(),
            watching: Cell::new(Watch::Nothing),
            spared: RefCell::default(),
            loss_scale: LossScale::of(dtype),
            ranges: RefCell::default(),
            tally: RefCell::default(),
        }
    }

    /// A session that only plans: shapes, bytes and counts, no numbers.
    #[must_use]
    pub fn plan(dtype: DType) -> Self {
        Self { planned: true, ..Self::new(Device::Cpu, dtype) }
    }

    /// Where tensors live.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The run's number type: `f32`, a half, or `f64` for exact comparisons. What lies in memory between ops has it.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The type of what is summed up: parameters, their gradients, statistics, membranes, reversible streams. `f32` where
    /// the run's is a half, else the run's own.
    #[must_use]
    pub fn real(&self) -> DType {
        held::real(self.dtype)
    }

    /// The type of values of a category, where nothing else is said.
    fn dtype_of(&self, category: Category) -> DType {
        match category {
            Category::Parameters
            | Category::Gradients
            | Category::Optimiser
            | Category::Average
            | Category::State => self.real(),
            _ => self.dtype,
        }
    }

    /// Whether this is a plan.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.planned
    }

    /// Who holds how many bytes.
    #[must_use]
    pub fn ledger(&self) -> &Rc<Ledger> {
        &self.ledger
    }

    /// What the loss is multiplied with.
    #[must_use]
    pub fn loss_scale(&self) -> &LossScale {
        &self.loss_scale
    }

    /// Puts a check off until the step's numbers are read.
    pub(crate) fn put_off(&self, range: StreamRange) {
        self.ranges.borrow_mut().push(range);
    }

    /// Makes up for every check that was put off, in their order.
    ///
    /// # Errors
    /// When a stream has left its range.
    pub(crate) fn make_up(&self) -> Result<()> {
        self.ranges.take().into_iter().try_for_each(StreamRange::check)
    }

    /// What a plan has spared since the last call, by the place that made it.
    pub fn take_spared(&self) -> BTreeMap<String, Spared> {
        self.spared.take()
    }

    /// Only a plan asks what was spared.
    fn note_spared(&self, place: &str, bytes: usize, macs: u64) {
        if !self.planned {
            return;
        }
        let mut spared = self.spared.borrow_mut();
        let entry = match spared.get_mut(place) {
            Some(entry) => entry,
            None => spared.entry(place.to_string()).or_default(),
        };
        entry.bytes += bytes;
        entry.macs += macs;
    }

    /// Begins a journal, or begins it anew.
    pub fn watch(&self) {
        self.begin_journal(Watch::All);
    }

    /// Begins a journal of the updates inside a step and of nothing else, so that no activation is copied.
    pub fn watch_updates(&self) {
        self.begin_journal(Watch::Updates);
    }

    fn begin_journal(&self, watch: Watch) {
        self.watching.set(watch);
        *self.journal.borrow_mut() = Some(Journal::default());
    }

    /// Whether a journal of everything is kept.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watching.get() == Watch::All
    }

    /// Whether a journal is kept that holds the updates inside a step.
    #[must_use]
    pub fn notes_updates(&self) -> bool {
        self.watching.get() != Watch::Nothing
    }

    /// Ends the journal and gives it out.
    pub fn take_journal(&self) -> Option<Journal> {
        self.watching.set(Watch::Nothing);
        self.journal.borrow_mut().take()
    }

    /// Writes into the journal, if everything is watched.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Journal) -> Result<()>) -> Result<()> {
        match &mut *self.journal.borrow_mut() {
            Some(journal) if self.is_watched() => write(journal),
            _ => Ok(()),
        }
    }

    /// Writes a presynaptic trace into the journal, if one is kept.
    ///
    /// # Errors
    /// In a plan that is watched.
    pub fn note_trace(&self, site: &str, trace: &Value) -> Result<()> {
        self.note(|journal| {
            journal.traces.insert(site.to_string(), trace.tensor()?.copy()?);
            Ok(())
        })
    }

    /// Writes an update inside a step into the journal, if one is kept.
    ///
    /// # Errors
    /// In a plan that is watched.
    pub fn note_update(&self, gradients: Vec<(String, Tensor)>, params: &Params) -> Result<()> {
        match &mut *self.journal.borrow_mut() {
            Some(journal) => journal.add_update(gradients, params),
            None => Ok(()),
        }
    }

    /// A fresh recording tape.
    #[must_use]
    pub fn tape(&self) -> Tape {
        let id = self.tapes.get() + 1;
        self.tapes.set(id);
        Tape::recording(id)
    }

    /// A dense value in its category's type; `make` is not called in a plan.
    pub(crate) fn dense(
        &self,
        category: Category,
        shape: &[usize],
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Value> {
        self.dense_in(self.dtype_of(category), category, shape, make)
    }

    /// A dense value in a type of its own.
    pub(crate) fn dense_in(
        &self,
        dtype: DType,
        category: Category,
        shape: &[usize],
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Value> {
        let tensor = if self.planned { None } else { Some(make()?.reshape(shape)?) };
        if let Some(tensor) = tensor.as_ref().filter(|tensor| tensor.dtype() != dtype) {
            let (category, got) = (category.id(), tensor.dtype());
            return Err(Error::Misuse(format!(
                "a value of {category} should be {dtype:?}, a kernel gave {got:?}"
            )));
        }
        let value = Value::dense_of(&self.ledger, category, shape, dtype, tensor);
        if category == Category::Passing {
            self.made_value(&value);
        }
        Ok(value)
    }

    /// Spikes; `make` is not called in a plan.
    pub(crate) fn spikes(&self, shape: &[usize], make: impl FnOnce() -> Result<Bits>) -> Result<Value> {
        let bits = if self.planned { None } else { Some(make()?) };
        let value = Value::spikes_of(&self.ledger, shape, self.dtype, bits);
        self.made_value(&value);
        Ok(value)
    }

    /// `factor * spikes`, which their reader multiplies.
    pub(crate) fn scaled(&self, spikes: Value, factor: f64) -> Value {
        let value = Value::scaled_of(&self.ledger, spikes, factor);
        self.made_value(&value);
        value
    }

    /// A norm that whoever reads it computes.
    pub(crate) fn folded(&self, folded: Folded) -> Value {
        let value = Value::folded_of(&self.ledger, folded);
        self.made_value(&value);
        value
    }

    /// A batch `[1 or T, B, C, H, W]` from host memory, booked as input.
    ///
    /// # Errors
    /// When the numbers do not fill the shape.
    pub fn input(&self, shape: &[usize], numbers: Vec<f32>) -> Result<Value> {
        self.dense(Category::Input, shape, || {
            let host = Tensor::from_vec(numbers, shape, &Device::Cpu)?;
            Ok(host.to_dtype(self.dtype)?.to_device(&self.device)?)
        })
    }

    /// A constant from a tensor, in its category's type.
    ///
    /// # Errors
    /// When the tensor does not have the shape.
    pub fn constant(&self, category: Category, shape: &[usize], tensor: &Tensor) -> Result<Value> {
        self.dense(category, shape, || {
            // A copy: an op may overwrite what it holds alone.
            Ok(tensor.to_dtype(self.dtype_of(category))?.to_device(&self.device)?.copy()?)
        })
    }

    /// Zeros of a shape.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn zeros(&self, category: Category, shape: &[usize]) -> Result<Value> {
        self.zeros_in(self.dtype_of(category), category, shape)
    }

    /// Zeros of a shape in a type of their own.
    pub(crate) fn zeros_in(&self, dtype: DType, category: Category, shape: &[usize]) -> Result<Value> {
        self.dense_in(dtype, category, shape, || Ok(Tensor::zeros(shape, dtype, &self.device)?))
    }
}

/// One run through a network: where, with which parameters, on which tape, at which step.
#[derive(Clone)]
pub struct Pass<'a> {
    session: &'a Session,
    params: &'a Params,
    tape: &'a Tape,
    mode: Mode,
    rebuilt_norms: NormUpdates,
    gradient_tiles: Tiles,
    rebuilding: bool,
    regions: Option<&'a Regions>,
    steps: usize,
    step: Option<usize>,
    key: Key,
}

impl<'a> Pass<'a> {
    /// A pass over `steps` time steps, all at once.
    #[must_use]
    pub fn new(
        session: &'a Session,
        params: &'a Params,
        tape: &'a Tape,
        mode: Mode,
        steps: usize,
        key: Key,
    ) -> Self {
        Self {
            session,
            params,
            tape,
            mode,
            rebuilt_norms: NormUpdates::Keep,
            gradient_tiles: Tiles::default(),
            rebuilding: false,
            regions: None,
            steps,
            step: None,
            key,
        }
    }

    /// The same pass on another tape.
    #[must_use]
    pub fn on<'b>(&self, tape: &'b Tape) -> Pass<'b>
    where
        'a: 'b,
    {
        Pass { tape, ..self.clone() }
    }

    /// The same pass at one step, counted from 0.
    #[must_use]
    pub fn at(&self, step: usize) -> Self {
        Self { step: Some(step), ..self.clone() }
    }

    /// The same pass at a step, or over all of them.
    pub(crate) fn at_any(&self, step: Option<usize>) -> Self {
        Self { step, ..self.clone() }
    }

    /// The same pass with this rule for the running statistics of norms in rebuilt forwards.
    #[must_use]
    pub fn with_rebuilt_norms(&self, rule: NormUpdates) -> Self {
        Self { rebuilt_norms: rule, ..self.clone() }
    }

    /// The same pass with these tiles for the input gradients of 3x3 convolutions.
    #[must_use]
    pub fn with_gradient_tiles(&self, tiles: Tiles) -> Self {
        Self { gradient_tiles: tiles, ..self.clone() }
    }

    pub(crate) fn gradient_tiles(&self) -> conv::Tiles {
        match self.gradient_tiles {
            Tiles::Two => conv::Tiles::Two,
            Tiles::Four => conv::Tiles::Four,
        }
    }

    /// The same pass with these parts rebuilt in backward in place of being kept.
    #[must_use]
    pub fn with_regions(&self, regions: &'a Regions) -> Self {
        Self { regions: Some(regions), ..self.clone() }
    }

    /// What is rebuilt in backward; `None` where the method does not say.
    #[must_use]
    pub fn regions(&self) -> Option<&'a Regions> {
        self.regions
    }

    /// The same pass as a rebuilt forward: norms keep their running statistics where they are, unless the run's rule
    /// says that they move again.
    #[must_use]
    pub fn rebuilding(&self) -> Self {
        Self { rebuilding: true, ..self.clone() }
    }

    /// Whether this is a rebuilt forward.
    #[must_use]
    pub fn is_rebuilding(&self) -> bool {
        self.rebuilding
    }

    /// The same pass as a rebuilt forward that leaves every running statistic where it is, whatever the run's rule says.
    #[must_use]
    pub fn unmoved(&self) -> Self {
        Self { rebuilding: true, rebuilt_norms: NormUpdates::Keep, ..self.clone() }
    }

    /// Where values are made.
    #[must_use]
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// The network's parameters.
    #[must_use]
    pub fn params(&self) -> &'a Params {
        self.params
    }

    /// The tape that ops record on.
    #[must_use]
    pub fn tape(&self) -> &'a Tape {
        self.tape
    }

    /// Training or evaluation.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether norms move their running statistics.
    #[must_use]
    pub fn norm_updates(&self) -> NormUpdates {
        if self.rebuilding { self.rebuilt_norms } else { NormUpdates::Move }
    }

    /// T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The step this pass is at, from 0; `None` when it covers all T at once.
    #[must_use]
    pub fn step(&self) -> Option<usize> {
        self.step
    }

    /// Randomness of this iteration, the same at every step.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// A parameter as a value whose gradient goes to its accumulator.
    #[must_use]
    pub fn param(&self, id: crate::param::ParamId) -> Value {
        self.params.leaf(id)
    }

    /// `y`, made by an op of `macs` multiply-accumulates at a place, with how to make it again from the op's inputs:
    /// whoever saves it keeps those instead. Always so where that is cheap and comes from spikes or from a parameter; else where the method
    /// asked for it. `again` is given a pass with the tape off.
    pub(crate) fn made(
        &self,
        (place, macs): (&str, u64),
        y: Value,
        inputs: &[&Value],
        again: impl Fn(&Pass<'_>, &[Value]) -> Result<Value> + 'static,
    ) -> Value {
        let spare = match self.regions.and_then(|regions| regions.recompute.as_ref()) {
            _ if !self.tape.is_recording() => false,
            Some(recompute) => !recompute.kept.contains(place),
            None if macs > CHEAP => false,
            None => match inputs {
                [one] => {
                    one.is_there_anyway() || one.origin.as_ref().is_some_and(|origin| origin.macs() == CHEAP)
                }
                all => all.iter().all(|input| input.is_there_anyway()),
            },
        };
        if !spare {
            return y;
        }
        let origin = Origin::new(inputs, macs, again);
        self.session.note_spared(place, y.bytes(), origin.macs());
        let mut y = y;
        y.origin = Some(origin);
        y
    }

    /// A value on its way to the next op.
    pub(crate) fn passing(&self, shape: &[usize], make: impl FnOnce() -> Result<Tensor>) -> Result<Value> {
        self.session.dense(Category::Passing, shape, make)
    }

    /// The same in a type of its own.
    pub(crate) fn passing_in(
        &self,
        dtype: DType,
        shape: &[usize],
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Value> {
        self.session.dense_in(dtype, Category::Passing, shape, make)
    }

    /// A gradient of an activation.
    pub(crate) fn gradient(&self, shape: &[usize], make: impl FnOnce() -> Result<Tensor>) -> Result<Value> {
        self.session.dense(Category::ActivationGradients, shape, make)
    }

    /// The same in a type of its own: that of the value whose gradient it is.
    pub(crate) fn gradient_in(
        &self,
        dtype: DType,
        shape: &[usize],
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Value> {
        self.session.dense_in(dtype, Category::ActivationGradients, shape, make)
    }
}
