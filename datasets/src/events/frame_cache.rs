//! Frames that another program made: SpikingJelly's caches, `{train,test}/<class>/*.npz`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use keys::Key;
use sha2::{Digest, Sha256};

use super::{FrameCard, FrameSet, Origin, folders, frame_set::check_target, set::no_sample};
use crate::{DataError, Split, format::npz, hex::hex};

struct Cache {
    card: FrameCard,
    splits: [Vec<(PathBuf, u32)>; 2],
}

/// Opens a folder such as `frames_number_10_split_by_number`. All files must have the shape of the first.
///
/// Classes are the folders' names: as numbers where all are numbers, else in the order of text. (SpikingJelly itself puts
/// numbers in the order of text too, 0, 1, 10, 2: its labels of gestures are other ones.) How the frames were made is
/// not written in them, so the card can't tell either, and a file that was cut while it was written is an error when
/// it is reached.
///
/// # Errors
/// When a folder can't be read, the splits have other classes, there is no file, or the first is broken.
pub fn open_frame_cache(folder: &Path) -> Result<Arc<dyn FrameSet>, DataError> {
    let [train, test] = ["train", "test"].map(|split| classes(&folder.join(split)));
    let (classes, test) = (train?, test?);
    if classes != test {
        let rule = "a cache must have the same classes to train and to test";
        return Err(DataError::event_choice(folder.display().to_string(), rule, format!("{test:?}")));
    }
    let split = |name: &str| -> Result<Vec<(PathBuf, u32)>, DataError> {
        let mut samples = Vec::new();
        for (label, class) in (0..).zip(&classes) {
            let files = folders::files("frame-cache", &folder.join(name).join(class), &["npz"])?;
            samples.extend(files.into_iter().map(|file| (file, label)));
        }
        Ok(samples)
    };
    let splits = [split("train")?, split("test")?];
    let Some((first, _)) = splits[0].first() else {
        let rule = "a cache must hold a class";
        return Err(DataError::event_choice(folder.display().to_string(), rule, "none"));
    };
    let shape = read(first)?.shape;
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let parameters = format!("{name} {shape:?} {classes:?}");
    let card = FrameCard {
        id: "frame-cache",
        title: format!("frames of {name}"),
        protocol: "frame-cache@1".to_owned(),
        protocol_hash: hex(&Sha256::digest(parameters)),
        classes: classes.len(),
        shape,
        counts: false,
        origin: Origin::Real,
        note: "Frames made by another program; how, is not known.".to_owned(),
    };
    Ok(Arc::new(Cache { card, splits }))
}

/// The folders in a folder, in the order of labels.
fn classes(folder: &Path) -> Result<Vec<String>, DataError> {
    let fault = |source| DataError::Read { file: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_type().map_err(fault)?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    if names.iter().all(|name| name.parse::<u32>().is_ok()) {
        names.sort_by_key(|name| name.parse::<u32>().ok());
    }
    Ok(names)
}

fn read(path: &Path) -> Result<npz::Frames, DataError> {
    let file = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => npz::frames(&file, &bytes),
        Err(source) => Err(DataError::Read { file, source }),
    }
}

impl Cache {
    fn samples(&self, split: Split) -> &[(PathBuf, u32)] {
        match split {
            Split::Train => &self.splits[0],
            Split::Test => &self.splits[1],
        }
    }
}

impl FrameSet for Cache {
    fn card(&self) -> &FrameCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.samples(split).len()
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.samples(split).get(index).map_or(0, |&(_, label)| label)
    }

    /// Caches are not augmented: whether a mirror keeps their classes is not known.
    fn write(
        &self,
        split: Split,
        index: usize,
        _: Option<Key>,
        target: &mut [f32],
    ) -> Result<u32, DataError> {
        check_target(&self.card, target)?;
        let samples = self.samples(split);
        let (file, label) =
            samples.get(index).ok_or_else(|| no_sample(self.card.id, split, index, samples.len()))?;
        let frames = read(file)?;
        if frames.shape != self.card.shape {
            let rule = "all frames of a cache must have one shape";
            let found = format!("{:?} for {:?}", frames.shape, self.card.shape);
            return Err(DataError::event_format(&file.display().to_string(), 0, rule, found));
        }
        target.copy_from_slice(&frames.values);
        Ok(*label)
    }

    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError> {
        let mut frames = vec![0.0; self.card.numbers()];
        self.write(split, index, None, &mut frames)?;
        let mut digest = Sha256::new();
        frames.iter().for_each(|value| digest.update(value.to_le_bytes()));
        Ok(digest.finalize().into())
    }
}
