//! What each sample of a batch should be called.

use kernels::loss::Labels;

use crate::error::{Error, Result};

/// One class a sample, or two with a share each, as mixup makes them (Zhang et al., ICLR 2018).
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class a sample, `[B]`.
    Classes(Vec<u32>),
    /// Two classes a sample.
    Mixed(Mixed),
}

/// Two classes a sample: the row of a target is `share * onehot(first) + (1 - share) * onehot(second)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    first: Vec<u32>,
    second: Vec<u32>,
    shares: Vec<f64>,
}

impl Targets {
    /// Two classes a sample and the share of the first.
    ///
    /// # Errors
    /// When the lists are not of one length or a share is out of `[0, 1]`.
    pub fn mixed(first: Vec<u32>, second: Vec<u32>, shares: Vec<f64>) -> Result<Self> {
        for (place, found) in [("second classes", second.len()), ("shares", shares.len())] {
            if found != first.len() {
                let rule = format!("as many as first classes, {}", first.len());
                return Err(Error::setting(format!("targets: number of {place}"), rule, found));
            }
        }
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(Error::setting("targets: share of the first class", "in [0, 1]", share));
        }
        Ok(Self::Mixed(Mixed { first, second, shares }))
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Mixed(mixed) => mixed.first.len(),
        }
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class with the largest share of each sample, which counts as right; of two halves the lower class, as an
    /// arg-max over the row gives it.
    pub fn best(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).map(|sample| match self {
            Self::Classes(classes) => classes[sample],
            Self::Mixed(Mixed { first, second, shares }) => {
                let (a, b, share) = (first[sample], second[sample], shares[sample]);
                match share.total_cmp(&0.5) {
                    std::cmp::Ordering::Greater => a,
                    std::cmp::Ordering::Less => b,
                    std::cmp::Ordering::Equal => a.min(b),
                }
            }
        })
    }

    pub(super) fn labels(&self) -> Labels<'_> {
        match self {
            Self::Classes(classes) => Labels::Classes(classes),
            Self::Mixed(Mixed { first, second, shares }) => Labels::Mixed { first, second, shares },
        }
    }
}

impl From<Vec<u32>> for Targets {
    fn from(classes: Vec<u32>) -> Self {
        Self::Classes(classes)
    }
}
