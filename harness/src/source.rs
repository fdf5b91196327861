//! A data set of either kind, images or frames in time, behind one face.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datasets::{
    Batches, Card, DataError, Dataset, DatasetEntry, EventName, FrameEntry, Loader, Protocol, Request, Split,
    events::{FrameLoader, FrameSet, Origin},
};
use keys::Key;

use crate::error::{Error, Result};
use crate::suggest::Unknown;

/// The line of a set in one of the two tables: what is known of it before anything is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    /// One image a sample, shown at every step.
    Images(&'static DatasetEntry),
    /// A frame for every step.
    Frames(&'static FrameEntry),
}

impl Entry {
    /// The set of an id.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn find(id: &str) -> Result<Self> {
        datasets::find(id)
            .map(Self::Images)
            .or_else(|| datasets::find_frames(id).map(Self::Frames))
            .ok_or_else(|| Error::unknown(Unknown::new("dataset", id, ids())))
    }

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Images(entry) => entry.id,
            Self::Frames(entry) => entry.id,
        }
    }

    pub(crate) fn classes(self) -> usize {
        match self {
            Self::Images(entry) => entry.card.classes,
            Self::Frames(entry) => entry.classes,
        }
    }

    /// Samples in the train and in the test split.
    pub(crate) fn counts(self) -> [usize; 2] {
        match self {
            Self::Images(entry) => entry.card.counts,
            Self::Frames(entry) => entry.counts,
        }
    }

    /// Whether it stands for a set that it is not.
    pub(crate) fn is_stand_in(self) -> bool {
        match self {
            Self::Images(entry) => entry.card.stand_in.is_some(),
            Self::Frames(entry) => entry.stands_for.is_some(),
        }
    }

    /// Checks a recipe's protocol and a T without opening anything, and gives back the shape `[C, H, W]` of what a network
    /// sees at a step; `place` is for messages.
    pub(crate) fn shape(self, data: &Protocol, place: &str) -> Result<[usize; 3]> {
        match self {
            Self::Images(entry) => {
                data.check(entry.card).map_err(|source| Error::Data { place: place.to_owned(), source })?;
                image_shape(data, entry.card, place)
            }
            Self::Frames(entry) => Ok(entry.shape(events(data))),
        }
    }

    /// Refuses a T that the set can't be had at.
    pub(crate) fn check_steps(self, steps: usize, place: &str) -> Result<()> {
        match self {
            Self::Images(_) => Ok(()),
            Self::Frames(entry) => {
                entry.check(steps).map_err(|source| Error::Data { place: place.to_owned(), source })
            }
        }
    }

    /// Opens the set; frames are made for T = `steps`.
    pub(crate) fn open(
        self,
        data: &Protocol,
        folder: Option<&Path>,
        steps: usize,
    ) -> std::result::Result<Source, DataError> {
        match self {
            Self::Images(entry) => Ok(Source::Images((entry.open)(folder)?)),
            Self::Frames(entry) => {
                let set = entry.open(&Request { folder, protocol: events(data), steps })?;
                Ok(Source::Frames(set))
            }
        }
    }
}

/// Ids of all sets, images first.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    let images = datasets::DATASETS.iter().map(|entry| entry.id);
    images.chain(datasets::FRAME_SETS.iter().map(|entry| entry.id))
}

fn events(data: &Protocol) -> Option<&'static str> {
    data.events.map(|EventName(name)| name)
}

/// Shape of the images `[C, H, W]` that a protocol makes of a set, where a trial can use them.
fn image_shape(data: &Protocol, card: &Card, place: &str) -> Result<[usize; 3]> {
    let (shape, judged) = (data.shape(card, Split::Train), data.shape(card, Split::Test));
    if shape != judged {
        let rule = "one that trains and judges at one size: a network here is built for one";
        let found = format!("{} with {shape:?} and {judged:?}", data.id());
        return Err(Error::value(format!("{place}: data.protocol"), rule, found));
    }
    Ok(shape)
}

/// An open set.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Images(Arc<dyn Dataset>),
    Frames(Arc<dyn FrameSet>),
}

impl Source {
    /// Hash of what it holds.
    pub(crate) fn manifest(&self) -> std::result::Result<String, DataError> {
        match self {
            Self::Images(set) => Ok(set.manifest().to_owned()),
            Self::Frames(set) => set.identity(),
        }
    }

    /// Id and hash of the protocol that makes its batches.
    pub(crate) fn protocol(&self, data: &Protocol) -> [String; 2] {
        match self {
            Self::Images(set) => [data.id(), data.hash(set.card())],
            Self::Frames(set) => {
                let card = set.card();
                data.of_frames(&card.protocol, &card.protocol_hash)
            }
        }
    }

    /// Batches of a split.
    pub(crate) fn feed(
        &self,
        split: Split,
        data: Protocol,
        batch: usize,
        key: Key,
        drop_last: bool,
    ) -> std::result::Result<Feed, DataError> {
        match self {
            Self::Images(set) => {
                Loader::new(Arc::clone(set), split, data, batch, key, drop_last).map(Feed::Images)
            }
            Self::Frames(set) => {
                let limit = match split {
                    Split::Train => data.train_limit,
                    Split::Test => data.test_limit,
                };
                // One worker: the threads of a trial are for the network, and the samples are made ahead of it.
                let loader = FrameLoader::new(
                    Arc::clone(set),
                    split,
                    limit,
                    (batch, drop_last),
                    key,
                    NonZeroUsize::MIN,
                )?;
                match data.mix {
                    Some(mix) => loader.mixed(mix).map(Feed::Frames),
                    None => Ok(Feed::Frames(loader)),
                }
            }
        }
    }
}

/// What makes batches of a split.
pub(crate) enum Feed {
    Images(Loader),
    Frames(FrameLoader),
}

impl Feed {
    /// Samples in use, before a last batch is dropped.
    pub(crate) fn samples(&self) -> usize {
        match self {
            Self::Images(loader) => loader.samples(),
            Self::Frames(loader) => loader.samples(),
        }
    }

    /// Batches in an epoch.
    pub(crate) fn batches(&self) -> usize {
        match self {
            Self::Images(loader) => loader.batches(),
            Self::Frames(loader) => loader.batches(),
        }
    }

    /// The batches of an epoch, made ahead.
    pub(crate) fn epoch(&self, epoch: u64) -> Batches {
        match self {
            Self::Images(loader) => loader.epoch(epoch),
            Self::Frames(loader) => loader.epoch(epoch),
        }
    }

    /// Makes what is simulated, before any clock runs.
    pub(crate) fn prepare(&self) -> std::result::Result<(), DataError> {
        match self {
            Self::Frames(loader) if loader.set().card().origin == Origin::Simulated => loader.touch(),
            Self::Images(_) | Self::Frames(_) => Ok(()),
        }
    }

    /// Shape of a batch of so many samples: one frame `[1, B, C, H, W]` that is shown at every step, or one a step
    /// `[T, B, C, H, W]`.
    pub(crate) fn shape(&self, samples: usize) -> [usize; 5] {
        match self {
            Self::Images(loader) => {
                let [_, channels, height, width] = loader.shape();
                [1, samples, channels, height, width]
            }
            Self::Frames(loader) => {
                let [steps, _, channels, height, width] = loader.shape();
                [steps, samples, channels, height, width]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datasets::Pipeline;

    use super::*;

    fn shape(pipeline: &str, set: &str) -> Result<[usize; 3]> {
        let data = Protocol::of(Pipeline::find(pipeline).unwrap());
        Entry::find(set).unwrap().shape(&data, "case a")
    }

    #[test]
    fn a_protocol_decides_the_shape_of_the_images() {
        assert_eq!(shape("imagenet/small-64", "imagenet").unwrap(), [3, 64, 64]);
        assert_eq!(shape("cifar10/ottt", "cifar10").unwrap(), [3, 32, 32]);
        let mini = Entry::find("fashion-mnist-mini").unwrap();
        assert_eq!(mini.shape(&Protocol::PLAIN, "case a").unwrap(), [1, 28, 28]);
    }

    #[test]
    fn a_protocol_decides_the_shape_of_frames_where_the_set_lists_it() {
        let of = |name| Protocol { events: Some(EventName(name)), ..Protocol::PLAIN };
        let set = Entry::find("cifar10-dvs").unwrap();
        assert_eq!(set.shape(&of("cifar10dvs/tebn-0-99"), "case a").unwrap(), [2, 128, 128]);
        assert_eq!(set.shape(&of("dvsgesture/1464"), "case a").unwrap(), [2, 48, 48]);
        let refused = Entry::find("cifar10").unwrap().shape(&of("dvsgesture/1464"), "case a").unwrap_err();
        assert!(refused.to_string().contains("it makes frames of events"), "{refused}");
    }

    #[test]
    fn protocols_that_no_trial_can_follow_are_refused() {
        let wide = Pipeline { test_side: 96, ..*Pipeline::find("imagenet/small-64").unwrap() };
        let data = Protocol::of(Box::leak(Box::new(wide)));
        let refusal = image_shape(&data, datasets::find("imagenet").unwrap().card, "case a").unwrap_err();
        assert!(refusal.to_string().ends_with("with [3, 64, 64] and [3, 96, 96]"), "{refusal}");
    }

    #[test]
    fn only_what_stands_for_another_set_is_a_stand_in() {
        let is = |id| Entry::find(id).unwrap().is_stand_in();
        assert!(is("synth-10") && is("sim-nmnist"));
        assert!(!is("fashion-mnist-mini") && !is("delayed-recall") && !is("cifar10-dvs"));
    }
}
