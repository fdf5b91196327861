//! A published number, with what its digits say, where it was read, and what it is of.

use serde::Deserialize;

/// A number as it is printed: its digits say how sure it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Figure {
    /// As printed.
    pub(crate) text: String,
    /// The number.
    pub(crate) value: f64,
    /// Digits behind the point.
    pub(crate) decimals: usize,
}

impl TryFrom<String> for Figure {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = match text.split_once('.') {
            Some((whole, rest)) if digits(whole) && digits(rest) => Some(rest.len()),
            None if digits(&text) => Some(0),
            _ => None,
        };
        match (decimals, text.parse()) {
            (Some(decimals), Ok(value)) => Ok(Self { text, value, decimals }),
            _ => {
                Err(format!("a published number must be digits in quotes, such as \"85.70\", got \"{text}\""))
            }
        }
    }
}

impl Figure {
    /// Half a unit of the last printed digit: what rounding may have hidden.
    pub(crate) fn rounding(&self) -> f64 {
        0.5 * 0.1f64.powi(self.decimals as i32)
    }
}

/// What a source says of its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    /// It is the number.
    #[default]
    Exact,
    /// It is smaller than the number.
    Below,
    /// It is near the number: within a tenth.
    About,
}

/// Where a number was read. What stands here alone may stand in a file: a number from memory has no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tag {
    /// The authors' training logs.
    Log,
    /// The authors' code, or a count of it that was made again.
    Code,
    /// The paper's abstract.
    Abstract,
    /// The read-me file of the authors' code.
    Readme,
    /// A table of another paper that was read in full.
    Full,
    /// Second hand: a summary that was made from the paper, and agrees with the first-hand sources where they overlap.
    #[serde(rename = "second-hand")]
    SecondHand,
    /// Somebody's notes on a paper whose table was not seen: shown as a note, and no gate.
    Note,
}

impl Tag {
    /// Whether a measured number may be judged by it.
    pub(crate) fn is_gate(self) -> bool {
        self != Tag::Note
    }

    /// As tables print it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Tag::Log => "log",
            Tag::Code => "code",
            Tag::Abstract => "abstract",
            Tag::Readme => "read-me",
            Tag::Full => "another paper's table",
            Tag::SecondHand => "second hand",
            Tag::Note => "note",
        }
    }
}

/// What a number is of, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantity {
    /// Test top-1 accuracy of the best epoch, in percent.
    Top1Percent,
    /// Number of trainable scalars while it is trained.
    TrainedParameters,
    /// Number of scalars that a trained network reads.
    Parameters,
    /// The same, in millions.
    ParametersMillions,
    /// Memory of a training step divided by its batch, in units of 1,000,000 bytes.
    MegabytesPerImage,
    /// Memory of a training step, in units of 1,000,000,000 bytes or of 2^30: most sources do not tell.
    Gigabytes,
    /// Wall time of an epoch, in minutes.
    MinutesPerEpoch,
    /// Wall time of an epoch, in seconds.
    SecondsPerEpoch,
    /// Wall time of an epoch, in hours.
    HoursPerEpoch,
    /// Wall time of the whole training, in hours.
    Hours,
    /// Training samples in a second.
    SamplesPerSecond,
    /// Energy of one inference by the papers' convention of 4.6 pJ a multiply-accumulate and 0.9 pJ an accumulate, in mJ.
    Millijoules,
    /// Epochs until 60 % top-1 accuracy.
    EpochsToSixty,
    /// Cosine of the angle between the gradient of all parameters and that of exact backpropagation through time.
    GradientCosine,
}

impl Quantity {
    /// As tables print it, with its unit.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Quantity::Top1Percent => "top-1, %",
            Quantity::TrainedParameters => "parameters trained",
            Quantity::Parameters => "parameters in use",
            Quantity::ParametersMillions => "parameters, M",
            Quantity::MegabytesPerImage => "memory, MB/img",
            Quantity::Gigabytes => "memory, GB",
            Quantity::MinutesPerEpoch => "time, min/epoch",
            Quantity::SecondsPerEpoch => "time, s/epoch",
            Quantity::HoursPerEpoch => "time, h/epoch",
            Quantity::Hours => "training, h",
            Quantity::SamplesPerSecond => "samples/s",
            Quantity::Millijoules => "energy, mJ",
            Quantity::EpochsToSixty => "epochs to 60 %",
            Quantity::GradientCosine => "gradient cosine",
        }
    }

    /// Digits behind the point of a measured number that no published one stands beside.
    pub(crate) fn decimals(self) -> usize {
        match self {
            Quantity::GradientCosine => 3,
            _ => 2,
        }
    }
}
