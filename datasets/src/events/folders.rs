//! Event sets from folders: N-MNIST, CIFAR10-DVS, DVS128 Gesture.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use zip::ZipArchive;

use super::{
    Decoded, EventCard, EventProtocol, EventSet, Origin, SplitRule, TrialRows, packed, set::no_sample,
};
use crate::{
    DataError, Mirror, Split,
    format::{
        aedat2::{self, Orientation},
        aedat3, atis_bin, gesture_csv, npz, zip_member,
    },
};

/// Classes of CIFAR10-DVS: those of CIFAR-10, whose order is that of the alphabet.
pub(crate) const CIFAR_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Classes of DVS128 Gesture.
pub(crate) const GESTURES: [&str; 11] = [
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other",
];

/// What a mirror makes of each gesture: it swaps the sides and the sense of rotation.
pub(crate) const GESTURE_MIRROR: Mirror = Mirror::Swaps(&[[1, 2], [3, 6], [4, 5]]);

/// An archive that stays open, with its bytes; its members are read one at a time.
struct Archive {
    zip: Mutex<ZipArchive<File>>,
    bytes: u64,
}

/// How the file of a sample is read.
#[derive(Clone)]
enum Reader {
    AtisBin,
    /// A member of an archive, by its number.
    Zipped(Arc<Archive>, usize),
    Aedat2(Orientation),
    Npz,
    Aedat3,
}

struct Sample {
    file: PathBuf,
    reader: Reader,
    label: u32,
    /// First and last-but-one microsecond, of a part of a trial.
    part: Option<(i64, i64)>,
}

/// Samples in files that are read when they are asked for.
struct Folder {
    card: EventCard,
    splits: Splits,
}

/// Opens the set that a protocol's name begins with: `nmnist/`, `cifar10dvs/` or `dvsgesture/`.
///
/// - N-MNIST: `Train/<digit>/*.bin` and `Test/<digit>/*.bin`, or the authors' `Train.zip` and `Test.zip` as they are.
/// - CIFAR10-DVS: `<class>/cifar10_<class>_<number>.aedat`, or SpikingJelly's `.npz` of the same names.
/// - DVS128 Gesture: `trials_to_train.txt`, `trials_to_test.txt`, the `.aedat` files and their `_labels.csv`, directly or
///   in `DvsGesture/`.
///
/// Shards that [`crate::convert::events`] packed are read in place of any of these.
///
/// # Errors
/// When the name is of no such set, a choice does not fit it, or files are missing, misnamed or damaged.
pub fn open_folder(protocol: &EventProtocol, folder: &Path) -> Result<Arc<dyn EventSet>, DataError> {
    let kind = match protocol.name.split('/').next() {
        Some("nmnist") => N_MNIST,
        Some("cifar10dvs") => CIFAR10_DVS,
        Some("dvsgesture") => DVS128_GESTURE,
        _ => {
            let rule = "the protocol of a folder must be one of nmnist/, cifar10dvs/ and dvsgesture/";
            return Err(DataError::event_choice("protocol", rule, &protocol.name));
        }
    };
    let card = |found| counted((kind.card)(protocol), (kind.whole)(protocol), found);
    let set = match packed::open(card, protocol, folder)? {
        Some(set) => set,
        None => {
            let splits = (kind.splits)(protocol, folder)?;
            Arc::new(Folder { card: card([splits[0].len(), splits[1].len()]), splits })
        }
    };
    protocol.check(set.card())?;
    Ok(set)
}

/// A set that lies in a folder: what is known of it, how many samples the whole has, and how its files are found.
struct Kind {
    card: fn(&EventProtocol) -> EventCard,
    whole: fn(&EventProtocol) -> [usize; 2],
    splits: fn(&EventProtocol, &Path) -> Result<Splits, DataError>,
}

type Splits = [Vec<Sample>; 2];

const N_MNIST: Kind = Kind { card: nmnist_card, whole: |_| [60_000, 10_000], splits: nmnist };
const CIFAR10_DVS: Kind = Kind { card: cifar10_dvs_card, whole: |_| [9_000, 1_000], splits: cifar10_dvs };
const DVS128_GESTURE: Kind = Kind {
    card: gesture_card,
    whole: |protocol| match protocol.rows {
        Some(TrialRows::FirstOfClass) => [1_078, 264],
        Some(TrialRows::All) | None => [1_176, 288],
    },
    splits: gesture,
};

/// The card of what was found; a part says so.
fn counted(card: EventCard, whole: [usize; 2], found: [usize; 2]) -> EventCard {
    if found == whole {
        return card;
    }
    let note = format!("{} + {} of {} + {} samples. {}", found[0], found[1], whole[0], whole[1], card.note);
    EventCard { origin: Origin::RealSubset, note, ..card }
}

impl Folder {
    fn samples(&self, split: Split) -> &[Sample] {
        match split {
            Split::Train => &self.splits[0],
            Split::Test => &self.splits[1],
        }
    }
}

impl EventSet for Folder {
    fn card(&self) -> &EventCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.samples(split).len()
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.samples(split).get(index).map_or(0, |sample| sample.label)
    }

    fn place(&self, split: Split, index: usize) -> String {
        self.samples(split).get(index).map_or_else(String::new, |sample| sample.file.display().to_string())
    }

    fn stamp(&self, split: Split, index: usize) -> Result<Vec<u8>, DataError> {
        let samples = self.samples(split);
        let sample =
            samples.get(index).ok_or_else(|| no_sample(self.card.id, split, index, samples.len()))?;
        let name = sample.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (bytes, member) = match &sample.reader {
            // The place of a member in its archive is not a file of the system.
            Reader::Zipped(archive, member) => (archive.bytes, *member),
            _ => {
                let fault = |source| DataError::Read { file: sample.file.display().to_string(), source };
                (std::fs::metadata(&sample.file).map_err(fault)?.len(), 0)
            }
        };
        Ok(format!("{name} {bytes} {member} {:?}\n", sample.part).into_bytes())
    }

    fn decoded(&self, split: Split, index: usize) -> Result<Decoded, DataError> {
        let samples = self.samples(split);
        let sample =
            samples.get(index).ok_or_else(|| no_sample(self.card.id, split, index, samples.len()))?;
        let file = sample.file.display().to_string();
        let mut decoded = match &sample.reader {
            Reader::AtisBin => atis_bin::read(&file, &read(&sample.file)?),
            Reader::Zipped(archive, member) => atis_bin::read(&file, &archive.member(&file, *member)?),
            Reader::Aedat2(orientation) => aedat2::read(&file, &read(&sample.file)?, *orientation),
            Reader::Npz => npz::events(&file, &read(&sample.file)?),
            Reader::Aedat3 => aedat3::read(&file, &read(&sample.file)?),
        }?;
        if let Some((start, end)) = sample.part {
            decoded.events.retain(|event| (start..end).contains(&event.t));
        }
        Ok(decoded)
    }
}

impl Archive {
    fn open(path: &Path) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let fault = |source| DataError::Read { file: name.clone(), source };
        let file = File::open(path).map_err(fault)?;
        let bytes = file.metadata().map_err(fault)?.len();
        let zip = ZipArchive::new(file)
            .map_err(|error| DataError::event_format(&name, 0, "the archive must be a zip", error))?;
        Ok(Self { zip: Mutex::new(zip), bytes })
    }

    fn member(&self, file: &str, member: usize) -> Result<Vec<u8>, DataError> {
        let mut zip = self.zip.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entry = zip
            .by_index(member)
            .map_err(|error| DataError::event_format(file, 0, "an archive must hold its members", error))?;
        zip_member::unpack(file, &mut entry, self.bytes)
    }
}

fn nmnist_card(_: &EventProtocol) -> EventCard {
    EventCard {
        id: "n-mnist",
        title: "N-MNIST".to_owned(),
        classes: 10,
        class_names: (0..10).map(|digit| digit.to_string()).collect(),
        size: [34, 34],
        origin: Origin::Real,
        note: "Official split.".to_owned(),
        mirror: Mirror::Breaks,
        licence: "CC BY-SA 4.0",
    }
}

fn nmnist(protocol: &EventProtocol, folder: &Path) -> Result<Splits, DataError> {
    require_split(protocol, protocol.split == SplitRule::Official)?;
    let split = |name: &str| -> Result<Vec<Sample>, DataError> {
        let (plain, packed) = (folder.join(name), folder.join(format!("{name}.zip")));
        let mut samples = if plain.is_dir() { Vec::new() } else { zipped(&packed)? };
        for label in if plain.is_dir() { 0..10 } else { 0..0 } {
            for file in files("n-mnist", &plain.join(label.to_string()), &["bin"])? {
                samples.push(Sample { file, reader: Reader::AtisBin, label, part: None });
            }
        }
        // The file's number is MNIST's index: their order is MNIST's, whatever the class.
        samples.sort_by(|a, b| a.file.file_name().cmp(&b.file.file_name()));
        Ok(samples)
    };
    Ok([split("Train")?, split("Test")?])
}

/// The recordings in one of the authors' archives: members `<split>/<digit>/<number>.bin`.
fn zipped(path: &Path) -> Result<Vec<Sample>, DataError> {
    let archive = Arc::new(Archive::open(path)?);
    let zip = archive.zip.lock().unwrap_or_else(PoisonError::into_inner);
    let mut samples = Vec::new();
    for member in 0..zip.len() {
        let Some(Ok(name)) = zip.name_for_index(member) else { continue };
        if !name.ends_with(".bin") {
            continue;
        }
        let digit = name.rsplit('/').nth(1).and_then(|digit| digit.parse().ok()).filter(|digit| *digit < 10);
        let Some(label) = digit else {
            let rule = "recordings of N-MNIST must lie in folders 0 to 9";
            return Err(DataError::event_format(&path.display().to_string(), 0, rule, name));
        };
        // For messages and for the order; it is no path of the disk.
        let file = path.join(name.as_ref());
        samples.push(Sample {
            file,
            reader: Reader::Zipped(Arc::clone(&archive), member),
            label,
            part: None,
        });
    }
    drop(zip);
    Ok(samples)
}

fn cifar10_dvs_card(protocol: &EventProtocol) -> EventCard {
    EventCard {
        id: "cifar10-dvs",
        title: "CIFAR10-DVS".to_owned(),
        classes: 10,
        class_names: CIFAR_CLASSES.map(str::to_owned).to_vec(),
        size: aedat2::SIZE,
        origin: Origin::Real,
        note: format!("No official split; {}.", protocol.name),
        mirror: Mirror::Keeps,
        licence: "CC BY 4.0, as usually stated",
    }
}

fn cifar10_dvs(protocol: &EventProtocol, folder: &Path) -> Result<Splits, DataError> {
    require_split(protocol, protocol.split != SplitRule::Official)?;
    let Some(orientation) = protocol.orientation else {
        let rule = "CIFAR10-DVS needs an orientation: spiking-jelly, dat2mat or tonic";
        return Err(DataError::event_choice("orientation", rule, "none"));
    };
    let mut splits = [Vec::new(), Vec::new()];
    for (label, class) in (0..).zip(CIFAR_CLASSES) {
        let found = files("cifar10-dvs", &folder.join(class), &["aedat", "npz"])?;
        let head = |percent: u32| (found.len() * percent as usize).div_ceil(100);
        for (place, file) in found.iter().enumerate() {
            let reader = match file.extension().is_some_and(|ending| ending == "npz") {
                true if orientation != Orientation::SpikingJelly => {
                    let rule = "SpikingJelly's npz files have its orientation alone (spiking-jelly)";
                    return Err(DataError::event_choice(file.display().to_string(), rule, "another"));
                }
                true => Reader::Npz,
                false => Reader::Aedat2(orientation),
            };
            let tests = match protocol.split {
                SplitRule::TestNumbers { first, last } => (first..=last).contains(&number(file)?),
                SplitRule::LexicographicHead { percent } => place >= head(percent),
                SplitRule::Official => false,
            };
            splits[usize::from(tests)].push(Sample { file: file.clone(), reader, label, part: None });
        }
    }
    Ok(splits)
}

fn gesture_card(protocol: &EventProtocol) -> EventCard {
    EventCard {
        id: "dvs128-gesture",
        title: "DVS128 Gesture".to_owned(),
        classes: GESTURES.len(),
        class_names: GESTURES.map(str::to_owned).to_vec(),
        size: [128, 128],
        origin: Origin::Real,
        note: format!("Official users; {}.", protocol.name),
        mirror: GESTURE_MIRROR,
        licence: "CC BY 4.0, as usually stated",
    }
}

fn gesture(protocol: &EventProtocol, folder: &Path) -> Result<Splits, DataError> {
    require_split(protocol, protocol.split == SplitRule::Official)?;
    let Some(rows) = protocol.rows else {
        let rule = "DVS128 Gesture needs to know which rows are samples: all or first-of-class";
        return Err(DataError::event_choice("rows", rule, "none"));
    };
    let inner = folder.join("DvsGesture");
    let root = if inner.is_dir() { inner } else { folder.to_owned() };
    let split = |list: &str| -> Result<Vec<Sample>, DataError> {
        let path = root.join(list);
        let mut samples = Vec::new();
        for name in gesture_csv::trials(&path.display().to_string(), &read(&path)?)? {
            let file = root.join(&name);
            let labels = root.join(format!("{}_labels.csv", name.trim_end_matches(".aedat")));
            if !file.exists() {
                return Err(DataError::Missing {
                    dataset: "dvs128-gesture",
                    file: name,
                    folder: root.clone(),
                });
            }
            let segments = gesture_csv::labels(&labels.display().to_string(), &read(&labels)?)?;
            let mut seen = [false; GESTURES.len()];
            for segment in segments {
                let again = std::mem::replace(&mut seen[usize::from(segment.class)], true);
                if again && rows == TrialRows::FirstOfClass {
                    continue;
                }
                let part = Some((segment.start, segment.end));
                let label = u32::from(segment.class);
                samples.push(Sample { file: file.clone(), reader: Reader::Aedat3, label, part });
            }
        }
        Ok(samples)
    };
    Ok([split("trials_to_train.txt")?, split("trials_to_test.txt")?])
}

fn require_split(protocol: &EventProtocol, fits: bool) -> Result<(), DataError> {
    if fits {
        return Ok(());
    }
    let rule = "N-MNIST and DVS128 Gesture have an official split, CIFAR10-DVS has none";
    Err(DataError::event_choice("split", rule, format!("{:?} for {}", protocol.split, protocol.name)))
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { file: path.display().to_string(), source })
}

/// The files of a folder with one of some endings, by name as text; none of them is an error.
pub(super) fn files(
    dataset: &'static str,
    folder: &Path,
    endings: &[&str],
) -> Result<Vec<PathBuf>, DataError> {
    let fault = |source| DataError::Read { file: folder.display().to_string(), source };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let fits = path
            .extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| endings.contains(&ending));
        if let Some(name) = path.file_name().filter(|_| fits) {
            found.insert(name.to_owned(), path);
        }
    }
    if found.is_empty() {
        let file = format!("*.{}", endings.join(" or *."));
        return Err(DataError::Missing { dataset, file, folder: folder.to_owned() });
    }
    Ok(found.into_values().collect())
}

/// The number that a file's name ends in.
fn number(file: &Path) -> Result<u32, DataError> {
    file.file_stem()
        .and_then(|stem| stem.to_str())
        .and_then(|stem| stem.rsplit('_').next()?.parse().ok())
        .ok_or_else(|| {
            let rule = "a split by numbers needs file names that end in _<number>";
            DataError::event_choice("split", rule, file.display())
        })
}
