//! Encoded pictures and named pipelines: what batches depend on, and what they do not.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{collections::BTreeMap, fs, sync::Arc};

use datasets::{
    Batch, Dataset, Loader, Pipeline, Protocol, Split, find, open_part,
    pipeline::PIPELINES,
    synth::images::{TRAIN, Tree, write},
};
use keys::Key;
use tempfile::TempDir;

fn tree(tree: Tree) -> (TempDir, Arc<dyn Dataset>) {
    let folder = tempfile::tempdir().unwrap();
    write(tree, folder.path()).unwrap();
    let set = open_part(tree.dataset(), folder.path()).unwrap();
    (folder, set)
}

fn protocol(id: &str) -> Protocol {
    Protocol::of(Pipeline::find(id).unwrap())
}

fn batches(set: &Arc<dyn Dataset>, split: Split, id: &str, batch_size: usize, epoch: u64) -> Vec<Batch> {
    let loader = Loader::new(Arc::clone(set), split, protocol(id), batch_size, Key::new(7), false).unwrap();
    loader.epoch(epoch).map(Result::unwrap).collect()
}

fn by_sample(batches: &[Batch], size: usize) -> BTreeMap<u32, Vec<u32>> {
    let images = batches.iter().flat_map(|batch| batch.indices.iter().zip(batch.pixels.chunks_exact(size)));
    images.map(|(&index, image)| (index, image.iter().map(|pixel| pixel.to_bits()).collect())).collect()
}

#[test]
fn every_pipeline_runs_on_its_set_and_depends_on_key_epoch_and_sample_alone() {
    let (_a, cifar10) = tree(Tree::Cifar10);
    let (_b, cifar100) = tree(Tree::Cifar100);
    let (_c, imagenet) = tree(Tree::ImageTars);
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut kept = Batch { labels: vec![77; 50], indices: vec![77; 50], ..Batch::default() };
    for pipeline in PIPELINES {
        let set = match pipeline.id.split('/').next().unwrap() {
            "cifar10" => &cifar10,
            "cifar100" => &cifar100,
            _ => &imagenet,
        };
        let size = 3 * pipeline.train_side * pipeline.train_side;
        let first = batches(set, Split::Train, pipeline.id, 8, 3);
        assert_eq!(first.iter().map(|batch| batch.indices.len()).sum::<usize>(), TRAIN);
        assert!(first.iter().all(|batch| batch.pixels.len() == batch.indices.len() * size));
        // Any batch at once, on any number of threads: a run resumes where it was.
        let loader =
            Loader::new(Arc::clone(set), Split::Train, protocol(pipeline.id), 8, Key::new(7), false).unwrap();
        for threads in [1, 3] {
            let again = pool(threads).install(|| loader.batch(3, 2)).unwrap();
            assert_eq!(first[2], again, "{}", pipeline.id);
        }
        // Into memory that another pipeline's batch was in; what is not written would equal nothing.
        kept.pixels.resize(kept.pixels.len().max(10 * size), f32::NAN);
        kept.pixels.fill(f32::NAN);
        loader.batch_into(3, 2, &mut kept).unwrap();
        assert_eq!(first[2], kept, "{}", pipeline.id);
        assert_ne!(
            by_sample(&first, size),
            by_sample(&batches(set, Split::Train, pipeline.id, 8, 4), size),
            "{}",
            pipeline.id
        );
        if pipeline.mix.is_none() {
            let other = by_sample(&batches(set, Split::Train, pipeline.id, 40, 3), size);
            assert_eq!(by_sample(&first, size), other, "{}", pipeline.id);
        } else {
            assert!(first.iter().any(|batch| batch.mixed.is_some()), "{}", pipeline.id);
        }
        let test = batches(set, Split::Test, pipeline.id, 5, 0);
        assert!(test.iter().all(|batch| batch.mixed.is_none()));
        assert!(test.iter().flat_map(|batch| &batch.indices).is_sorted());
        assert_eq!(test[0].pixels.len(), 5 * 3 * pipeline.test_side * pipeline.test_side);
    }
}

#[test]
fn a_pipeline_of_crops_and_mirrors_is_the_quick_path_with_its_statistics() {
    let (_folder, set) = tree(Tree::Cifar10);
    let plain = Protocol { normalise: true, flip: true, shift: 4, ..Protocol::PLAIN };
    let loader = Loader::new(Arc::clone(&set), Split::Train, plain, 40, Key::new(7), false).unwrap();
    let expected: Vec<Batch> = loader.epoch(1).map(Result::unwrap).collect();
    assert_eq!(batches(&set, Split::Train, "cifar10/plain", 40, 1), expected);
    // Cutout spares half of the images; those are the quick path's under the other deviations.
    let by_image = batches(&set, Split::Train, "cifar10/plain-by-image", 40, 1);
    let cut = batches(&set, Split::Train, "cifar10/ottt", 40, 1);
    let same =
        by_image[0].pixels.chunks(3072).zip(cut[0].pixels.chunks(3072)).filter(|(a, b)| a == b).count();
    assert!((8..=32).contains(&same), "{same}");
}

#[test]
fn a_damaged_picture_names_its_file_and_ends_the_epoch() {
    let (folder, _) = tree(Tree::ImageFolders);
    let path = folder.path().join("train/n01443537/n01443537_5.JPEG");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let set = open_part("imagenet", folder.path()).unwrap();
    let loader = Loader::new(set, Split::Train, protocol("imagenet/ottt"), 40, Key::new(1), false).unwrap();
    let mut epoch = loader.epoch(0);
    let error = epoch.next().unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "n01443537/n01443537_5.JPEG: JPEG at byte {}: a JPEG ends with marker FF D9, found the file's end",
            bytes.len() / 2
        )
    );
    assert!(epoch.next().is_none());
}

#[test]
fn throughput_counts_what_was_made() {
    let (_folder, set) = tree(Tree::ImageShards);
    let loader = Loader::new(set, Split::Train, protocol("imagenet/ottt"), 20, Key::new(1), false).unwrap();
    assert_eq!(loader.epoch(0).count(), 2);
    let counted = loader.throughput();
    assert_eq!(counted.images, TRAIN as u64);
    assert!(counted.seconds > 0.0 && counted.images_per_second() > 0.0);
}

#[test]
fn a_protocol_that_does_not_fit_is_refused_with_the_reason() {
    let (_folder, imagenet) = tree(Tree::ImageFolders);
    let message = |set: &Arc<dyn Dataset>, protocol| {
        Loader::new(Arc::clone(set), Split::Train, protocol, 1, Key::new(1), false).err().unwrap().to_string()
    };
    assert!(message(&imagenet, Protocol::PLAIN).contains("only a named protocol says what is seen of them"));
    let grey = (find("fashion-mnist-mini").unwrap().open)(None).unwrap();
    assert_eq!(
        message(&grey, protocol("cifar10/ottt")),
        "protocol cifar10/ottt@1 can't read fashion-mnist-mini: it has 3 channels, the set's images have 1"
    );
    assert!(message(&imagenet, protocol("cifar10/ottt")).contains("it does not resize 224x224 to 32x32"));
}

#[test]
fn a_named_protocol_decides_alone_and_says_so() {
    let read = |text: &str| toml::from_str::<Protocol>(text);
    let named = read("protocol = \"imagenet/trevsnn\"\ntrain_limit = 10\n").unwrap();
    assert_eq!(toml::to_string(&named).unwrap(), "protocol = \"imagenet/trevsnn@1\"\ntrain_limit = 10\n");
    assert_eq!(named.id(), "imagenet/trevsnn@1");
    let both = read("protocol = \"imagenet/trevsnn\"\nflip = true\n").unwrap_err();
    assert!(both.message().contains("leave them out"), "{both}");
    let unknown = read("protocol = \"imagenet/nobody\"\n").unwrap_err();
    assert!(unknown.message().contains("there are cifar10/plain@1,"), "{unknown}");
    let card = find("imagenet").unwrap().card;
    assert_ne!(named.hash(card), Protocol { train_limit: None, ..named }.hash(card));
    let plain = Protocol { flip: true, shift: 4, normalise: true, ..Protocol::PLAIN };
    assert_eq!(plain.id(), "normalise+flip+shift4@1");
}
