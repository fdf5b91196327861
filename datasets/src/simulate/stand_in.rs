//! Event sets made by the simulator, with the cards that say so.

use std::sync::{Arc, OnceLock};

use keys::Key;
use sha2::{Digest, Sha256};

use super::{
    Path, Sensor,
    canvas::Plane,
    gesture::{CLASSES, Clip, SIZE},
};
use crate::{
    DataError, Dataset, Mirror, Split,
    events::{Decoded, Event, EventCard, EventProtocol, EventSet, Origin, named, no_sample},
    find,
    format::atis_bin,
    hex::hex,
    synth::event_files,
};

/// Raised when the same key and parameters give other events.
const VERSION: u32 = 1;
/// The same of the drawn figure.
const GESTURE_VERSION: u32 = 3;

/// Subjects of `sim-gesture11` that train and that test, and clips of each class and subject: 23 + 6 subjects as in DVS128
/// Gesture, 506 + 132 clips.
const SUBJECTS: [u64; 2] = [23, 6];
const CLIPS: u64 = 2;

/// Recordings of a split that its identity covers.
const STAMPED: usize = 4;

type Make = Box<dyn Fn(Split, usize) -> Result<Vec<Event>, DataError> + Send + Sync>;

/// Recordings that are made when they are first asked for, and kept as the bytes of an N-MNIST file: a tenth of the
/// memory of events, and the reader of that format is on the way of every sample.
struct Simulated {
    card: EventCard,
    labels: [Vec<u32>; 2],
    made: [Vec<OnceLock<Box<[u8]>>>; 2],
    make: Make,
}

impl Simulated {
    fn new(card: EventCard, labels: [Vec<u32>; 2], make: Make) -> Self {
        let made = labels.each_ref().map(|labels| labels.iter().map(|_| OnceLock::new()).collect());
        Self { card, labels, made, make }
    }
}

fn place(split: Split) -> usize {
    match split {
        Split::Train => 0,
        Split::Test => 1,
    }
}

impl EventSet for Simulated {
    fn card(&self) -> &EventCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.labels[place(split)].len()
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.labels[place(split)].get(index).copied().unwrap_or(0)
    }

    fn place(&self, split: Split, index: usize) -> String {
        format!("{} {split} {index} (simulated)", self.card.id)
    }

    /// The first recordings themselves, which change with the key, the images and the sensor; of the rest nothing more can
    /// be told than that they follow from the same.
    fn stamp(&self, split: Split, index: usize) -> Result<Vec<u8>, DataError> {
        match index {
            0..STAMPED => event_files::atis_bin(&self.decoded(split, index)?.events),
            _ => Ok(Vec::new()),
        }
    }

    fn decoded(&self, split: Split, index: usize) -> Result<Decoded, DataError> {
        let Some(made) = self.made[place(split)].get(index) else {
            return Err(no_sample(self.card.id, split, index, self.len(split)));
        };
        let bytes = match made.get() {
            Some(bytes) => bytes,
            None => {
                let bytes = event_files::atis_bin(&(self.make)(split, index)?)?;
                // Two threads may have made the same bytes; either's will do.
                made.get_or_init(|| bytes.into_boxed_slice())
            }
        };
        atis_bin::read(&self.place(split, index), bytes)
    }
}

/// What a note has to tell of a generator: its version, and the hash of all its parameters.
fn generator((id, version): (&str, u32), parameters: &impl serde::Serialize) -> String {
    // Numbers and names alone; that can't fail.
    let text = serde_json::to_vec(&(id, version, parameters)).unwrap_or_default();
    let hash = hex(&Sha256::digest(text));
    format!("Generator {id} version {version}, parameters {}.", hash.get(..16).unwrap_or_default())
}

fn image_labels(images: &dyn Dataset) -> [Vec<u32>; 2] {
    [Split::Train, Split::Test]
        .map(|split| (0..images.len(split)).map(|index| images.label(split, index)).collect())
}

fn sample_key(key: Key, split: Split, index: usize) -> Key {
    key.fork(split.name()).index(index as u64)
}

/// Images of 28x28 through the N-MNIST preset: dark things on a light ground, three saccades of 105 ms, 34x34.
///
/// # Errors
/// When the images are not grey and 28x28.
pub fn sim_nmnist(images: Arc<dyn Dataset>, key: Key) -> Result<Arc<dyn EventSet>, DataError> {
    let card = images.card();
    if card.shape != [1, 28, 28] {
        let rule = "the N-MNIST preset looks at grey images of 28x28";
        return Err(DataError::event_choice("sim-nmnist", rule, format!("{:?}", card.shape)));
    }
    let (sensor, path) = (Sensor::NMNIST, Path::nmnist());
    let note = format!(
        "Simulated from {}; stands for N-MNIST and is not it. Sensor calibrated on N-MNIST training recordings. {}",
        card.title,
        generator(("sim-nmnist", VERSION), &(sensor, &path))
    );
    let events = EventCard {
        id: "sim-nmnist",
        title: format!("{} through a simulated N-MNIST sensor", card.title),
        classes: card.classes,
        class_names: card.class_names.iter().map(|&name| name.to_owned()).collect(),
        size: sensor.size,
        origin: Origin::Simulated,
        note,
        mirror: Mirror::Breaks,
        licence: card.licence,
    };
    let labels = image_labels(images.as_ref());
    let shape = card.shape;
    let make: Make = Box::new(move |split, index| {
        // The border is the sensor's room around the image, and dark things become light's absence.
        let image = Plane::light(images.image(split, index), shape).padded(3, 0.0).blurred(0.55);
        let bright = Plane { values: image.values.iter().map(|value| 1.0 - value).collect(), ..image };
        watch(&sensor, &path, &bright, 1.0, 630, sample_key(key, split, index))
    });
    Ok(Arc::new(Simulated::new(events, labels, make)))
}

/// Images of any size as CIFAR10-DVS was made, on a 48x48 sensor: 40x40 pixels of their light on a grey ground, four
/// loops around a diamond in 1.28 s. Path and amplitudes are this project's.
///
/// # Errors
/// When the images have neither one channel nor three.
pub fn sim_cifar10_dvs(images: Arc<dyn Dataset>, key: Key) -> Result<Arc<dyn EventSet>, DataError> {
    let card = images.card();
    if !matches!(card.shape[0], 1 | 3) {
        let rule = "images must be grey or of three colours";
        return Err(DataError::event_choice("sim-cifar10-dvs", rule, format!("{:?}", card.shape)));
    }
    let sensor = Sensor { size: [48, 48], black: 0.08, step_us: 1_000, ..Sensor::NMNIST };
    let path = Path::diamond(4, 4.0, 80.0);
    let note = format!(
        "Simulated from {}; stands for CIFAR10-DVS and is not it. {}",
        card.title,
        generator(("sim-cifar10-dvs", VERSION), &(sensor, &path))
    );
    let events = EventCard {
        id: "sim-cifar10-dvs",
        title: format!("{} through a simulated sensor in loops", card.title),
        classes: card.classes,
        class_names: card.class_names.iter().map(|&name| name.to_owned()).collect(),
        size: sensor.size,
        origin: Origin::Simulated,
        note,
        mirror: Mirror::Keeps,
        licence: card.licence,
    };
    let labels = image_labels(images.as_ref());
    let shape = card.shape;
    let make: Make = Box::new(move |split, index| {
        let image = Plane::light(images.image(split, index), shape).enlarged(40, 40).padded(4, 0.5);
        watch(&sensor, &path, &image, 0.5, 1_280, sample_key(key, split, index))
    });
    Ok(Arc::new(Simulated::new(events, labels, make)))
}

/// Eleven gestures of a drawn person on a 48x48 sensor, 1.2 s each, 506 + 132 clips. Train and test have different
/// subjects. The sense in which an arm turns can't be told from counts.
///
/// # Errors
/// None today: the result has the form of its siblings.
pub fn sim_gesture11(key: Key) -> Result<Arc<dyn EventSet>, DataError> {
    let sensor = Sensor { size: SIZE, step_us: 2_000, black: 0.001, ..Sensor::NMNIST };
    let note = format!(
        "Simulated from drawn figures; stands for DVS128 Gesture and is not it. {}",
        generator(("sim-gesture11", GESTURE_VERSION), &sensor)
    );
    let card = EventCard {
        id: "sim-gesture11",
        title: "gestures of a drawn figure through a simulated sensor".to_owned(),
        classes: CLASSES.len(),
        class_names: CLASSES.map(str::to_owned).to_vec(),
        size: SIZE,
        origin: Origin::Simulated,
        note,
        // Outward stays outward.
        mirror: Mirror::Swaps(&[[1, 2], [3, 5], [4, 6]]),
        licence: "MIT OR Apache-2.0",
    };
    let classes = CLASSES.len() as u64;
    let labels = SUBJECTS.map(|subjects| {
        (0..subjects * CLIPS * classes).map(|clip| (clip % classes) as u32).collect::<Vec<u32>>()
    });
    let make: Make = Box::new(move |split, index| {
        let first = if split == Split::Train { 0 } else { SUBJECTS[0] };
        let subject = first + index as u64 / (CLIPS * classes);
        let class = (index as u64 % classes) as u32;
        let sample = sample_key(key, split, index);
        let clip = Clip::draw(class, key.fork("subject").index(subject), sample.fork("clip"));
        sensor.record(600, sample, |t_ms, target| {
            clip.look(t_ms, target);
            true
        })
    });
    Ok(Arc::new(Simulated::new(card, labels, make)))
}

/// What stands for an event set where its files are not there, and the protocol to read it with: `nmnist`, `cifar10dvs`
/// and `dvsgesture`, by the first part of a protocol's name. The first two look at the Fashion-MNIST that ships.
///
/// # Errors
/// When nothing stands for the name, or the shipped images are damaged.
pub fn stand_in(name: &str, key: Key) -> Result<(Arc<dyn EventSet>, EventProtocol), DataError> {
    let unknown = || {
        let rule = "stand-ins exist for nmnist, cifar10dvs and dvsgesture";
        DataError::event_choice("stand-in", rule, name)
    };
    let images = || find("fashion-mnist-mini").ok_or_else(unknown).and_then(|entry| (entry.open)(None));
    let (set, protocol) = match name.split('/').next() {
        Some("nmnist") => (sim_nmnist(images()?, key)?, "sim-nmnist/frames"),
        Some("cifar10dvs") => (sim_cifar10_dvs(images()?, key)?, "sim-cifar10-dvs/frames"),
        Some("dvsgesture") => (sim_gesture11(key)?, "sim-gesture11/frames"),
        _ => return Err(unknown()),
    };
    Ok((set, named(protocol).ok_or_else(unknown)?))
}

/// A plane that moves along a path before a sensor of its size.
fn watch(
    sensor: &Sensor,
    path: &Path,
    plane: &Plane,
    outside: f32,
    steps: u32,
    key: Key,
) -> Result<Vec<Event>, DataError> {
    let mut last = None;
    sensor.record(steps, key, |t_ms, target| {
        let at = path.at(t_ms);
        let moved = last != Some(at);
        if moved {
            plane.moved(at, outside, target);
            last = Some(at);
        }
        moved
    })
}
