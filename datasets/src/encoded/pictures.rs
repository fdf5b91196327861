//! A labelled set of pictures, each in its own file or in an archive.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use sha2::{Digest, Sha256};

use super::{archive, folder};
use crate::{Card, DataError, Dataset, Encoded, Split, hex::hex, map::Map};

/// Whether a set must be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Counts and classes are those of the card; anything else is refused.
    Whole,
    /// Any number of pictures and of classes, up to the card's: for small trees and for looking at a part. A record must
    /// not call it by the set's name.
    Part,
}

/// One picture.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// `CLASS/FILE`, however it is packed: what it is sorted by and called.
    pub(super) name: Box<str>,
    pub(super) label: u32,
    pub(super) place: Place,
    /// Bytes of its file.
    pub(super) length: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// `root/CLASS/FILE`.
    Folder,
    /// `root/FILE`: the label came from a list.
    Flat,
    /// In the split's archive, from this byte on.
    Archive(usize),
}

/// One split: its pictures in the order of their names.
#[derive(Default)]
pub(super) struct Part {
    /// The folder or the archive.
    pub(super) root: PathBuf,
    pub(super) map: Option<Map>,
    pub(super) items: Vec<Item>,
}

/// ImageNet, or a set laid out as ImageNet is: `train/CLASS/FILE` and `val/CLASS/FILE`, or the official archives.
pub struct Pictures {
    card: &'static Card,
    classes: Vec<String>,
    train: Part,
    test: Part,
    manifest: OnceLock<String>,
}

/// The official archive of the training pictures: a tar of one tar a class.
const TRAIN_TAR: &str = "ILSVRC2012_img_train.tar";
/// The official archive of the validation pictures, flat.
const VAL_TAR: &str = "ILSVRC2012_img_val.tar";
/// Lists that give a flat validation set its labels, in the order of looking.
const LISTS: [&str; 3] = ["val.txt", "imagenet_2012_validation_synset_labels.txt", "val/val.txt"];

impl Pictures {
    /// Indexes a folder: `train/` or the official train archive, and `val/` (class folders, or flat with a list) or the
    /// official validation archive with a list.
    ///
    /// A list is `val.txt` with lines `FILE CLASS` (a class folder's name, or its number in the order of names), or
    /// `imagenet_2012_validation_synset_labels.txt` with one class name a line in the order of the pictures' numbers. The
    /// development kit's own numbers are another order and are not read.
    ///
    /// # Errors
    /// When a part is missing or unreadable, a validation class is no training class, or the counts are not the card's.
    pub fn open(card: &'static Card, folder: &Path, extent: Extent) -> Result<Self, DataError> {
        if !folder.is_dir() {
            return Err(DataError::NotAFolder { dataset: card.id, folder: folder.to_owned() });
        }
        let (classes, train) = if folder.join("train").is_dir() {
            folder::train(&folder.join("train"))?
        } else if folder.join(TRAIN_TAR).is_file() {
            archive::train(&folder.join(TRAIN_TAR))?
        } else {
            let file = format!("train/ (or {TRAIN_TAR})");
            return Err(DataError::Missing { dataset: card.id, file, folder: folder.to_owned() });
        };
        let numbers: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let list = LISTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let missing = || DataError::Missing {
            dataset: card.id,
            file: format!("a label list ({})", LISTS.join(", ")),
            folder: folder.to_owned(),
        };
        let val = folder.join("val");
        let test = if val.is_dir() {
            match folder::classed(&val, &numbers)? {
                Some(part) => part,
                None => folder::flat(&val, &list.ok_or_else(missing)?, &classes, &numbers)?,
            }
        } else if folder.join(VAL_TAR).is_file() {
            archive::flat(&folder.join(VAL_TAR), &list.ok_or_else(missing)?, &classes, &numbers)?
        } else {
            let file = format!("val/ (or {VAL_TAR})");
            return Err(DataError::Missing { dataset: card.id, file, folder: folder.to_owned() });
        };
        let pictures = Self { card, classes, train, test, manifest: OnceLock::new() };
        pictures.check(folder, extent)?;
        Ok(pictures)
    }

    fn check(&self, folder: &Path, extent: Extent) -> Result<(), DataError> {
        let file = folder.display().to_string();
        let counts = [(Split::Train, self.card.counts[0]), (Split::Test, self.card.counts[1])];
        for (split, expected) in counts {
            let found = self.len(split);
            let wrong = match extent {
                Extent::Whole => found != expected,
                Extent::Part => found == 0,
            };
            if wrong {
                let (dataset, split) = (self.card.id, split.name());
                return Err(DataError::Count { file, dataset, split, what: "images", expected, found });
            }
        }
        let found = self.classes.len();
        if found > self.card.classes || (extent == Extent::Whole && found < self.card.classes) {
            let (dataset, expected) = (self.card.id, self.card.classes);
            return Err(DataError::Count { file, dataset, split: "train", what: "classes", expected, found });
        }
        Ok(())
    }

    /// Names of the class folders in label order.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }
}

impl Part {
    /// Where a picture lies, for messages and for reading.
    fn path(&self, item: &Item) -> PathBuf {
        let file = item.name.rsplit('/').next().unwrap_or(&item.name);
        match item.place {
            Place::Folder => self.root.join(&*item.name),
            Place::Flat => self.root.join(file),
            Place::Archive(_) => self.root.clone(),
        }
    }

    /// Sorts by name, the order of samples.
    pub(super) fn sorted(mut self) -> Self {
        self.items.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        self
    }
}

impl Dataset for Pictures {
    fn card(&self) -> &Card {
        self.card
    }

    fn len(&self, split: Split) -> usize {
        self.part(split).items.len()
    }

    fn image(&self, _: Split, _: usize) -> &[u8] {
        &[]
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.part(split).items[index].label
    }

    fn manifest(&self) -> &str {
        self.manifest.get_or_init(|| {
            let mut digest = Sha256::new();
            digest.update(b"pictures");
            for part in [&self.train, &self.test] {
                digest.update((part.items.len() as u64).to_le_bytes());
                for item in &part.items {
                    digest.update(item.label.to_le_bytes());
                    digest.update(item.length.to_le_bytes());
                    digest.update((item.name.len() as u64).to_le_bytes());
                    digest.update(item.name.as_bytes());
                }
            }
            hex(&digest.finalize())
        })
    }

    fn encoded(&self) -> Option<&dyn Encoded> {
        Some(self)
    }

    fn name(&self, split: Split, index: usize) -> String {
        self.part(split).items[index].name.to_string()
    }
}

impl Encoded for Pictures {
    fn bytes(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let part = self.part(split);
        let item = &part.items[index];
        if let (Place::Archive(offset), Some(map)) = (item.place, &part.map) {
            // The index was checked against the map when it was made.
            let bytes = map.get(offset..).and_then(|rest| rest.get(..item.length as usize));
            return Ok(Cow::Borrowed(bytes.unwrap_or_default()));
        }
        let path = part.path(item);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Cow::Owned(bytes)),
            Err(source) => Err(DataError::Read { file: path.display().to_string(), source }),
        }
    }
}
