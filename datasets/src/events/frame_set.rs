//! Samples as frames `[T, C, H, W]`: what a loader of time-varying data takes.

use std::{fmt, sync::Arc};

use keys::Key;
use sha2::{Digest, Sha256};

use super::{EventProtocol, EventSet, Normalise, Origin, Resize};
use crate::{DataError, Split, hex::hex};

/// The facts of a frame set.
#[derive(Clone, Debug)]
pub struct FrameCard {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// Name for people.
    pub title: String,
    /// Id of the protocol, with its version, and with digits of its hash where it was changed.
    pub protocol: String,
    /// SHA-256 in hex of the protocol or of the parameters.
    pub protocol_hash: String,
    /// Number of classes; labels are `0..classes`.
    pub classes: usize,
    /// Shape of one sample, `[T, C, H, W]`.
    pub shape: [usize; 4],
    /// Whether the numbers count events: then a sum over them is a number of events.
    pub counts: bool,
    /// Where the samples come from; a stand-in says so here.
    pub origin: Origin,
    /// What a reader of a table has to know.
    pub note: String,
}

impl FrameCard {
    /// Numbers in one sample, `T * C * H * W`.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Labelled frame sequences: event sets under a protocol, and the tasks of `temporal`.
pub trait FrameSet: Send + Sync {
    /// The facts of the set.
    fn card(&self) -> &FrameCard;

    /// Samples in a split.
    fn len(&self, split: Split) -> usize;

    /// Whether a split holds nothing.
    fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// One label as the set has it, before augmentation.
    fn label(&self, split: Split, index: usize) -> u32;

    /// Writes one sample `[T, C, H, W]` and gives back its label. A key asks for the augmentation that it names; without
    /// one the sample is as the set has it.
    ///
    /// # Errors
    /// When the sample can't be read, does not exist, or the target has another length.
    fn write(
        &self,
        split: Split,
        index: usize,
        augment: Option<Key>,
        target: &mut [f32],
    ) -> Result<u32, DataError>;

    /// SHA-256 over one sample's data, without its label: equal samples have equal digests.
    ///
    /// # Errors
    /// As [`FrameSet::write`].
    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError>;

    /// SHA-256 in hex that records carry: over protocol, counts, labels, and what tells a sample from another without
    /// reading all of them: names and lengths of files, or what a made set is made from. Where a set has neither, it is
    /// the manifest.
    ///
    /// # Errors
    /// When a file is gone, or as [`FrameSet::write`].
    fn identity(&self) -> Result<String, DataError> {
        self.manifest()
    }

    /// SHA-256 in hex over protocol, counts, labels and samples, in order. Reads every sample.
    ///
    /// # Errors
    /// As [`FrameSet::write`].
    fn manifest(&self) -> Result<String, DataError> {
        let mut digest = Sha256::new();
        digest.update(&self.card().protocol_hash);
        for split in [Split::Train, Split::Test] {
            digest.update((self.len(split) as u64).to_le_bytes());
            for index in 0..self.len(split) {
                digest.update(self.label(split, index).to_le_bytes());
                digest.update(self.digest(split, index)?);
            }
        }
        Ok(hex(&digest.finalize()))
    }
}

impl fmt::Debug for dyn FrameSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSet").field("id", &self.card().id).finish_non_exhaustive()
    }
}

/// Pairs of a training and a test sample with the same data: a set with any has leaked.
///
/// # Errors
/// When a sample can't be read.
pub fn leaks(set: &dyn FrameSet) -> Result<Vec<[usize; 2]>, DataError> {
    let mut train = Vec::with_capacity(set.len(Split::Train));
    for index in 0..set.len(Split::Train) {
        train.push((set.digest(Split::Train, index)?, index));
    }
    train.sort_unstable();
    let mut leaks = Vec::new();
    for test in 0..set.len(Split::Test) {
        let digest = set.digest(Split::Test, test)?;
        let from = train.partition_point(|(other, _)| *other < digest);
        let twins = train.iter().skip(from).take_while(|(other, _)| *other == digest);
        leaks.extend(twins.map(|&(_, index)| [index, test]));
    }
    Ok(leaks)
}

/// An event set under a protocol.
pub struct Framed {
    set: Arc<dyn EventSet>,
    protocol: EventProtocol,
    card: FrameCard,
}

impl Framed {
    /// Frames of a set as a protocol makes them.
    ///
    /// # Errors
    /// When the protocol does not fit the set.
    pub fn new(set: Arc<dyn EventSet>, protocol: EventProtocol) -> Result<Self, DataError> {
        protocol.check(set.card())?;
        let events = set.card();
        let [height, width] = protocol.size;
        let card = FrameCard {
            id: events.id,
            title: events.title.clone(),
            protocol: protocol.id(),
            protocol_hash: protocol.hash(),
            classes: events.classes,
            shape: [protocol.frames.steps(), 2, height, width],
            counts: protocol.normalise == Normalise::None && protocol.resize != Resize::OtttFaithful,
            origin: events.origin,
            note: events.note.clone(),
        };
        Ok(Self { set, protocol, card })
    }

    /// The recordings behind the frames.
    #[must_use]
    pub fn events(&self) -> &dyn EventSet {
        self.set.as_ref()
    }
}

impl FrameSet for Framed {
    fn card(&self) -> &FrameCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.set.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.set.label(split, index)
    }

    fn write(
        &self,
        split: Split,
        index: usize,
        augment: Option<Key>,
        target: &mut [f32],
    ) -> Result<u32, DataError> {
        check_target(&self.card, target)?;
        let recording = self.set.recording(split, index)?;
        let frames = self
            .protocol
            .frames
            .frames(&recording)
            .and_then(|frames| self.protocol.resize.apply(frames, recording.size, self.protocol.size));
        // What can fail here fails for this recording: its place must be told.
        let frames = frames.map_err(|error| {
            let rule = "a recording must suit the protocol";
            DataError::event_choice(self.set.place(split, index), rule, error)
        })?;
        target.copy_from_slice(&frames);
        // Before augmentation: what a crop uncovers is 0, the mean of normalised frames.
        let plane = self.protocol.size[0] * self.protocol.size[1];
        if let Normalise::MeanStd { mean, std } = self.protocol.normalise {
            for (channel, plane) in target.chunks_exact_mut(plane).enumerate() {
                let (mean, std) = (mean[channel % 2], std[channel % 2]);
                plane.iter_mut().for_each(|value| *value = (*value - mean) / std);
            }
        }
        let label = self.set.label(split, index);
        Ok(match augment {
            None => label,
            Some(key) => {
                let mirror = self.set.card().mirror;
                self.protocol.augment.apply(target, self.protocol.size, label, mirror, key)
            }
        })
    }

    fn identity(&self) -> Result<String, DataError> {
        let mut digest = Sha256::new();
        digest.update(&self.card.protocol_hash);
        for split in [Split::Train, Split::Test] {
            digest.update((self.len(split) as u64).to_le_bytes());
            for index in 0..self.len(split) {
                digest.update(self.label(split, index).to_le_bytes());
                digest.update(self.set.stamp(split, index)?);
            }
        }
        Ok(hex(&digest.finalize()))
    }

    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError> {
        let recording = self.set.recording(split, index)?;
        let mut digest = Sha256::new();
        for event in &recording.events {
            digest.update(event.t.to_le_bytes());
            digest.update(event.x.to_le_bytes());
            digest.update(event.y.to_le_bytes());
            digest.update([u8::from(event.p)]);
        }
        Ok(digest.finalize().into())
    }
}

/// Refuses a target of another length than a sample.
pub(crate) fn check_target(card: &FrameCard, target: &[f32]) -> Result<(), DataError> {
    if target.len() == card.numbers() {
        return Ok(());
    }
    let rule = "the target must have a sample's length";
    Err(DataError::event_choice(card.id, rule, format!("{} for {:?}", target.len(), card.shape)))
}
