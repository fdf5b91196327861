//! A set in packed shards, `train.shard` and `test.shard`, read where they lie.

use std::{borrow::Cow, path::Path, sync::Arc};

use super::Extent;
use crate::{
    Card, DataError, Dataset, Encoded, Split,
    format::shard::{Codec, Shard},
    map::Map,
};

/// The file of a split.
pub(crate) fn file(split: Split) -> String {
    format!("{split}.shard")
}

/// What a split's file is called while it is written.
pub(crate) fn partial(split: Split) -> String {
    format!("{split}.shard.partial")
}

pub(crate) struct Packed {
    card: &'static Card,
    train: Mapped,
    test: Mapped,
}

/// One split's file.
pub(crate) struct Mapped {
    pub(crate) file: String,
    pub(crate) map: Map,
    pub(crate) shard: Shard,
}

impl Mapped {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let (file, map) = (path.display().to_string(), Map::open(path)?);
        let shard = Shard::parse(&file, &map)?;
        Ok(Self { file, map, shard })
    }
}

/// The set in a folder: its shards where there are some, else what `own` reads of its own files, which `files` names.
///
/// # Errors
/// Without a folder, when it is none, as [`open`], and as `own`.
pub(crate) fn open_or(
    card: &'static Card,
    folder: Option<&Path>,
    files: &'static str,
    extent: Extent,
    own: impl FnOnce(&Path) -> Result<Arc<dyn Dataset>, DataError>,
) -> Result<Arc<dyn Dataset>, DataError> {
    let folder = folder.ok_or(DataError::NoFolder { dataset: card.id, files })?;
    if !folder.is_dir() {
        return Err(DataError::NotAFolder { dataset: card.id, folder: folder.to_owned() });
    }
    open(card, folder, extent)?.map_or_else(|| own(folder), Ok)
}

/// The packed set in a folder, or `None` where the folder holds no shard.
///
/// # Errors
/// When a shard is half-written, is a part where the whole is asked for, damaged, of another set or of other parameters than its fellow.
pub(crate) fn open(
    card: &'static Card,
    folder: &Path,
    extent: Extent,
) -> Result<Option<Arc<dyn Dataset>>, DataError> {
    let Some([train, test]) = pair(folder)? else { return Ok(None) };
    for (split, mapped) in [(Split::Train, &train), (Split::Test, &test)] {
        let manifest = &mapped.shard.manifest;
        let shape = card.shape.map(|side| side as u32);
        let stated = (manifest.dataset.as_str(), manifest.split.as_str(), manifest.classes, manifest.shape);
        if stated != (card.id, split.name(), card.classes as u32, shape) {
            return Err(DataError::Malformed {
                file: mapped.file.clone(),
                format: "shard",
                offset: 80,
                rule: "the manifest is that of the set and split asked for",
                found: format!("{} {}, {} classes, {:?}", stated.0, stated.1, stated.2, stated.3),
            });
        }
    }
    for (split, mapped, expected) in
        [(Split::Train, &train, card.counts[0]), (Split::Test, &test, card.counts[1])]
    {
        let found = mapped.shard.len();
        if extent == Extent::Whole && found != expected {
            let (file, split) = (mapped.file.clone(), split.name());
            return Err(DataError::Count { file, dataset: card.id, split, what: "images", expected, found });
        }
    }
    Ok(Some(Arc::new(Packed { card, train, test })))
}

/// The shards of both splits in a folder, or `None` where it holds none.
///
/// # Errors
/// When a shard is half-written, damaged, or of another set than its fellow.
pub(crate) fn pair(folder: &Path) -> Result<Option<[Mapped; 2]>, DataError> {
    let found = [Split::Train, Split::Test].map(|split| folder.join(file(split)).is_file());
    if found == [false; 2] {
        if [Split::Train, Split::Test].iter().any(|&split| folder.join(partial(split)).is_file()) {
            return Err(half_written(folder));
        }
        return Ok(None);
    }
    if found != [true; 2] {
        return Err(half_written(folder));
    }
    let train = Mapped::open(&folder.join(file(Split::Train)))?;
    let test = Mapped::open(&folder.join(file(Split::Test)))?;
    if train.shard.manifest.source_manifest != test.shard.manifest.source_manifest {
        return Err(DataError::Malformed {
            file: test.file,
            format: "shard",
            offset: 80,
            rule: "both splits come from one set; convert again",
            found: test.shard.manifest.source_manifest,
        });
    }
    Ok(Some([train, test]))
}

fn half_written(folder: &Path) -> DataError {
    DataError::NotRead {
        file: folder.display().to_string(),
        found: "a conversion that did not end: not both of train.shard and test.shard are there",
        way_out: "run the same `harness data convert` again",
    }
}

impl Packed {
    fn mapped(&self, split: Split) -> &Mapped {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Dataset for Packed {
    fn card(&self) -> &Card {
        self.card
    }

    fn len(&self, split: Split) -> usize {
        self.mapped(split).shard.len()
    }

    fn image(&self, split: Split, index: usize) -> &[u8] {
        let Mapped { map, shard, .. } = self.mapped(split);
        match shard.manifest.codec {
            Codec::Planes => shard.contents(map, index),
            Codec::Pictures | Codec::Events => &[],
        }
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        let Mapped { map, shard, .. } = self.mapped(split);
        shard.line(map, index).label
    }

    fn manifest(&self) -> &str {
        &self.train.shard.manifest.source_manifest
    }

    fn encoded(&self) -> Option<&dyn Encoded> {
        (self.train.shard.manifest.codec == Codec::Pictures).then_some(self)
    }

    fn name(&self, split: Split, index: usize) -> String {
        let Mapped { map, shard, .. } = self.mapped(split);
        shard.name(map, index)
    }

    fn check_sums(&self, split: Split, index: usize) -> Result<bool, DataError> {
        let Mapped { file, map, shard } = self.mapped(split);
        shard.check(file, map, index).map(|()| true)
    }
}

impl Encoded for Packed {
    fn bytes(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let Mapped { file, map, shard } = self.mapped(split);
        shard.check_crc(file, map, index)?;
        Ok(Cow::Borrowed(shard.contents(map, index)))
    }
}
