//! Sequential pixels: an image that comes in parts.

use std::sync::Arc;

use keys::Key;

use super::task::digest;
use crate::{
    DataError, Dataset, Split,
    events::{FrameCard, FrameSet, Origin, check_target},
    find,
};

/// Steps, and pixels a step.
const SIDE: usize = 28;

/// The fixed order of permuted pixels is that of this key in every run, or results would not compare.
const ORDER: u64 = 0x5EC5;

struct Sequential {
    images: Arc<dyn Dataset>,
    /// The pixel of each place in the sequence.
    order: Vec<usize>,
    card: FrameCard,
}

/// The shipped Fashion-MNIST, 28 pixels a step: `[28, 1, 1, 28]`, values in `[0, 1]`. In the order of rows, or `permuted`
/// by one order for all samples, which takes away what neighbouring pixels tell.
///
/// # Errors
/// When the shipped images are damaged.
pub fn sequential_pixels(permuted: bool) -> Result<Arc<dyn FrameSet>, DataError> {
    let missing = || DataError::event_choice("sequential pixels", "fashion-mnist-mini must ship", "no entry");
    let images = (find("fashion-mnist-mini").ok_or_else(missing)?.open)(None)?;
    let mut order: Vec<usize> = (0..SIDE * SIDE).collect();
    if permuted {
        Key::new(ORDER).stream().shuffle(&mut order);
    }
    let id = if permuted { "permuted-pixels" } else { "sequential-pixels" };
    let card = FrameCard {
        id,
        title: format!("{} in 28 steps{}", images.card().title, if permuted { ", permuted" } else { "" }),
        protocol: format!("{id}@1"),
        protocol_hash: images.manifest().to_owned(),
        classes: images.card().classes,
        shape: [SIDE, 1, 1, SIDE],
        counts: false,
        origin: Origin::RealSubset,
        note: "Real images, shown in parts.".to_owned(),
    };
    Ok(Arc::new(Sequential { images, order, card }))
}

impl FrameSet for Sequential {
    fn card(&self) -> &FrameCard {
        &self.card
    }

    fn len(&self, split: Split) -> usize {
        self.images.len(split)
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.images.label(split, index)
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
            return Err(crate::events::no_sample(self.card.id, split, index, self.len(split)));
        }
        let image = self.images.image(split, index);
        for (value, &place) in target.iter_mut().zip(&self.order) {
            *value = f32::from(image[place]) / 255.0;
        }
        Ok(self.label(split, index))
    }

    fn digest(&self, split: Split, index: usize) -> Result<[u8; 32], DataError> {
        digest(self, split, index)
    }
}
