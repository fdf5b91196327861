//! Small folders in the layouts of the event sets, so that `open_folder` is tried on files.
//!
//! Every sample is a cloud of events of its own; nothing can be learned from them.

use std::path::Path;

use keys::Key;

use super::event_files;
use crate::{
    DataError,
    events::Event,
    format::{aedat2::Orientation, gesture_csv::Segment},
};

/// Classes of CIFAR10-DVS, as folders.
const CIFAR_CLASSES: [&str; 10] = crate::events::CIFAR_CLASSES;

/// A small folder that can be written.
#[derive(Clone, Copy, Debug)]
pub struct EventTree {
    /// Name on the command line: the set and the format.
    pub name: &'static str,
    /// Id of the set whose part it is.
    pub dataset: &'static str,
    /// A protocol under which it has samples in both splits.
    pub protocol: &'static str,
    write: fn(&Path, Key) -> Result<(), DataError>,
}

impl EventTree {
    /// Writes the tree; the same bytes each time.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        (self.write)(folder, Key::new(1))
    }
}

/// Every tree.
pub static TREES: [EventTree; 4] = [
    EventTree {
        name: "n-mnist-bin",
        dataset: "n-mnist",
        protocol: "nmnist/official",
        write: |folder, key| nmnist(folder, [4, 2], key),
    },
    EventTree {
        name: "cifar10-dvs-aedat2",
        dataset: "cifar10-dvs",
        protocol: "cifar10dvs/sj-lexicographic",
        write: |folder, key| cifar10_dvs(folder, 12, false, key),
    },
    EventTree {
        name: "cifar10-dvs-npz",
        dataset: "cifar10-dvs",
        protocol: "cifar10dvs/sj-lexicographic",
        write: |folder, key| cifar10_dvs(folder, 12, true, key),
    },
    EventTree {
        name: "dvs128-gesture-aedat3",
        dataset: "dvs128-gesture",
        protocol: "dvsgesture/1464",
        write: |folder, key| gesture(folder, [2, 1], key),
    },
];

/// `count` events on a square sensor from `begin` on, less than a millisecond apart.
#[must_use]
pub fn cloud(count: usize, side: u32, begin: i64, key: Key) -> Vec<Event> {
    let mut stream = key.stream();
    let mut t = begin;
    (0..count)
        .map(|_| {
            t += i64::from(stream.below(1_000));
            let (x, y) = (stream.below(side) as u16, stream.below(side) as u16);
            Event { t, x, y, p: stream.chance(0.5) }
        })
        .collect()
}

/// N-MNIST's layout with so many recordings of each digit, to train and to test.
///
/// # Errors
/// When a file can't be written.
pub fn nmnist(folder: &Path, per_class: [usize; 2], key: Key) -> Result<(), DataError> {
    for (split, count) in ["Train", "Test"].into_iter().zip(per_class) {
        let key = key.fork(split);
        for number in 0..10 * count {
            let events = cloud(200 + number, 34, 0, key.index(number as u64));
            let path = folder.join(split).join((number % 10).to_string());
            let name = format!("{:05}.bin", number + 1);
            write(&path, &name, &event_files::atis_bin(&events)?)?;
        }
    }
    Ok(())
}

/// CIFAR10-DVS's layout with recordings 0 to `per_class - 1` of each class, as AEDAT 2.0, or as SpikingJelly's npz.
///
/// # Errors
/// When a file can't be written.
pub fn cifar10_dvs(folder: &Path, per_class: usize, npz: bool, key: Key) -> Result<(), DataError> {
    for (class, name) in (0..).zip(CIFAR_CLASSES) {
        for number in 0..per_class {
            let events = cloud(50, 128, 1_000, key.index(class).index(number as u64));
            let (bytes, ending) = if npz {
                (event_files::npz_events(&events, true)?, "npz")
            } else {
                (event_files::aedat2(&events, Orientation::SpikingJelly, false)?, "aedat")
            };
            write(&folder.join(name), &format!("cifar10_{name}_{number}.{ending}"), &bytes)?;
        }
    }
    Ok(())
}

/// DVS128 Gesture's layout with so many trials to train and to test. A trial shows all eleven gestures and the eighth
/// again, so its label file has twelve rows.
///
/// # Errors
/// When a file can't be written.
pub fn gesture(folder: &Path, trials: [usize; 2], key: Key) -> Result<(), DataError> {
    let order = [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10];
    let mut user = 0;
    for (list, count) in ["trials_to_train.txt", "trials_to_test.txt"].into_iter().zip(trials) {
        let mut names = String::new();
        for _ in 0..count {
            user += 1;
            let (mut events, mut segments) = (Vec::new(), Vec::new());
            for (row, class) in (0_u32..).zip(order) {
                let begin = 1_000_000 * (i64::from(row) + 1);
                events.extend(cloud(100, 128, begin, key.index(user).index(u64::from(row))));
                segments.push(Segment { class, start: begin, end: begin + 500_000 });
            }
            let name = format!("user{user:02}_lab");
            write(folder, &format!("{name}.aedat"), &event_files::aedat3(&events, 64)?)?;
            write(folder, &format!("{name}_labels.csv"), &event_files::gesture_labels(&segments))?;
            names.push_str(&format!("{name}.aedat\n"));
        }
        write(folder, list, names.as_bytes())?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), DataError> {
    let path = folder.join(name);
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, bytes)).map_err(|error| {
        DataError::event_choice(path.display().to_string(), "a file of the tree must be written", error)
    })
}
