//! Stand-ins: procedural pictures of CIFAR's and ImageNet's shapes ("synth-shapes v1").
//!
//! `synth-10` and `synth-100` are held in memory. The two of ImageNet's form are JPEG files that are drawn when they are
//! asked for, so that the path of real photographs is the one that is measured; packed by `harness data convert`, they are
//! read instead of drawn.

use std::{
    borrow::Cow,
    path::Path,
    sync::{Arc, OnceLock},
};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    Card, DataError, Dataset, DatasetEntry, Encoded, Extent, Mirror, Split,
    contents::{Contents, Samples},
    encoded::packed,
    hex::hex,
    stand_in::{Nuisances, Scene},
    synth::images::jpeg,
};

const SOURCE: &str = "drawn by the program: synth-shapes v1, seed 7";
const LICENCE: &str = "the project's own";
const QUALITY: u8 = 90;

const SHAPES: &[&str] =
    &["disc", "square", "triangle", "star", "ring", "cross", "crescent", "hexagon", "heart", "bars"];

const BASE: Card = Card {
    id: "synth-10",
    title: "stand-in of CIFAR-10's shape",
    classes: 10,
    shape: [3, 32, 32],
    counts: [8_000, 2_000],
    licence: LICENCE,
    source: SOURCE,
    needs_data_dir: false,
    mean: &[0.4989, 0.4984, 0.4991],
    std: &[0.2358, 0.2360, 0.2358],
    class_names: SHAPES,
    known_manifest: Some("6d6c995ca57f35cb1aa36c43873340802249927c6fc357c41ed7d84c3fd47b77"),
    mirror: Mirror::Keeps,
    stand_in: Some(
        "procedural shapes in place of CIFAR-10: no accuracy on them says anything of photographs",
    ),
};

static CARD_10: Card = BASE;

static CARD_100: Card = Card {
    id: "synth-100",
    title: "stand-in of CIFAR-100's shape",
    classes: 100,
    counts: [10_000, 2_000],
    mean: &[0.4975, 0.5004, 0.4932],
    std: &[0.2362, 0.2358, 0.2369],
    // Shape by texture.
    class_names: &[],
    known_manifest: Some("13c775a912a7b937c4669222e581820ed5022f942b42423147ab6e74adc02e34"),
    stand_in: Some(
        "procedural shapes in place of CIFAR-100: no accuracy on them says anything of photographs",
    ),
    ..BASE
};

static CARD_IMAGENET: Card = Card {
    id: "synth-imagenet",
    title: "stand-in of ImageNet's shape",
    classes: 1_000,
    shape: [3, 224, 224],
    counts: [5_000, 1_000],
    // ImageNet's, so that the named protocols' numbers fit both.
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    class_names: &[],
    known_manifest: Some("ede4d83ed162359e4018f25011c98b6dbb9dbbccd14a700788042f2f3cf9978a"),
    stand_in: Some(
        "procedural shapes in place of ImageNet: no accuracy on them says anything of photographs",
    ),
    ..BASE
};

static CARD_IMAGENET_10: Card = Card {
    id: "synth-imagenet-10",
    title: "stand-in of ImageNet's form, ten classes at 64x64",
    shape: [3, 64, 64],
    counts: [2_000, 500],
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    known_manifest: Some("8eb0e698c2d9a54f46beab3d429912e9e7d7e47ef6502ef6310dbcd0483570cc"),
    stand_in: Some(
        "procedural shapes in place of ImageNet: no accuracy on them says anything of photographs",
    ),
    ..BASE
};

pub(crate) const TEN: DatasetEntry =
    DatasetEntry { id: "synth-10", card: &CARD_10, open: |folder| planes(&CARD_10, folder) };
pub(crate) const HUNDRED: DatasetEntry =
    DatasetEntry { id: "synth-100", card: &CARD_100, open: |folder| planes(&CARD_100, folder) };
pub(crate) const IMAGENET: DatasetEntry = DatasetEntry {
    id: "synth-imagenet",
    card: &CARD_IMAGENET,
    open: |folder| drawn(&CARD_IMAGENET, 256, folder),
};
pub(crate) const IMAGENET_10: DatasetEntry = DatasetEntry {
    id: "synth-imagenet-10",
    card: &CARD_IMAGENET_10,
    open: |folder| drawn(&CARD_IMAGENET_10, 96, folder),
};

fn scene(card: &Card, side: usize) -> Scene {
    Scene { classes: card.classes as u32, side, nuisances: Nuisances::DEFAULT }
}

/// A folder with packed shards is read; any other is not looked into, as of all sets that ship.
fn packed_in(card: &'static Card, folder: Option<&Path>) -> Result<Option<Arc<dyn Dataset>>, DataError> {
    match folder {
        Some(folder) if folder.join(packed::file(Split::Train)).is_file() => {
            // Shards of another set stand for a whole `--data` folder: this one is drawn.
            packed::open(card, folder, Extent::Whole).or(Ok(None))
        }
        _ => Ok(None),
    }
}

fn planes(card: &'static Card, folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    if let Some(packed) = packed_in(card, folder)? {
        return Ok(packed);
    }
    let scene = scene(card, card.shape[1]);
    let [train, test] =
        [(Split::Train, card.counts[0]), (Split::Test, card.counts[1])].map(|(split, count)| {
            let images: Vec<Vec<u8>> = (0..count)
                .into_par_iter()
                .map(|index| {
                    let image = scene.picture(split, index);
                    let channel = |channel: usize| image.pixels.iter().skip(channel).step_by(3);
                    (0..3).flat_map(channel).copied().collect()
                })
                .collect();
            // At most 100 classes.
            let labels = (0..count).map(|index| scene.label(index) as u8).collect();
            Samples { pixels: images.concat(), labels }
        });
    Ok(Arc::new(Contents::new(card, train, test)))
}

fn drawn(card: &'static Card, side: usize, folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    match packed_in(card, folder)? {
        Some(packed) => Ok(packed),
        None => Ok(Arc::new(Drawn { card, scene: scene(card, side), manifest: OnceLock::new() })),
    }
}

/// Pictures that are drawn and encoded when they are asked for.
struct Drawn {
    card: &'static Card,
    scene: Scene,
    manifest: OnceLock<String>,
}

impl Dataset for Drawn {
    fn card(&self) -> &Card {
        self.card
    }

    fn len(&self, split: Split) -> usize {
        match split {
            Split::Train => self.card.counts[0],
            Split::Test => self.card.counts[1],
        }
    }

    fn image(&self, _: Split, _: usize) -> &[u8] {
        &[]
    }

    fn label(&self, _: Split, index: usize) -> u32 {
        self.scene.label(index)
    }

    /// Over the parameters and the first ten pictures of each split: a picture depends on nothing else.
    fn manifest(&self) -> &str {
        self.manifest.get_or_init(|| {
            let mut digest = Sha256::new();
            digest.update(format!("synth-shapes v1 {:?} {:?} JPEG {QUALITY}", self.scene, self.card.counts));
            for split in [Split::Train, Split::Test] {
                (0..10).for_each(|index| digest.update(self.scene.picture(split, index).pixels));
            }
            hex(&digest.finalize())
        })
    }

    fn encoded(&self) -> Option<&dyn Encoded> {
        Some(self)
    }

    fn name(&self, split: Split, index: usize) -> String {
        format!("{}/{split}_{index:06}.JPEG", self.label(split, index))
    }
}

impl Encoded for Drawn {
    fn bytes(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        jpeg(&self.scene.picture(split, index), QUALITY).map(Cow::Owned)
    }
}
