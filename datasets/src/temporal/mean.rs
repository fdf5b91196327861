//! All of a sample at once.

use std::sync::Arc;

use keys::Key;

use super::task::digest;
use crate::{
    DataError, Split,
    events::{FrameCard, FrameSet, check_target},
};

/// The mean over time of another set's frames, `[1, C, H, W]`: what a method without time can see of it.
pub struct MeanOverTime {
    inner: Arc<dyn FrameSet>,
    card: FrameCard,
}

impl MeanOverTime {
    /// The mean of a set.
    #[must_use]
    pub fn new(inner: Arc<dyn FrameSet>) -> Self {
        let own = inner.card();
        let [steps, channels, height, width] = own.shape;
        let card = FrameCard {
            protocol: format!("{}+mean", own.protocol),
            shape: [1, channels, height, width],
            note: format!("The mean of {steps} frames. {}", own.note),
            ..own.clone()
        };
        Self { inner, card }
    }
}

impl FrameSet for MeanOverTime {
    fn card(&self) -> &FrameCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.inner.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.inner.label(split, index)
    }

    fn write(
        &self,
        split: Split,
        index: usize,
        augment: Option<Key>,
        target: &mut [f32],
    ) -> Result<u32, DataError> {
        check_target(&self.card, target)?;
        let mut frames = vec![0.0; self.inner.card().numbers()];
        let label = self.inner.write(split, index, augment, &mut frames)?;
        let steps = (frames.len() / target.len()) as f32;
        target.fill(0.0);
        for frame in frames.chunks_exact(target.len()) {
            target.iter_mut().zip(frame).for_each(|(sum, value)| *sum += value);
        }
        target.iter_mut().for_each(|sum| *sum /= steps);
        Ok(label)
    }

    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError> {
        digest(self, split, index)
    }

    fn identity(&self) -> Result<String, DataError> {
        self.inner.identity()
    }
}
