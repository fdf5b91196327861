//! A training method: what a contestant brings.

use std::fmt;
use std::rc::Rc;

use keys::Key;

use crate::error::{Error, Result};
use crate::loss::{Loss, Targets};
use crate::model::Network;
use crate::optim::Optimizer;
use crate::pass::{NormUpdates, Session, Tiles};
use crate::run::Run;
use crate::unroll::Statistics;
use crate::value::Value;

/// Why a method can't train a model; a cell of the table, not a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    reason: String,
}

impl Unsupported {
    /// A reason a reader understands without the code: "weights differ at every step, …".
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unsupported {}

/// A batch: images `[1, B, C, H, W]` (constant in time) or frames `[T, B, C, H, W]`, and a label each.
pub struct Batch {
    /// Booked as input.
    pub images: Value,
    /// What each sample should be called.
    pub labels: Targets,
}

/// What a training step or an evaluation found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Samples whose summed scores are largest at their class.
    pub correct: usize,
    /// Samples.
    pub samples: usize,
    /// Spikes fired, counted in evaluation.
    pub spikes: u64,
    /// Neurons times steps that could have fired, counted in evaluation; 0 where nothing spikes.
    pub neuron_steps: u64,
}

/// How a run is set up, whatever the method.
#[derive(Clone)]
pub struct RunSpec {
    /// T.
    pub steps: usize,
    /// The loss over time.
    pub loss: Loss,
    /// Randomness of the run (mask and time-step draws).
    pub key: Key,
    /// Whether a rebuilt forward moves the running statistics of norms once more.
    pub rebuilt_norms: NormUpdates,
    /// Tiles of outputs that input gradients of 3x3 convolutions are computed by.
    pub gradient_tiles: Tiles,
    /// Bytes that a step may hold in all, for methods that choose what they rebuild; the least possible if absent.
    pub memory_budget: Option<usize>,
}

impl RunSpec {
    /// A run whose rebuilt forwards move no statistics.
    #[must_use]
    pub fn new(steps: usize, loss: Loss, key: Key) -> Self {
        Self {
            steps,
            loss,
            key,
            rebuilt_norms: NormUpdates::Keep,
            gradient_tiles: Tiles::default(),
            memory_budget: None,
        }
    }
}

/// A method with its settings, ready to train.
pub trait Method {
    /// Steps it runs for a requested T. Only a method without time has a T of its own.
    fn steps(&self, requested: usize) -> usize {
        requested
    }

    /// Why this network can't be trained this way with this run's set-up.
    ///
    /// # Errors
    /// With the reason.
    fn supports(&self, network: &Network, run: &RunSpec) -> Result<(), Unsupported>;

    /// A trainer that owns the network.
    ///
    /// # Errors
    /// When the network is not supported or the device refuses.
    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>>;
}

/// Trains one network. All of [`Trainer::step`] is on the clock.
pub trait Trainer {
    /// One batch: forward, backward and update. May update once, or once a time step.
    ///
    /// # Errors
    /// When the loss is not finite or a kernel fails.
    fn step(&mut self, batch: &Batch, optimizer: &mut dyn Optimizer) -> Result<Outcome>;

    /// One batch in evaluation mode, tape off.
    ///
    /// # Errors
    /// When a kernel fails.
    fn evaluate(&mut self, batch: &Batch) -> Result<Outcome>;

    /// The network with its running statistics.
    fn run(&self) -> &Run;

    /// The same, to load weights into it.
    fn run_mut(&mut self) -> &mut Run;

    /// The network.
    fn network(&self) -> &Network {
        &self.run().network
    }

    /// The running statistics of its norms.
    fn statistics(&self) -> &Statistics {
        &self.run().statistics
    }

    /// Its session, whose ledger knows who holds what.
    fn session(&self) -> &Rc<Session> {
        self.network().params.session()
    }
}

/// A line of the method table.
pub struct MethodEntry {
    /// Its id.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What golden cases, made with the authors' code, call it.
    pub official: &'static [Official],
    /// Reads its settings: `key = value` pairs of the recipe's `[method]` section.
    pub build: fn(&Settings) -> Result<Box<dyn Method>>,
}

/// A method as golden cases know it.
#[derive(Clone, Copy, Debug)]
pub struct Official {
    /// Their name of it.
    pub name: &'static str,
    /// Settings, all of them named choices, with which this project's method does what the authors' code does.
    pub settings: &'static [(&'static str, &'static str)],
}

impl Official {
    /// A method that does what the authors' code does as it is.
    #[must_use]
    pub const fn plain(name: &'static str) -> Self {
        Self { name, settings: &[] }
    }
}

/// A method's settings, in the order of the recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pairs: Vec<(String, Setting)>,
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// Yes or no.
    Flag(bool),
    /// A named choice.
    Text(String),
    /// Several whole numbers.
    Integers(Vec<i64>),
    /// Several names.
    Texts(Vec<String>),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Integers(numbers) => write!(f, "{numbers:?}"),
            Self::Texts(texts) => write!(f, "{texts:?}"),
        }
    }
}

impl Settings {
    /// Settings from pairs.
    pub fn new(pairs: impl IntoIterator<Item = (String, Setting)>) -> Self {
        Self { pairs: pairs.into_iter().collect() }
    }

    /// The pairs.
    #[must_use]
    pub fn pairs(&self) -> &[(String, Setting)] {
        &self.pairs
    }

    /// Refuses every key that is not in `known`.
    ///
    /// # Errors
    /// Names the key and lists the known ones.
    pub fn only(&self, method: &str, known: &[&str]) -> Result<()> {
        match self.pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(Error::setting(
                format!("settings of method {method}"),
                if known.is_empty() { "empty".to_string() } else { format!("one of {}", known.join(", ")) },
                key,
            )),
        }
    }

    /// A flag, or `default` when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.find(key) {
            None => Ok(default),
            Some(Setting::Flag(flag)) => Ok(*flag),
            Some(other) => Err(Error::setting(format!("method.{key}"), "true or false", other)),
        }
    }

    /// A count of at least 1, or `None` when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.find(key) {
            None => Ok(None),
            Some(Setting::Integer(n)) if *n >= 1 => Ok(Some(*n as usize)),
            Some(other) => {
                Err(Error::setting(format!("method.{key}"), "a whole number of at least 1", other))
            }
        }
    }

    /// One of several named choices, or `None` when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let rule = || choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
        match self.find(key) {
            None => Ok(None),
            Some(Setting::Text(text)) => match choices.iter().find(|(name, _)| name == text) {
                Some((_, choice)) => Ok(Some(*choice)),
                None => Err(Error::setting(format!("method.{key}"), rule(), text)),
            },
            Some(other) => Err(Error::setting(format!("method.{key}"), rule(), other)),
        }
    }

    /// Several names; none when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn texts(&self, key: &str) -> Result<Vec<String>> {
        match self.find(key) {
            None => Ok(Vec::new()),
            Some(Setting::Texts(texts)) => Ok(texts.clone()),
            Some(other) => Err(Error::setting(format!("method.{key}"), "a list of names", other)),
        }
    }

    /// Several counts from 0, or `None` when absent.
    ///
    /// # Errors
    /// When it is something else.
    pub fn indices(&self, key: &str) -> Result<Option<Vec<usize>>> {
        let rule = "a list of whole numbers of at least 0";
        match self.find(key) {
            None => Ok(None),
            Some(Setting::Integers(numbers)) => {
                let all = numbers.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<_>>();
                all.map(Some)
                    .ok_or_else(|| Error::setting(format!("method.{key}"), rule, format!("{numbers:?}")))
            }
            Some(other) => Err(Error::setting(format!("method.{key}"), rule, other)),
        }
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}
