//! An event set in packed shards, `train.shard` and `test.shard`, read where they lie.
//!
//! A shard holds recordings and not frames, so one serves every protocol that takes the same samples: any T, size and
//! augmentation. Which samples those are stands in its manifest.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Decoded, EventCard, EventProtocol, EventSet, SplitRule, TrialRows, set::no_sample};
use crate::{
    DataError, Split,
    encoded::packed::{Mapped, pair},
    format::{
        aedat2::Orientation,
        packed_events,
        shard::{Codec, Manifest},
    },
    hex::hex,
};

/// The choices of a protocol that decide which samples a split has, and which way up they lie.
#[derive(Serialize)]
struct Rules {
    split: SplitRule,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<TrialRows>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<Orientation>,
}

/// Those choices as text.
fn rules(protocol: &EventProtocol) -> String {
    let EventProtocol { split, rows, orientation, .. } = *protocol;
    // Names and numbers: that can't fail.
    serde_json::to_string(&Rules { split, rows, orientation }).unwrap_or_default()
}

/// The manifest of a split that is packed under a protocol.
///
/// # Errors
/// When a sample's file is gone.
pub(crate) fn manifest(
    set: &dyn EventSet,
    protocol: &EventProtocol,
    split: Split,
) -> Result<Manifest, DataError> {
    let card = set.card();
    let rules = rules(protocol);
    let mut digest = Sha256::new();
    digest.update(&rules);
    for split in [Split::Train, Split::Test] {
        digest.update((set.len(split) as u64).to_le_bytes());
        for index in 0..set.len(split) {
            digest.update(set.label(split, index).to_le_bytes());
            digest.update(set.stamp(split, index)?);
        }
    }
    let [height, width] = card.size.map(|side| side as u32);
    Ok(Manifest {
        dataset: card.id.to_owned(),
        split: split.name().to_owned(),
        classes: card.classes as u32,
        shape: [2, height, width],
        codec: Codec::Events,
        source_manifest: hex(&digest.finalize()),
        rules: Some(rules),
    })
}

struct Packed {
    card: EventCard,
    splits: [Mapped; 2],
}

/// The packed set in a folder, or `None` where the folder holds no shard; `card` says what it must be.
///
/// # Errors
/// When a shard is half-written, damaged, of another set, or packed under a protocol that takes other samples.
pub(super) fn open(
    card: impl FnOnce([usize; 2]) -> EventCard,
    protocol: &EventProtocol,
    folder: &Path,
) -> Result<Option<Arc<dyn EventSet>>, DataError> {
    let Some(splits) = pair(folder)? else { return Ok(None) };
    let card = card([0, 1].map(|split: usize| splits[split].shard.len()));
    let shape = [2, card.size[0] as u32, card.size[1] as u32];
    for (split, Mapped { file, shard, .. }) in [Split::Train, Split::Test].into_iter().zip(&splits) {
        let Manifest { dataset, split: own, classes, shape: sensor, codec, rules: packed, .. } =
            &shard.manifest;
        let malformed = |rule, found: String| DataError::Malformed {
            file: file.clone(),
            format: "shard",
            offset: 80,
            rule,
            found,
        };
        let stated = (dataset.as_str(), own.as_str(), *classes, *sensor, *codec);
        if stated != (card.id, split.name(), card.classes as u32, shape, Codec::Events) {
            return Err(malformed(
                "the manifest is that of the set and split asked for",
                format!("{stated:?}"),
            ));
        }
        let packed = packed.as_deref().unwrap_or_default();
        if packed != rules(protocol) {
            let rule = "a set of events is packed under a protocol that takes the same samples; ask for such a protocol, \
                        or convert under this one";
            return Err(malformed(rule, packed.to_owned()));
        }
    }
    Ok(Some(Arc::new(Packed { card, splits })))
}

impl Packed {
    fn mapped(&self, split: Split) -> &Mapped {
        match split {
            Split::Train => &self.splits[0],
            Split::Test => &self.splits[1],
        }
    }

    fn sample(&self, split: Split, index: usize) -> Result<&Mapped, DataError> {
        let mapped = self.mapped(split);
        let samples = mapped.shard.len();
        (index < samples).then_some(mapped).ok_or_else(|| no_sample(self.card.id, split, index, samples))
    }
}

impl EventSet for Packed {
    fn card(&self) -> &EventCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.mapped(split).shard.len()
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        let Mapped { map, shard, .. } = self.mapped(split);
        shard.line(map, index).label
    }

    fn place(&self, split: Split, index: usize) -> String {
        let Mapped { file, map, shard } = self.mapped(split);
        format!("{file}: {}", shard.name(map, index))
    }

    /// That of the file it was packed from: a packed set is told from others as its files are.
    fn stamp(&self, split: Split, index: usize) -> Result<Vec<u8>, DataError> {
        let Mapped { map, shard, .. } = self.sample(split, index)?;
        Ok(format!("{}\n", shard.name(map, index)).into_bytes())
    }

    fn decoded(&self, split: Split, index: usize) -> Result<Decoded, DataError> {
        let Mapped { file, map, shard } = self.sample(split, index)?;
        shard.check_crc(file, map, index)?;
        packed_events::read(&self.place(split, index), shard.contents(map, index))
    }
}
