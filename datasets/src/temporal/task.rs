//! A generated task as a frame set.

use std::sync::Arc;

use keys::Key;
use sha2::{Digest, Sha256};

use crate::{
    DataError, Split,
    events::{FrameCard, FrameSet, Origin, check_target, no_sample},
    hex::hex,
};

/// Rows and columns of the planes of made tasks.
pub(super) const SIDE: usize = 8;

/// A rule that makes labelled frames `[T, C, 8, 8]` from keys.
pub trait Task: Send + Sync + serde::Serialize {
    /// Id of the task, with `rev` raised when its samples change.
    fn id(&self) -> &'static str;

    /// Name for people.
    fn title(&self) -> String;

    /// What one has to know of it, such as what a method without memory can reach.
    fn note(&self) -> String;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Shape of a sample, `[T, C, H, W]`.
    fn shape(&self) -> [usize; 4];

    /// Refuses parameters out of range.
    ///
    /// # Errors
    /// As said.
    fn check(&self) -> Result<(), DataError>;

    /// Writes the sample of a class; `target` is zeros of [`Task::shape`].
    fn make(&self, class: u32, key: Key, target: &mut [f32]);
}

/// The samples of a task, made when they are asked for. Sample i is of class `i mod classes`.
pub struct TaskSet<T> {
    task: T,
    counts: [usize; 2],
    key: Key,
    card: FrameCard,
}

impl<T: Task + 'static> TaskSet<T> {
    /// So many samples to train and to test.
    ///
    /// # Errors
    /// When a parameter of the task is out of range.
    pub fn open(task: T, counts: [usize; 2], key: Key) -> Result<Arc<dyn FrameSet>, DataError> {
        task.check()?;
        // Numbers and names alone; that can't fail.
        let parameters = serde_json::to_vec(&(task.id(), &task)).unwrap_or_default();
        let card = FrameCard {
            id: task.id(),
            title: task.title(),
            protocol: format!("{}@1", task.id()),
            protocol_hash: hex(&Sha256::digest(parameters)),
            classes: task.classes(),
            shape: task.shape(),
            counts: false,
            origin: Origin::Procedural,
            note: task.note(),
        };
        Ok(Arc::new(Self { task, counts, key, card }))
    }
}

impl<T: Task> FrameSet for TaskSet<T> {
    fn card(&self) -> &FrameCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        match split {
            Split::Train => self.counts[0],
            Split::Test => self.counts[1],
        }
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        (index % self.card.classes) as u32
    }

    fn write(
        &self,
        split: Split,
        index: usize,
        _: Option<Key>,
        target: &mut [f32],
    ) -> Result<u32, DataError> {
        check_target(&self.card, target)?;
        if index >= self.len(split) {
            return Err(no_sample(self.card.id, split, index, self.len(split)));
        }
        let label = self.label(split, index);
        target.fill(0.0);
        self.task.make(label, self.key.fork(split.name()).index(index as u64), target);
        Ok(label)
    }

    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError> {
        digest(self, split, index)
    }

    /// Over the parameters and the first samples: the rest follows from the same.
    fn identity(&self) -> Result<String, DataError> {
        let mut all = Sha256::new();
        all.update(&self.card.protocol_hash);
        for split in [Split::Train, Split::Test] {
            all.update((self.len(split) as u64).to_le_bytes());
            for index in 0..self.len(split).min(STAMPED) {
                all.update(digest(self, split, index)?);
            }
        }
        Ok(hex(&all.finalize()))
    }
}

/// Samples of a split that a task's identity covers.
const STAMPED: usize = 10;

/// SHA-256 over the frames themselves.
pub(super) fn digest(set: &dyn FrameSet, split: Split, index: usize) -> Result<[u8; 32], DataError> {
    let mut frames = vec![0.0; set.card().numbers()];
    set.write(split, index, None, &mut frames)?;
    let mut digest = Sha256::new();
    frames.iter().for_each(|value| digest.update(value.to_le_bytes()));
    Ok(digest.finalize().into())
}

/// A fixed pattern of dots, half of the plane: `number` of a family. The same in every release and for every key.
pub(super) fn pattern(family: &str, number: u64) -> [bool; SIDE * SIDE] {
    let mut places: [usize; SIDE * SIDE] = std::array::from_fn(|place| place);
    Key::new(0).fork("pattern").fork(family).index(number).stream().shuffle(&mut places);
    let mut dots = [false; SIDE * SIDE];
    places.iter().take(SIDE * SIDE / 2).for_each(|&place| dots[place] = true);
    dots
}
