//! Parameters in the order they were declared, with their gradient accumulators.

use std::cell::Cell;
use std::rc::Rc;

use candle_core::Tensor;
use keys::Key;

use crate::error::{Error, Result};
use crate::ledger::Category;
use crate::pass::Session;
use crate::tape::Slot;
use crate::value::Value;

/// The place of a parameter in its [`Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(usize);

impl ParamId {
    /// Its index in declaration order.
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a parameter is for, so that an optimiser or a count can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Weight of a convolution or a linear map.
    Weight,
    /// Bias.
    Bias,
    /// Scale or shift of a norm.
    Norm,
    /// Gain of standardised weights, skip gains, and other scalars a channel.
    Gain,
    /// The invertible shortcut of a temporally reversible level.
    Skip,
    /// Declared by the authors' code and read by nothing: it stands so that their weights load.
    Unread,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every element the same.
    Constant(f64),
    /// Normal with standard deviation `sqrt(2 / fan_out)`.
    KaimingNormalFanOut,
    /// Uniform on `+-sqrt(3 / fan_in)`: variance `1 / fan_in`.
    LecunUniform,
    /// Uniform on `+-1 / sqrt(fan_in)`: what PyTorch gives convolutions and linear maps.
    TorchUniform,
    /// Uniform on `+-bound`.
    Uniform(f64),
    /// Normal with the given standard deviation.
    Normal(f64),
    /// Normal with the given standard deviation, redrawn outside two of them.
    TruncatedNormal(f64),
}

/// A named parameter and its gradient.
#[derive(Debug)]
pub struct Param {
    name: String,
    kind: ParamKind,
    /// Dropped from the network once it is trained: auxiliary heads, layers that merge into others.
    training_only: bool,
    /// How it started.
    init: Init,
    value: Value,
    gradient: Value,
    fresh: Cell<bool>,
}

impl Param {
    /// Its dotted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> ParamKind {
        self.kind
    }

    /// Whether it is dropped from the network once it is trained.
    #[must_use]
    pub fn is_training_only(&self) -> bool {
        self.training_only
    }

    /// How it started.
    #[must_use]
    pub fn init(&self) -> Init {
        self.init
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its gradient, if any flowed since the last [`Params::clear_gradients`].
    #[must_use]
    pub fn gradient(&self) -> Option<&Value> {
        (!self.fresh.get()).then_some(&self.gradient)
    }
}

/// The parameters of a network, in declaration order.
#[derive(Debug)]
pub struct Params {
    session: Rc<Session>,
    key: Key,
    entries: Vec<Param>,
    /// Further names of parameters that several places share.
    aliases: Vec<(String, ParamId)>,
}

impl Params {
    /// No parameters yet; `key` seeds their initial values, each by its own name.
    #[must_use]
    pub fn new(session: Rc<Session>, key: Key) -> Self {
        Self { session, key, entries: Vec::new(), aliases: Vec::new() }
    }

    /// The same parameters in a plan.
    pub(crate) fn planned(&self, session: Rc<Session>) -> Self {
        let ledger = session.ledger();
        let planned =
            |category, shape: &[usize]| Value::dense_of(ledger, category, shape, session.real(), None);
        let twin = |param: &Param| Param {
            name: param.name.clone(),
            value: planned(Category::Parameters, param.shape()),
            gradient: planned(Category::Gradients, param.shape()),
            fresh: Cell::new(true),
            ..*param
        };
        let entries = self.entries.iter().map(twin).collect();
        Self { key: self.key, entries, aliases: self.aliases.clone(), session }
    }

    /// Where they live.
    #[must_use]
    pub fn session(&self) -> &Rc<Session> {
        &self.session
    }

    /// Declares a parameter of shape `[out, in, ...]` (weights) or `[channels]`.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn declare(&mut self, name: &str, kind: ParamKind, shape: &[usize], init: Init) -> Result<ParamId> {
        self.check_name(name)?;
        let session = Rc::clone(&self.session);
        let value = session.dense(Category::Parameters, shape, || {
            let numbers = draw(self.key.fork(name), shape, init);
            Ok(Tensor::from_vec(numbers, shape, session.device())?.to_dtype(session.real())?)
        })?;
        let gradient = session.zeros(Category::Gradients, shape)?;
        let id = ParamId(self.entries.len());
        self.entries.push(Param {
            name: name.to_string(),
            kind,
            training_only: false,
            init,
            value,
            gradient,
            fresh: Cell::new(true),
        });
        Ok(id)
    }

    /// Gives a parameter that several places share one more name.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn alias(&mut self, name: &str, id: ParamId) -> Result<()> {
        self.check_name(name)?;
        self.aliases.push((name.to_string(), id));
        Ok(())
    }

    /// Marks all parameters whose names start with `prefix` as dropped once the network is trained.
    pub fn mark_training_only(&mut self, prefix: &str) {
        for param in self.entries.iter_mut().filter(|param| param.name.starts_with(prefix)) {
            param.training_only = true;
        }
    }

    fn check_name(&self, name: &str) -> Result<()> {
        let taken = self.entries.iter().any(|param| param.name == name)
            || self.aliases.iter().any(|(alias, _)| alias == name);
        if taken { Err(Error::setting("parameter name", "unique in its network", name)) } else { Ok(()) }
    }

    /// The parameters in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Param> {
        self.entries.iter()
    }

    /// One parameter.
    #[must_use]
    pub fn get(&self, id: ParamId) -> &Param {
        &self.entries[id.0]
    }

    /// A parameter by any of its names.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.entries.iter().find(|param| param.name == name).or_else(|| {
            let (_, id) = self.aliases.iter().find(|(alias, _)| alias == name)?;
            self.entries.get(id.0)
        })
    }

    /// Further names of shared parameters, each with the parameter's own name.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, id)| (alias.as_str(), self.entries[id.0].name()))
    }

    /// Number of scalars.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.iter().map(|param| param.value.len()).sum()
    }

    /// Number of scalars that are left once the network is trained.
    #[must_use]
    pub fn count_in_use(&self) -> usize {
        let kept = self.entries.iter().filter(|param| !param.training_only);
        kept.map(|param| param.value.len()).sum()
    }

    /// Overwrites a parameter where it lies.
    ///
    /// # Errors
    /// When there is no such parameter or the shape differs.
    pub fn assign(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let Some(param) = self.find(name) else {
            return Err(Error::setting("parameter name", "one of this network's", name));
        };
        if tensor.dims() != param.shape() {
            return Err(Error::shape(name, format!("{:?}", param.shape()), tensor.dims()));
        }
        let tensor = tensor.to_dtype(self.session.real())?.to_device(self.session.device())?.contiguous()?;
        Ok(kernels::elementwise::copy(param.value.tensor()?, &tensor)?)
    }

    /// Starts a new sum of gradients.
    pub fn clear_gradients(&self) {
        for param in &self.entries {
            param.fresh.set(true);
        }
    }

    /// The numbers that a parameter starts from, in a plan too.
    pub(crate) fn start(&self, id: ParamId) -> Vec<f64> {
        let param = &self.entries[id.0];
        draw(self.key.fork(&param.name), param.shape(), param.init)
    }

    pub(crate) fn leaf(&self, id: ParamId) -> Value {
        let mut leaf = self.entries[id.0].value.detached();
        leaf.slot = Some(Slot::Parameter(id));
        leaf
    }

    /// The accumulator of a parameter and whether to add to it (else overwrite); `None` in a plan.
    pub(crate) fn accumulator(&self, id: ParamId) -> Result<Option<(&Tensor, bool)>> {
        let param = &self.entries[id.0];
        let add = !param.fresh.replace(false);
        if self.session.is_planned() {
            return Ok(None);
        }
        Ok(Some((param.gradient.tensor()?, add)))
    }

    pub(crate) fn add_gradient(&self, id: ParamId, gradient: &Value) -> Result<()> {
        if let Some((into, add)) = self.accumulator(id)? {
            if add {
                kernels::elementwise::add_assign(into, gradient.tensor()?, 1.0)?;
            } else {
                kernels::elementwise::copy(into, gradient.tensor()?)?;
            }
        }
        Ok(())
    }
}

fn draw(key: Key, shape: &[usize], init: Init) -> Vec<f64> {
    let mut stream = key.stream();
    let receptive: usize = shape.iter().skip(2).product();
    let fan_in = (shape.get(1).copied().unwrap_or(1) * receptive) as f64;
    let fan_out = (shape.first().copied().unwrap_or(1) * receptive) as f64;
    let count = shape.iter().product();
    let mut next: Box<dyn FnMut() -> f64> = match init {
        Init::Constant(value) => Box::new(move || value),
        Init::KaimingNormalFanOut => Box::new(move || (2.0 / fan_out).sqrt() * stream.normal()),
        Init::LecunUniform => Box::new(move || (3.0 / fan_in).sqrt() * (2.0 * stream.uniform() - 1.0)),
        Init::TorchUniform => Box::new(move || (2.0 * stream.uniform() - 1.0) / fan_in.sqrt()),
        Init::Uniform(bound) => Box::new(move || bound * (2.0 * stream.uniform() - 1.0)),
        Init::Normal(deviation) => Box::new(move || deviation * stream.normal()),
        Init::TruncatedNormal(deviation) => Box::new(move || {
            loop {
                let draw = stream.normal();
                if draw.abs() <= 2.0 {
                    return deviation * draw;
                }
            }
        }),
    };
    (0..count).map(|_| next()).collect()
}
