//! Small trees of the image formats, made of the pictures that ship with the project.
//!
//! The trees are parts of sets: [`crate::open_part`] reads them, and the sets themselves refuse them for their counts.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{
    DataError, Dataset, Extent, Pictures, Split,
    augment::crop::Cropper,
    convert,
    format::{
        cifar_bin::{PIXELS, Version},
        picture::Rgb,
        tar,
    },
    sets::{fashion_mnist_mini, imagenet},
};

/// A format, and how a tree of it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// Fashion-MNIST: four IDX files, two of them gzipped.
    Idx,
    /// CIFAR-10, binary version.
    Cifar10,
    /// CIFAR-100, binary version.
    Cifar100,
    /// ImageNet as class folders, the validation pictures too.
    ImageFolders,
    /// ImageNet as class folders, the validation pictures flat with a list.
    ImageFlat,
    /// ImageNet as the official archives, with a list.
    ImageTars,
    /// ImageNet as packed shards.
    ImageShards,
}

impl Tree {
    /// All trees with the names that the command line has for them.
    pub const ALL: [(&'static str, Self); 7] = [
        ("idx", Self::Idx),
        ("cifar10-binary", Self::Cifar10),
        ("cifar100-binary", Self::Cifar100),
        ("imagenet-folders", Self::ImageFolders),
        ("imagenet-flat", Self::ImageFlat),
        ("imagenet-tars", Self::ImageTars),
        ("imagenet-shards", Self::ImageShards),
    ];

    /// Id of the set whose part the tree is.
    #[must_use]
    pub fn dataset(self) -> &'static str {
        match self {
            Self::Idx => "fashion-mnist",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::ImageFolders | Self::ImageFlat | Self::ImageTars | Self::ImageShards => "imagenet",
        }
    }
}

/// Training pictures in a tree; there are half as many test pictures.
pub const TRAIN: usize = 40;
const TEST: usize = TRAIN / 2;
/// Class folders of the ImageNet trees: the first synsets in the order of names.
const WNIDS: [&str; 4] = ["n01440764", "n01443537", "n01484850", "n01491361"];

/// Writes a tree into a folder, which is made if need be.
///
/// # Errors
/// When a file can't be written.
pub fn write(tree: Tree, folder: &Path) -> Result<(), DataError> {
    let source = fashion_mnist_mini::ENTRY;
    let source = (source.open)(None)?;
    let source = source.as_ref();
    let cifar = |version, inner: &str, train: &str, test: &str| {
        put(&folder.join(inner).join(train), &records(version, source, Split::Train, TRAIN))?;
        put(&folder.join(inner).join(test), &records(version, source, Split::Test, TEST))
    };
    match tree {
        Tree::Idx => idx(source, folder),
        Tree::Cifar10 => {
            let share = TRAIN / 5;
            let all = records(Version::Cifar10, source, Split::Train, TRAIN);
            for (batch, bytes) in (1..).zip(all.chunks(share * Version::Cifar10.record())) {
                put(&folder.join(format!("cifar-10-batches-bin/data_batch_{batch}.bin")), bytes)?;
            }
            let test = records(Version::Cifar10, source, Split::Test, TEST);
            put(&folder.join("cifar-10-batches-bin/test_batch.bin"), &test)
        }
        Tree::Cifar100 => cifar(Version::Cifar100, "cifar-100-binary", "train.bin", "test.bin"),
        Tree::ImageFolders | Tree::ImageFlat | Tree::ImageTars => pictures(tree, source, folder),
        Tree::ImageShards => {
            let inner = folder.join("folders.tmp");
            pictures(Tree::ImageFolders, source, &inner)?;
            let set = Pictures::open(&imagenet::CARD, &inner, Extent::Part)?;
            convert::convert(&set, folder, &|_, _, _| ())?;
            fs::remove_dir_all(&inner)
                .map_err(|source| DataError::Write { file: inner.display().to_string(), source })
        }
    }
}

fn idx(source: &dyn Dataset, folder: &Path) -> Result<(), DataError> {
    for (split, prefix, count) in [(Split::Train, "train", TRAIN), (Split::Test, "t10k", TEST)] {
        let header =
            |words: &[usize]| words.iter().flat_map(|&word| (word as u32).to_be_bytes()).collect::<Vec<u8>>();
        let mut images = header(&[2051, count, 28, 28]);
        (0..count).for_each(|index| images.extend(source.image(split, index)));
        let mut labels = header(&[2049, count]);
        labels.extend((0..count).map(|index| source.label(split, index) as u8));
        let path = folder.join(format!("{prefix}-images-idx3-ubyte.gz"));
        // No name and no time: the same pictures are the same file.
        let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        let packed = encoder.write_all(&images).and_then(|()| encoder.finish());
        let packed =
            packed.map_err(|source| DataError::Write { file: path.display().to_string(), source })?;
        put(&path, &packed)?;
        put(&folder.join(format!("{prefix}-labels-idx1-ubyte")), &labels)?;
    }
    Ok(())
}

/// CIFAR records: the grey picture in the middle of 32x32, in each of three tints.
fn records(version: Version, source: &dyn Dataset, split: Split, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * version.record());
    for index in 0..count {
        let label = source.label(split, index) as u8;
        match version {
            Version::Cifar10 => bytes.push(label),
            Version::Cifar100 => bytes.extend([label * 2, label * 10]),
        }
        let mut planes = [0; PIXELS];
        for (channel, plane) in planes.chunks_exact_mut(1024).enumerate() {
            for (row, from) in source.image(split, index).chunks_exact(28).enumerate() {
                for (to, &from) in plane[(row + 2) * 32 + 2..].iter_mut().zip(from) {
                    *to = from / (channel as u8 + 1);
                }
            }
        }
        bytes.extend(planes);
    }
    bytes
}

/// The ImageNet trees.
fn pictures(tree: Tree, source: &dyn Dataset, folder: &Path) -> Result<(), DataError> {
    let mut inner: Vec<Vec<u8>> = WNIDS.map(|_| Vec::new()).to_vec();
    for index in 0..TRAIN {
        let class = index % WNIDS.len();
        let (name, bytes) =
            (format!("{}_{}.JPEG", WNIDS[class], index), picture(source, Split::Train, index)?);
        match tree {
            Tree::ImageTars => tar::append(&mut inner[class], &name, &bytes)?,
            _ => put(&folder.join("train").join(WNIDS[class]).join(name), &bytes)?,
        }
    }
    if tree == Tree::ImageTars {
        let mut outer = Vec::new();
        for (wnid, mut archive) in WNIDS.into_iter().zip(inner) {
            tar::finish(&mut archive);
            tar::append(&mut outer, &format!("{wnid}.tar"), &archive)?;
        }
        tar::finish(&mut outer);
        put(&folder.join("ILSVRC2012_img_train.tar"), &outer)?;
    }
    let (mut list, mut archive) = (String::new(), Vec::new());
    for index in 0..TEST {
        // Not the classes in turn: a reader that takes them so is found out.
        let class = (index * 3 + index / 7) % WNIDS.len();
        let name = format!("ILSVRC2012_val_{:08}.JPEG", index + 1);
        let bytes = picture(source, Split::Test, index)?;
        match tree {
            Tree::ImageTars => tar::append(&mut archive, &name, &bytes)?,
            Tree::ImageFlat => put(&folder.join("val").join(&name), &bytes)?,
            _ => put(&folder.join("val").join(WNIDS[class]).join(&name), &bytes)?,
        }
        list += &match tree {
            // Both forms of a list are tried: by name and number, and by class in order.
            Tree::ImageTars => format!("{name} {class}\n"),
            _ => format!("{}\n", WNIDS[class]),
        };
    }
    tar::finish(&mut archive);
    match tree {
        Tree::ImageTars => {
            put(&folder.join("ILSVRC2012_img_val.tar"), &archive)?;
            put(&folder.join("val.txt"), list.as_bytes())
        }
        Tree::ImageFlat => put(&folder.join("imagenet_2012_validation_synset_labels.txt"), list.as_bytes()),
        _ => Ok(()),
    }
}

/// A JPEG of one of a few sizes, tall ones and wide ones.
fn picture(source: &dyn Dataset, split: Split, index: usize) -> Result<Vec<u8>, DataError> {
    let small = Rgb::from_planes(source.image(split, index), [1, 28, 28]);
    let (width, height) = (60 + 20 * (index % 4), 100 - 15 * (index % 3));
    let mut large = Rgb::default();
    let resized = Cropper::default().whole(&small, [width, height], &mut large);
    resized.map_err(|message| DataError::Picture {
        file: source.name(split, index),
        format: "resized",
        message,
    })?;
    jpeg(&large, 90)
}

/// A picture as a JPEG file with chroma of half the size each way, as cameras write them.
///
/// # Errors
/// When a side is 0 or above 65,535.
pub fn jpeg(image: &Rgb, quality: u8) -> Result<Vec<u8>, DataError> {
    let fault = |message: String| DataError::Picture {
        file: "a picture in the making".to_owned(),
        format: "JPEG",
        message,
    };
    let side = |side: usize| u16::try_from(side).map_err(|_| fault(format!("a side of {side} pixels")));
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder
        .encode(&image.pixels, side(image.width)?, side(image.height)?, ColorType::Rgb)
        .map_err(|error| fault(error.to_string()))?;
    Ok(bytes)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let parent = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|source| DataError::Write { file: path.display().to_string(), source })
}
