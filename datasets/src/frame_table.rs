//! The table of frame sets: event sets, their simulated stand-ins and the temporal tasks, one entry each.

use std::{path::Path, sync::Arc};

use keys::Key;

use crate::{
    DataError, Split,
    convert::{self, Converted},
    events::{EventProtocol, EventSet, FrameSet, Framed, Origin, named, open_folder},
    simulate,
    temporal::{BinaryAdding, DelayedRecall, MeanOverTime, TaskSet, sequential_pixels},
};

/// Key of everything that is made by the program: a set is the same in every run, as a set on disk is.
const KEY: u64 = 7;

/// Cues of the recall task, and classes.
const CUES: usize = 4;

/// Dots of a step that noise inverts.
const NOISE: f64 = 0.1;

/// How a frame set is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Folder of the files; a set that the program makes does not look into it.
    pub folder: Option<&'a Path>,
    /// Name of an event protocol; one that the set does not list is passed over for its first.
    pub protocol: Option<&'a str>,
    /// T.
    pub steps: usize,
}

/// A frame set, or why it could not be had.
pub type OpenedFrames = Result<Arc<dyn FrameSet>, DataError>;

/// A frame set that can be opened by its id.
#[derive(Clone, Copy, Debug)]
pub struct FrameEntry {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Number of classes.
    pub classes: usize,
    /// Samples in the train and in the test split, whole; a protocol may leave some out.
    pub counts: [usize; 2],
    /// Where the samples come from.
    pub origin: Origin,
    /// Licence of the data, not of this code.
    pub licence: &'static str,
    /// Where the data come from.
    pub source: &'static str,
    /// Whether it needs a folder.
    pub needs_data_dir: bool,
    /// Names of the event protocols that fit, the one first that is used where none is asked for; none for a task, which
    /// makes its own frames.
    pub protocols: &'static [&'static str],
    /// The set that it stands for, by the first part of its protocols' names; `None` of a set that stands for itself.
    pub stands_for: Option<&'static str>,
    steps: Steps,
    open: fn(&FrameEntry, &Request<'_>) -> OpenedFrames,
}

/// The T at which a set can be had, beside 1: all of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    Any,
    Multiple(usize),
    Exactly(usize),
}

const FOLDER: FrameEntry = FrameEntry {
    id: "n-mnist",
    title: "N-MNIST",
    classes: 10,
    counts: [60_000, 10_000],
    origin: Origin::Real,
    licence: "CC BY-SA 4.0",
    source: "Orchard et al., 2015: Train.zip and Test.zip, 1.2 GB",
    needs_data_dir: true,
    protocols: &["nmnist/official"],
    stands_for: None,
    steps: Steps::Any,
    open: framed,
};

const SIMULATED: FrameEntry = FrameEntry {
    id: "sim-nmnist",
    title: "stand-in of N-MNIST: shipped pictures through a simulated sensor",
    counts: [6_000, 2_000],
    origin: Origin::Simulated,
    licence: "MIT",
    source: "made by the program",
    needs_data_dir: false,
    protocols: &["sim-nmnist/frames"],
    stands_for: Some("nmnist"),
    ..FOLDER
};

const TASK: FrameEntry = FrameEntry {
    id: "delayed-recall",
    title: "delayed recall: which of four cues came first?",
    classes: CUES,
    counts: [2_000, 500],
    origin: Origin::Procedural,
    licence: "the project's own",
    protocols: &[],
    stands_for: None,
    steps: Steps::Multiple(CUES),
    open: |_, request| {
        task(request, |steps| {
            let gap = steps / CUES - 1;
            TaskSet::open(DelayedRecall { cues: CUES, gap, noise: NOISE }, TASK.counts, Key::new(KEY))
        })
    },
    ..SIMULATED
};

/// Every frame set, in the order of `list`.
pub static FRAME_SETS: &[FrameEntry] = &[
    FOLDER,
    FrameEntry {
        id: "cifar10-dvs",
        title: "CIFAR10-DVS",
        counts: [9_000, 1_000],
        licence: "CC BY 4.0",
        source: "Li et al., 2017: ten folders of .aedat, 8 GB unpacked; or SpikingJelly's .npz",
        protocols: &[
            "cifar10dvs/first900-clean",
            "cifar10dvs/first900",
            "cifar10dvs/first900-sltt",
            "cifar10dvs/tebn-0-99",
            "cifar10dvs/sj-lexicographic",
        ],
        ..FOLDER
    },
    FrameEntry {
        id: "dvs128-gesture",
        title: "DVS128 Gesture",
        classes: 11,
        counts: [1_176, 288],
        licence: "CC BY 4.0",
        source: "Amir et al., 2017: DvsGesture.tar.gz, 2.9 GB",
        protocols: &["dvsgesture/1464", "dvsgesture/1342", "dvsgesture/1464-wide"],
        ..FOLDER
    },
    SIMULATED,
    FrameEntry {
        id: "sim-cifar10-dvs",
        title: "stand-in of CIFAR10-DVS: shipped pictures before a simulated sensor",
        protocols: &["sim-cifar10-dvs/frames"],
        stands_for: Some("cifar10dvs"),
        ..SIMULATED
    },
    FrameEntry {
        id: "sim-gesture11",
        title: "stand-in of DVS128 Gesture: a drawn figure before a simulated sensor",
        classes: 11,
        counts: [506, 132],
        licence: "the project's own",
        protocols: &["sim-gesture11/frames"],
        stands_for: Some("dvsgesture"),
        ..SIMULATED
    },
    TASK,
    FrameEntry {
        id: "binary-adding",
        title: "binary adding: the sum of two marked bits, modulo 2",
        classes: 2,
        steps: Steps::Any,
        open: |_, request| {
            task(request, |steps| {
                TaskSet::open(BinaryAdding { steps, marks: 2, noise: NOISE }, TASK.counts, Key::new(KEY))
            })
        },
        ..TASK
    },
    FrameEntry {
        id: "sequential-pixels",
        title: "pictures that come row by row",
        open: |_, request| task(request, |_| sequential_pixels(false)),
        ..PIXELS
    },
    FrameEntry {
        id: "permuted-pixels",
        title: "pictures that come in parts, permuted",
        open: |_, request| task(request, |_| sequential_pixels(true)),
        ..PIXELS
    },
];

const PIXELS: FrameEntry = FrameEntry {
    classes: 10,
    counts: [6_000, 2_000],
    origin: Origin::RealSubset,
    licence: "MIT",
    source: "the shipped part of Fashion-MNIST",
    steps: Steps::Exactly(28),
    ..TASK
};

/// The frame set of an id.
#[must_use]
pub fn find_frames(id: &str) -> Option<&'static FrameEntry> {
    FRAME_SETS.iter().find(|entry| entry.id == id)
}

impl FrameEntry {
    /// Opens the set at a T.
    ///
    /// # Errors
    /// When the set can't be had at this T, or its files are missing or break a rule of their format.
    pub fn open(&self, request: &Request<'_>) -> OpenedFrames {
        self.check(request.steps)?;
        (self.open)(self, request)
    }

    /// The recordings behind the frames; `None` of a task, which has none.
    ///
    /// # Errors
    /// As [`FrameEntry::open`].
    pub fn events(&self, request: &Request<'_>) -> Result<Option<Arc<dyn EventSet>>, DataError> {
        match self.protocols {
            [] => Ok(None),
            _ => recordings(self, request).map(|(set, _)| Some(set)),
        }
    }

    /// Packs the recordings of a set that lies in files, as [`crate::convert::events`] does.
    ///
    /// # Errors
    /// As that, and when the program makes the set: there is nothing to pack.
    pub fn convert(
        &self,
        request: &Request<'_>,
        folder: &Path,
        progress: &dyn Fn(Split, usize, usize),
    ) -> Result<Vec<Converted>, DataError> {
        if !self.needs_data_dir {
            let rule = "a set that is packed must lie in files; the program makes this one";
            return Err(DataError::event_choice("convert", rule, self.id));
        }
        let (set, protocol) = recordings(self, request)?;
        convert::events(set.as_ref(), &protocol, folder, progress)
    }

    /// Refuses a T at which the set can't be had. T = 1 can always: it is all of a sample at once.
    ///
    /// # Errors
    /// As said.
    pub fn check(&self, steps: usize) -> Result<(), DataError> {
        let (fits, rule) = match self.steps {
            Steps::Any => (steps > 0, "T must be at least 1".to_owned()),
            Steps::Multiple(of) => (
                steps == 1 || (steps > 0 && steps.is_multiple_of(of)),
                format!("T must be 1 or a multiple of {of}"),
            ),
            Steps::Exactly(own) => (steps == 1 || steps == own, format!("T must be 1 or {own}")),
        };
        if fits { Ok(()) } else { Err(DataError::Steps { dataset: self.id, rule, found: steps }) }
    }

    /// The event protocol that a name asks for, or the set's first; `None` of a task.
    #[must_use]
    pub fn protocol(&self, asked: Option<&str>) -> Option<&'static str> {
        let listed = |name: &str| self.protocols.iter().copied().find(|own| *own == name);
        asked.and_then(listed).or_else(|| self.protocols.first().copied())
    }

    /// T where nothing else is asked for: that of the protocol that a name asks for, or the task's own.
    #[must_use]
    pub fn steps_under(&self, asked: Option<&str>) -> usize {
        match (self.protocol(asked).and_then(named), self.steps) {
            (Some(protocol), _) => protocol.frames.steps(),
            (None, Steps::Exactly(own)) => own,
            (None, Steps::Any | Steps::Multiple(_)) => OWN_STEPS,
        }
    }

    /// Shape of a frame, `[C, H, W]`, under the protocol that a name asks for.
    #[must_use]
    pub fn shape(&self, asked: Option<&str>) -> [usize; 3] {
        match self.protocol(asked).and_then(named) {
            Some(protocol) => [2, protocol.size[0], protocol.size[1]],
            None => match self.steps {
                Steps::Exactly(_) => [1, 1, 28],
                Steps::Multiple(_) => [1, 8, 8],
                Steps::Any => [2, 8, 8],
            },
        }
    }
}

/// The recordings of an event set and the protocol that makes frames of them. Files lie in the folder itself, or in one
/// below it that has the set's id.
fn recordings(
    entry: &FrameEntry,
    request: &Request<'_>,
) -> Result<(Arc<dyn EventSet>, EventProtocol), DataError> {
    let name = entry.protocol(request.protocol).unwrap_or_default();
    let protocol = named(name)
        .ok_or_else(|| DataError::event_choice("protocol", "an event set must have a named protocol", name))?
        .with_steps(request.steps);
    let set = match (entry.stands_for, request.folder) {
        (Some(name), _) => simulate::stand_in(name, Key::new(KEY))?.0,
        (None, Some(folder)) => {
            let own = folder.join(entry.id);
            open_folder(&protocol, if own.is_dir() { &own } else { folder })?
        }
        (None, None) => return Err(DataError::NoFolder { dataset: entry.id, files: entry.source }),
    };
    Ok((set, protocol))
}

fn framed(entry: &FrameEntry, request: &Request<'_>) -> OpenedFrames {
    let (set, protocol) = recordings(entry, request)?;
    Ok(Arc::new(Framed::new(set, protocol)?))
}

/// A task at its T; at T = 1 the mean of its frames.
fn task(request: &Request<'_>, make: impl Fn(usize) -> Result<Arc<dyn FrameSet>, DataError>) -> OpenedFrames {
    match request.steps {
        1 => Ok(Arc::new(MeanOverTime::new(make(OWN_STEPS)?))),
        steps => make(steps),
    }
}

/// T of a task that leaves it open, where nothing else is asked for; also what a task at T = 1 is the mean of.
const OWN_STEPS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_that_the_program_makes_opens_as_its_line_says() {
        for entry in FRAME_SETS.iter().filter(|entry| !entry.needs_data_dir) {
            let steps = match entry.steps {
                Steps::Any => 3,
                Steps::Multiple(of) => 2 * of,
                Steps::Exactly(own) => own,
            };
            for steps in [1, steps] {
                let set = entry.open(&Request { folder: None, protocol: None, steps }).unwrap();
                let card = set.card();
                assert_eq!(card.id, entry.id);
                assert_eq!(card.classes, entry.classes, "{}", entry.id);
                assert_eq!(card.origin, entry.origin, "{}", entry.id);
                let [channels, height, width] = entry.shape(None);
                assert_eq!(card.shape, [steps, channels, height, width], "{}", entry.id);
                assert_eq!([set.len(Split::Train), set.len(Split::Test)], entry.counts, "{}", entry.id);
                assert_eq!(set.identity().unwrap().len(), 64);
            }
        }
    }

    #[test]
    fn a_set_says_which_t_it_can_be_had_at() {
        let refused = |id: &str, steps| find_frames(id).unwrap().check(steps).unwrap_err().to_string();
        assert!(refused("delayed-recall", 6).contains("T must be 1 or a multiple of 4"));
        assert!(refused("sequential-pixels", 27).contains("T must be 1 or 28"));
        assert!(refused("n-mnist", 0).contains("at least 1"));
        assert!(find_frames("binary-adding").unwrap().check(5).is_ok());
    }

    #[test]
    fn a_protocol_that_the_set_lists_is_taken_and_another_passed_over() {
        let gesture = find_frames("dvs128-gesture").unwrap();
        assert_eq!(gesture.protocol(Some("dvsgesture/1342")), Some("dvsgesture/1342"));
        assert_eq!(gesture.protocol(Some("cifar10dvs/first900")), Some("dvsgesture/1464"));
        assert_eq!(gesture.shape(None), [2, 128, 128]);
        assert_eq!(find_frames("binary-adding").unwrap().protocol(Some("dvsgesture/1342")), None);
    }

    #[test]
    fn a_task_at_one_step_is_the_mean_of_its_frames() {
        let set = |steps| {
            let request = Request { folder: None, protocol: None, steps };
            find_frames("delayed-recall").unwrap().open(&request).unwrap()
        };
        let (whole, mean) = (set(OWN_STEPS), set(1));
        let (mut frames, mut found) = (vec![0.0; whole.card().numbers()], vec![0.0; mean.card().numbers()]);
        for index in [0, 7] {
            let label = whole.write(Split::Test, index, None, &mut frames).unwrap();
            assert_eq!(mean.write(Split::Test, index, None, &mut found).unwrap(), label);
            for (place, found) in found.iter().enumerate() {
                let sum: f32 = frames.iter().skip(place).step_by(64).sum();
                assert!((found - sum / OWN_STEPS as f32).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_missing_folder_is_told_as_of_any_set() {
        let entry = find_frames("cifar10-dvs").unwrap();
        let error = entry.open(&Request { folder: None, protocol: None, steps: 10 }).unwrap_err();
        assert!(error.to_string().contains("cifar10-dvs"), "{error}");
    }
}
