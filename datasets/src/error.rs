//! What can go wrong between a file and a batch; each message states the rule, the value and the place.

use std::{io, path::PathBuf};

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A data set that does not ship was opened without a folder.
    #[error(
        "data set {dataset} does not ship with the project and needs a folder holding {files} (--data DIR)"
    )]
    NoFolder {
        /// Id of the data set.
        dataset: &'static str,
        /// The files that the folder must hold.
        files: &'static str,
    },
    /// A frame set can't be had at a T.
    #[error("data set {dataset}: {rule}, got {found}")]
    Steps {
        /// Id of the data set.
        dataset: &'static str,
        /// Which T it can be had at.
        rule: String,
        /// T.
        found: usize,
    },
    /// The folder given is not a folder.
    #[error("data set {dataset} needs a folder, {} is not one (--data DIR)", folder.display())]
    NotAFolder {
        /// Id of the data set.
        dataset: &'static str,
        /// The path given.
        folder: PathBuf,
    },
    /// A file of the data set is not in the folder.
    #[error("data set {dataset} needs the file {file}, {} does not hold it", folder.display())]
    Missing {
        /// Id of the data set.
        dataset: &'static str,
        /// The file, with the places where it was looked for.
        file: String,
        /// The folder searched.
        folder: PathBuf,
    },
    /// The operating system refused to read a file.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A gzip file is cut short or damaged.
    #[error("{file}: gzip data must end whole, found damage after {unpacked} unpacked bytes ({source})")]
    Gzip {
        /// The file.
        file: String,
        /// Bytes that could be unpacked before the damage.
        unpacked: usize,
        /// What the decoder said.
        source: io::Error,
    },
    /// The first bytes say that the file is of another kind.
    #[error("{file}: magic {expected} expected ({kind}), found {found}")]
    Magic {
        /// The file.
        file: String,
        /// What the file should hold.
        kind: &'static str,
        /// The number that stands for it.
        expected: u32,
        /// The number in the file.
        found: u32,
    },
    /// The file ends inside its header.
    #[error("{file}: the header of {kind} has {expected} bytes, the file holds {found}")]
    Header {
        /// The file.
        file: String,
        /// What the file should hold.
        kind: &'static str,
        /// Bytes of a whole header.
        expected: usize,
        /// Bytes in the file, unpacked.
        found: usize,
    },
    /// The file is shorter or longer than it must be.
    #[error("{file}: {promise} = {expected} bytes, the file holds {found}")]
    Length {
        /// The file.
        file: String,
        /// Where the expected length comes from.
        promise: String,
        /// Bytes expected.
        expected: u128,
        /// Bytes found.
        found: usize,
    },
    /// A file holds another number of samples than its data set has.
    #[error("{file}: the {split} split of {dataset} has {expected} {what}, the file holds {found}")]
    Count {
        /// The file.
        file: String,
        /// Id of the data set.
        dataset: &'static str,
        /// Name of the split.
        split: &'static str,
        /// Images or labels.
        what: &'static str,
        /// Samples of the split.
        expected: usize,
        /// Samples in the file.
        found: usize,
    },
    /// The images are of another size than the data set's.
    #[error(
        "{file}: images of {dataset} are {}x{}, the file holds images of {}x{}",
        expected[0], expected[1], found[0], found[1]
    )]
    Geometry {
        /// The file.
        file: String,
        /// Id of the data set.
        dataset: &'static str,
        /// Rows and columns of the data set's images.
        expected: [usize; 2],
        /// Rows and columns in the file.
        found: [usize; 2],
    },
    /// A label is not a class.
    #[error("{file}: label must be below {classes}, found {found} at sample {sample}")]
    Label {
        /// The file.
        file: String,
        /// Number of classes.
        classes: usize,
        /// The label.
        found: u8,
        /// Its place in the file, from 0.
        sample: usize,
    },
    /// Bytes that break a rule of their format.
    #[error("{file}: {format} at byte {offset}: {rule}, found {found}")]
    Malformed {
        /// The file, and the entry in it.
        file: String,
        /// The format.
        format: &'static str,
        /// Where in the file, from 0.
        offset: u64,
        /// The rule; one text a rule, so that rules can be counted.
        rule: &'static str,
        /// What stands there.
        found: String,
    },
    /// A file of a version that is not read here.
    #[error("{file} is {found}; {way_out}")]
    NotRead {
        /// The file.
        file: String,
        /// What it is.
        found: &'static str,
        /// What to do.
        way_out: &'static str,
    },
    /// A picture that its decoder refuses.
    #[error("{file}: the {format} decoder says: {message}")]
    Picture {
        /// The file, and the entry in it.
        file: String,
        /// JPEG or PNG.
        format: &'static str,
        /// The decoder's words.
        message: String,
    },
    /// A sum that a packed file states is not that of its bytes.
    #[error("{file}: {what} must have the sum {expected}, found {found}: the file is damaged; convert again")]
    Sum {
        /// The file.
        file: String,
        /// Which part.
        what: String,
        /// The sum stated.
        expected: String,
        /// The sum of the bytes.
        found: String,
    },
    /// A file can't be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A cache that another process is writing.
    #[error("{file} is being written by another process; wait for it or end it")]
    Busy {
        /// The file.
        file: String,
    },
    /// A protocol that a data set can't be read by.
    #[error("protocol {protocol} can't read {dataset}: {reason}")]
    Unfit {
        /// Id of the protocol.
        protocol: String,
        /// Id of the data set.
        dataset: &'static str,
        /// Why.
        reason: String,
    },
    /// A mirror on a set whose classes have sides.
    #[error(
        "a left-right flip of {dataset} makes another class of {example}: set flip = false, or swap-labels = true to \
         change the label with the image"
    )]
    Mirror {
        /// Id of the data set.
        dataset: &'static str,
        /// Two classes that a mirror swaps.
        example: String,
    },
    /// A limit asks for nothing or for more than there is.
    #[error("{setting} must be in 1..={available} for data set {dataset}, got {found}")]
    Limit {
        /// Id of the data set.
        dataset: &'static str,
        /// Name of the setting.
        setting: &'static str,
        /// Samples of the split.
        available: usize,
        /// The limit.
        found: usize,
    },
    /// A limit asks for more samples of one class than the split holds.
    #[error("{setting} = {limit} takes {wanted} samples of class {class}, data set {dataset} holds {found}")]
    ClassTooSmall {
        /// Id of the data set.
        dataset: &'static str,
        /// Name of the setting.
        setting: &'static str,
        /// The limit.
        limit: usize,
        /// The class.
        class: usize,
        /// Samples that a balanced prefix takes of it.
        wanted: usize,
        /// Samples that the split has of it.
        found: usize,
    },
    /// A shift as large as the image.
    #[error("shift must be below the image's shorter side {side} for data set {dataset}, got {found}")]
    Shift {
        /// Id of the data set.
        dataset: &'static str,
        /// Shorter side of the images, in pixels.
        side: usize,
        /// The shift.
        found: usize,
    },
    /// A batch size that yields no batch.
    #[error("batch size must be in 1..={available} (samples of the {split} split in use), got {found}")]
    BatchSize {
        /// Name of the split.
        split: &'static str,
        /// Samples in use.
        available: usize,
        /// The batch size.
        found: usize,
    },
    /// An event file breaks a rule of its format.
    #[error("{file}: at byte {offset}: {rule}, found {found}")]
    EventFormat {
        /// The file, and the member where it is an archive.
        file: String,
        /// Where the offending value begins.
        offset: usize,
        /// The rule, one text for each rule.
        rule: &'static str,
        /// The value found.
        found: String,
    },
    /// A choice about event sets or generated sets is out of its range.
    #[error("{setting}: {rule}, got {found}")]
    EventChoice {
        /// What was set.
        setting: String,
        /// The rule.
        rule: &'static str,
        /// The value.
        found: String,
    },
    /// The prefetch thread could not start.
    #[error("cannot start the prefetch thread: {source}")]
    Spawn {
        /// Why.
        source: io::Error,
    },
    /// The prefetch thread ended before its epoch did.
    #[error("the prefetch thread ended with {left} batches of epoch {epoch} left")]
    Prefetch {
        /// The epoch.
        epoch: u64,
        /// Batches not delivered.
        left: usize,
    },
}

impl DataError {
    /// Which rule was broken, without file, place or value, so that the rules that a test reached can be counted.
    #[must_use]
    pub fn rule(&self) -> String {
        match self {
            Self::Malformed { format, rule, .. } => format!("{format}: {rule}"),
            Self::Length { .. } => "length as promised".to_owned(),
            Self::Magic { kind, .. } => format!("magic of {kind}"),
            Self::Header { kind, .. } => format!("whole header of {kind}"),
            Self::Label { .. } => "label below classes".to_owned(),
            Self::Gzip { .. } => "whole gzip".to_owned(),
            Self::Picture { format, message, .. } => {
                // Numbers are values, not rules.
                let words: String =
                    message.chars().filter(|letter| !letter.is_ascii_digit()).take(60).collect();
                format!("{format}: {words}")
            }
            Self::Sum { .. } => "sum of bytes".to_owned(),
            Self::NotRead { found, .. } => (*found).to_owned(),
            Self::EventFormat { rule, .. } | Self::EventChoice { rule, .. } => (*rule).to_owned(),
            other => {
                let text = other.to_string();
                text.split([':', ',']).next_back().unwrap_or_default().trim().to_owned()
            }
        }
    }

    /// An event file that breaks `rule`.
    pub(crate) fn event_format(
        file: &str,
        offset: usize,
        rule: &'static str,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::EventFormat { file: file.to_owned(), offset, rule, found: found.to_string() }
    }

    /// A choice that breaks `rule`.
    pub(crate) fn event_choice(
        setting: impl Into<String>,
        rule: &'static str,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::EventChoice { setting: setting.into(), rule, found: found.to_string() }
    }

    /// Whether memory ran out, and nothing is wrong with the data.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::OutOfMemory)
    }
}
