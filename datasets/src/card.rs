//! What a data set says of itself, and what it hands out.

use std::{borrow::Cow, fmt};

use crate::DataError;

/// One of the two parts that a data set comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The samples to learn from.
    Train,
    /// The samples to be judged on.
    Test,
}

impl Split {
    /// The split's name as records and messages write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The facts of a data set that do not need its files.
#[derive(Debug)]
pub struct Card {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Number of classes; labels are `0..classes`.
    pub classes: usize,
    /// Shape of one image, `[C, H, W]`.
    pub shape: [usize; 3],
    /// Samples in the train and in the test split.
    pub counts: [usize; 2],
    /// Licence of the data, not of this code.
    pub licence: &'static str,
    /// Where the data come from.
    pub source: &'static str,
    /// Whether [`crate::DatasetEntry::open`] needs a folder.
    pub needs_data_dir: bool,
    /// Mean of each channel, with pixels scaled to `[0, 1]`.
    pub mean: &'static [f32],
    /// Standard deviation of each channel (over all pixels, dividing by N), with pixels scaled to `[0, 1]`.
    pub std: &'static [f32],
    /// Names of the classes in label order.
    pub class_names: &'static [&'static str],
    /// Manifest of the files that the project was checked with. Another value means other pictures or another order, such
    /// as MNIST under the file names that it shares with Fashion-MNIST.
    pub known_manifest: Option<&'static str>,
    /// What a left-right mirror does to the classes.
    pub mirror: Mirror,
    /// Why the set is not the one whose shape it has, and how it was made; `None` for the set itself. An accuracy on a
    /// stand-in is marked as such wherever it is shown and compared with no published value.
    pub stand_in: Option<&'static str>,
}

/// What a left-right mirror does to the classes of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// A mirrored sample keeps its label.
    Keeps,
    /// Pairs of classes that a mirror swaps, such as waves of the left and of the right hand; the others keep their label.
    Swaps(&'static [[u32; 2]]),
    /// A mirrored sample is of no class, as of digits.
    Breaks,
}

impl Mirror {
    /// The label of a mirrored sample.
    #[must_use]
    pub fn label(self, label: u32) -> u32 {
        let Self::Swaps(pairs) = self else { return label };
        let partner = pairs.iter().find_map(|&[left, right]| match label {
            label if label == left => Some(right),
            label if label == right => Some(left),
            _ => None,
        });
        partner.unwrap_or(label)
    }
}

/// Pictures as their files have them: JPEG, or PNG.
pub trait Encoded: Send + Sync {
    /// The bytes of a picture's file.
    ///
    /// # Errors
    /// When the file can't be read, or is not what was packed.
    fn bytes(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError>;
}

impl Card {
    /// Numbers in one image, `C * H * W`.
    #[must_use]
    pub const fn pixels(&self) -> usize {
        self.shape[0] * self.shape[1] * self.shape[2]
    }
}

/// A labelled image set, held as bytes on the host.
///
/// Indices are those of the files: `0..len(split)`. An index beyond that is a bug of the caller and stops the thread,
/// as an index beyond a slice does.
pub trait Dataset: Send + Sync {
    /// The facts of the set.
    fn card(&self) -> &Card;

    /// Samples in a split.
    fn len(&self, split: Split) -> usize;

    /// Whether a split holds nothing.
    fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// One image, `[C, H, W]`, as the file has it; empty where the set's images are [`Dataset::encoded`].
    fn image(&self, split: Split, index: usize) -> &[u8];

    /// One label, in `0..classes`.
    fn label(&self, split: Split, index: usize) -> u32;

    /// SHA-256 in hex over everything that training can see of the set: shape, counts, labels and pixels, in order.
    ///
    /// It does not depend on how the files are packed, so a set unpacked and a set in gzip files have one manifest. Of
    /// encoded pictures it covers names, labels and lengths in place of pixels: 150 GB are not read before a run. Their
    /// contents are summed where the set is packed, and by `harness data verify`.
    fn manifest(&self) -> &str;

    /// The pictures of a set that holds no planes.
    fn encoded(&self) -> Option<&dyn Encoded> {
        None
    }

    /// Checks a sample against the sums that were packed with it; `false` where none were.
    ///
    /// # Errors
    /// When the sample is not what was packed.
    fn check_sums(&self, _split: Split, _index: usize) -> Result<bool, DataError> {
        Ok(false)
    }

    /// What a message calls a sample: its file, or its place.
    fn name(&self, split: Split, index: usize) -> String {
        format!("{}/{split}/{index}", self.card().id)
    }
}

impl fmt::Debug for dyn Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("id", &self.card().id).finish_non_exhaustive()
    }
}
