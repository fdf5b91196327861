//! ImageNet-1k of ILSVRC 2012 from a folder: 1,281,167 + 50,000 photographs of 1,000 classes.
//!
//! O. Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015. The 50,000 are the validation
//! set, on which the field both chooses and reports: not a test set in the strict sense.

use std::{path::Path, sync::Arc};

use crate::{
    Card, DataError, Dataset, DatasetEntry, Mirror,
    encoded::{Extent, Pictures, packed},
};

pub(crate) static CARD: Card = Card {
    id: "imagenet",
    title: "ImageNet-1k (ILSVRC 2012)",
    classes: 1_000,
    // What the usual protocols make of photographs of every size.
    shape: [3, 224, 224],
    counts: [1_281_167, 50_000],
    licence: "research and education, on registration",
    source: "image-net.org, ILSVRC 2012",
    needs_data_dir: true,
    // Of the train split's pixels, the field's usual figures.
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    // The class folders name them.
    class_names: &[],
    known_manifest: None,
    mirror: Mirror::Keeps,
    stand_in: None,
};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry { id: "imagenet", card: &CARD, open };

fn open(folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    open_extent(folder, Extent::Whole)
}

pub(crate) fn open_extent(folder: Option<&Path>, extent: Extent) -> Result<Arc<dyn Dataset>, DataError> {
    let files = "train/CLASS/ and val/CLASS/, or ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar with val.txt, or \
                 packed shards";
    packed::open_or(&CARD, folder, files, extent, |folder| {
        Ok(Arc::new(Pictures::open(&CARD, folder, extent)?))
    })
}
