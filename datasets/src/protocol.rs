//! How images become a batch: the choices that a recipe states.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Card, DataError, Mirror, Split,
    augment::mix::Mix,
    events::EVENT_PROTOCOLS,
    hex::hex,
    pipeline::{Crop, PIPELINES, Pipeline},
};

/// The data section of a recipe.
///
/// Either `normalise`, `flip` and `shift` stand there, or `protocol`, the name of a pipeline that decides them and more.
/// There is no default: each choice moves accuracy, so each is written down. The limits, `swap-labels` and `mix` alone may be
/// left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Section", into = "Section")]
pub struct Protocol {
    /// Whether pixels in `[0, 1]` are shifted and scaled by the card's mean and standard deviation.
    pub normalise: bool,
    /// Whether training images are mirrored left to right with probability one half.
    pub flip: bool,
    /// Pixels of black (byte 0, before normalising) put around training images before a random crop of the old size;
    /// 0 leaves them in place.
    pub shift: usize,
    /// Train on the first so many samples, balanced over the classes.
    pub train_limit: Option<usize>,
    /// Test on the first so many samples, balanced over the classes.
    pub test_limit: Option<usize>,
    /// The named pipeline that decides all but the limits.
    pub named: Option<Named>,
    /// The named protocol of event frames that decides all but the limits; images can't follow one.
    pub events: Option<EventName>,
    /// Whether a mirrored image takes the label of its class's mirror image, on sets that have left and right classes.
    pub swap_labels: bool,
    /// Mixing within a training batch; a pipeline that mixes has its own.
    pub mix: Option<Mix>,
}

/// A named pipeline in a protocol; two are equal where name and version are.
#[derive(Clone, Copy, Debug)]
pub struct Named(pub &'static Pipeline);

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        (self.0.id, self.0.version) == (other.0.id, other.0.version)
    }
}

impl Eq for Named {}

/// The name of one of [`EVENT_PROTOCOLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventName(pub &'static str);

/// A protocol as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalise: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flip: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shift: Option<usize>,
    #[serde(default, rename = "swap-labels", skip_serializing_if = "std::ops::Not::not")]
    swap_labels: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    train_limit: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_limit: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mix: Option<Mix>,
}

impl TryFrom<Section> for Protocol {
    type Error = String;

    fn try_from(section: Section) -> Result<Self, String> {
        let Section { protocol, normalise, flip, shift, swap_labels, train_limit, test_limit, mix } = section;
        let own = match protocol {
            None => {
                let missing =
                    |field: &str| format!("missing field `{field}` (or `protocol`, the name of a pipeline)");
                Self {
                    normalise: normalise.ok_or_else(|| missing("normalise"))?,
                    flip: flip.ok_or_else(|| missing("flip"))?,
                    shift: shift.ok_or_else(|| missing("shift"))?,
                    ..Self::PLAIN
                }
            }
            Some(name) => {
                if normalise.is_some() || flip.is_some() || shift.is_some() {
                    return Err(format!(
                        "`protocol = \"{name}\"` decides normalise, flip and shift: leave them out"
                    ));
                }
                let events = EVENT_PROTOCOLS.iter().find(|own| **own == name);
                match (Pipeline::find(&name), events) {
                    (Some(pipeline), _) => Self::of(pipeline),
                    (None, Some(events)) => Self { events: Some(EventName(events)), ..Self::PLAIN },
                    (None, None) => {
                        let pipelines = PIPELINES.iter().map(Pipeline::name);
                        let events = EVENT_PROTOCOLS.iter().map(|&name| name.to_owned());
                        let known = pipelines.chain(events).collect::<Vec<_>>().join(", ");
                        return Err(format!("no protocol is named {name}; there are {known}"));
                    }
                }
            }
        };
        if let Some(mix) = &mix {
            mix.check()?;
            if let Some(Named(pipeline)) = own.named.filter(|Named(pipeline)| pipeline.mix.is_some()) {
                return Err(format!(
                    "`protocol = \"{}\"` decides how batches are mixed: leave mix out",
                    pipeline.id
                ));
            }
        }
        Ok(Self { swap_labels, train_limit, test_limit, mix, ..own })
    }
}

impl From<Protocol> for Section {
    fn from(protocol: Protocol) -> Self {
        let Protocol { normalise, flip, shift, train_limit, test_limit, named, events, swap_labels, mix } =
            protocol;
        let plain = named.is_none() && events.is_none();
        Self {
            protocol: named.map(|named| named.0.name()).or_else(|| events.map(|events| events.0.to_owned())),
            normalise: plain.then_some(normalise),
            flip: plain.then_some(flip),
            shift: plain.then_some(shift),
            swap_labels,
            train_limit,
            test_limit,
            mix,
        }
    }
}

impl Protocol {
    /// Images as the files have them, in `[0, 1]`.
    pub const PLAIN: Self = Self {
        normalise: false,
        flip: false,
        shift: 0,
        train_limit: None,
        test_limit: None,
        named: None,
        events: None,
        swap_labels: false,
        mix: None,
    };

    /// The protocol of a named pipeline, without limits.
    #[must_use]
    pub const fn of(pipeline: &'static Pipeline) -> Self {
        let shift = match pipeline.crop {
            Crop::Pad(shift) => shift,
            Crop::Whole | Crop::Resized { .. } => 0,
        };
        Self { normalise: true, flip: pipeline.flip, shift, named: Some(Named(pipeline)), ..Self::PLAIN }
    }

    /// What records call it: a pipeline's name and version, or the three choices.
    #[must_use]
    pub fn id(&self) -> String {
        let swap = if self.swap_labels { "+swap-labels" } else { "" };
        let mix = self.mix.as_ref().map(Mix::suffix).unwrap_or_default();
        match self.named {
            Some(Named(pipeline)) => pipeline.name() + swap + &mix,
            None => {
                let (normalise, flip) =
                    (if self.normalise { "normalise" } else { "raw" }, if self.flip { "+flip" } else { "" });
                format!("{normalise}{flip}+shift{}{swap}{mix}@1", self.shift)
            }
        }
    }

    /// How the batches of a training split are mixed: by the protocol's own choice, or by its pipeline's.
    #[must_use]
    pub fn mixing(&self) -> Option<Mix> {
        self.mix.or(self.named.and_then(|Named(pipeline)| pipeline.mix))
    }

    /// Name and hash of a protocol of event frames, as this section follows it: with its mixing.
    #[must_use]
    pub fn of_frames(&self, name: &str, hash: &str) -> [String; 2] {
        match &self.mix {
            None => [name.to_owned(), hash.to_owned()],
            Some(mix) => {
                [name.to_owned() + &mix.suffix(), hex(&Sha256::digest(format!("{hash} {}", json(mix))))]
            }
        }
    }

    /// SHA-256 in hex over every choice, limits included, and the card's statistics where they are used.
    #[must_use]
    pub fn hash(&self, card: &Card) -> String {
        let choices = match self.named {
            Some(Named(pipeline)) => pipeline.hash(),
            None if self.normalise => format!("{:?} {:?}", card.mean, card.std),
            None => String::new(),
        };
        let mix = self.mix.as_ref().map(|mix| format!(" {}", json(mix))).unwrap_or_default();
        let limits = format!("{:?} {:?}", self.train_limit, self.test_limit);
        hex(&Sha256::digest(format!("{} {choices} {limits}{mix}", self.id())))
    }

    /// Shape of an image of a split, `[C, H, W]`.
    #[must_use]
    pub fn shape(&self, card: &Card, split: Split) -> [usize; 3] {
        match (self.named, split) {
            (Some(Named(pipeline)), Split::Train) => [3, pipeline.train_side, pipeline.train_side],
            (Some(Named(pipeline)), Split::Test) => [3, pipeline.test_side, pipeline.test_side],
            (None, _) => card.shape,
        }
    }

    /// Checks the choices that need no more than a card, so that a suite can be refused before any file is opened.
    ///
    /// # Errors
    /// When the shift or a limit is out of range, a pipeline is for other images, or a mirror would change classes.
    pub fn check(&self, card: &Card) -> Result<(), DataError> {
        if let Some(EventName(events)) = self.events {
            let reason = "it makes frames of events, and the set holds images".to_owned();
            return Err(DataError::Unfit { protocol: events.to_owned(), dataset: card.id, reason });
        }
        if let Some(found) = self.mix.map(|mix| mix.eventmix).filter(|&alpha| alpha > 0.0) {
            let rule = "frames of counted events are needed, the set holds images: left out";
            return Err(DataError::event_choice(format!("mix.eventmix on {}", card.id), rule, found));
        }
        if self.flip && card.mirror == Mirror::Breaks {
            let reason = "its mirror would make images of no class".to_owned();
            return Err(DataError::Unfit { protocol: self.id(), dataset: card.id, reason });
        }
        let side = card.shape[1].min(card.shape[2]);
        if self.shift >= side {
            return Err(DataError::Shift { dataset: card.id, side, found: self.shift });
        }
        if let (true, false, Mirror::Swaps([[left, right], ..])) = (self.flip, self.swap_labels, card.mirror)
        {
            let name = |class: u32| card.class_names.get(class as usize).copied().unwrap_or("?");
            let example = format!("class {left} ({}) and class {right} ({})", name(*left), name(*right));
            return Err(DataError::Mirror { dataset: card.id, example });
        }
        if let Some(Named(pipeline)) = self.named {
            let unfit =
                |reason| Err(DataError::Unfit { protocol: pipeline.name(), dataset: card.id, reason });
            if card.shape[0] != 3 {
                return unfit(format!("it has 3 channels, the set's images have {}", card.shape[0]));
            }
            let whole = !matches!(pipeline.crop, Crop::Resized { .. });
            if whole && card.shape[1..] != [pipeline.train_side; 2] {
                let [_, height, width] = card.shape;
                let side = pipeline.train_side;
                return unfit(format!("it does not resize {height}x{width} to {side}x{side}"));
            }
        }
        let limits = [("train_limit", self.train_limit), ("test_limit", self.test_limit)];
        for ((setting, limit), available) in limits.into_iter().zip(card.counts) {
            if let Some(found) = limit.filter(|limit| !(1..=available).contains(limit)) {
                return Err(DataError::Limit { dataset: card.id, setting, available, found });
            }
        }
        Ok(())
    }
}

/// Every number of a mixing, for a hash.
fn json(mix: &Mix) -> String {
    // A struct of numbers is always JSON.
    serde_json::to_string(mix).unwrap_or_default()
}
