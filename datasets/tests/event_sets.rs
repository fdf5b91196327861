//! Event sets in folders: which samples go where, frames, batches, and what must be refused.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
};

use datasets::{
    Batch, Split, convert,
    events::{
        Augment, EventProtocol, Flip, FrameLoader, FrameSet, Framed, Origin, leaks, named, open_folder,
        open_frame_cache, survey,
    },
    format::npz::Frames,
    synth::{event_files, event_trees},
};
use keys::Key;
use tempfile::TempDir;

fn tree(make: impl FnOnce(&Path) -> Result<(), datasets::DataError>) -> TempDir {
    let folder = TempDir::new().unwrap();
    make(folder.path()).unwrap();
    folder
}

fn framed(protocol: EventProtocol, folder: &Path) -> Arc<dyn FrameSet> {
    let set = open_folder(&protocol, folder).unwrap();
    Arc::new(Framed::new(set, protocol).unwrap())
}

fn loader(set: &Arc<dyn FrameSet>, batch: usize, workers: usize) -> FrameLoader {
    let workers = NonZeroUsize::new(workers).unwrap();
    FrameLoader::new(Arc::clone(set), Split::Train, None, (batch, false), Key::new(3), workers).unwrap()
}

fn epoch(loader: &FrameLoader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch).map(Result::unwrap).collect()
}

/// The numbers of the files of one class that test.
fn test_numbers(name: &str, folder: &Path) -> BTreeSet<u32> {
    let set = open_folder(&named(name).unwrap(), folder).unwrap();
    assert_eq!([set.len(Split::Train), set.len(Split::Test)], [9_000, 1_000], "{name}");
    assert_eq!(set.card().origin, Origin::Real);
    (0..1_000)
        .filter(|&index| set.label(Split::Test, index) == 4)
        .map(|index| {
            let place = set.place(Split::Test, index);
            place.rsplit(['_', '.']).nth(1).unwrap().parse().unwrap()
        })
        .collect()
}

#[test]
fn the_three_nine_to_one_splits_of_cifar10_dvs_are_different_ones() {
    // Names alone make a split, so the files may be empty.
    let folder = tree(|folder| {
        for class in
            ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        {
            std::fs::create_dir(folder.join(class)).unwrap();
            for number in 0..1_000 {
                std::fs::write(folder.join(class).join(format!("cifar10_{class}_{number}.aedat")), [])
                    .unwrap();
            }
        }
        Ok(())
    });
    let tests = |name| test_numbers(name, folder.path());
    assert_eq!(tests("cifar10dvs/tebn-0-99"), (0..100).collect());
    assert_eq!(tests("cifar10dvs/first900"), (900..1_000).collect());
    assert_eq!(tests("cifar10dvs/sj-lexicographic"), (91..100).chain(909..1_000).collect());
}

#[test]
fn gesture_counts_differ_by_the_second_arm_roll() {
    let folder = tree(|folder| event_trees::gesture(folder, [3, 2], Key::new(1)));
    let counts = |name: &str| {
        let set = open_folder(&named(name).unwrap(), folder.path()).unwrap();
        assert_eq!(set.card().origin, Origin::RealSubset);
        let first = set.recording(Split::Train, 0).unwrap();
        assert_eq!(first.events.len(), 100);
        [set.len(Split::Train), set.len(Split::Test)]
    };
    assert_eq!(counts("dvsgesture/1464"), [36, 24]);
    assert_eq!(counts("dvsgesture/1342"), [33, 22]);
}

#[test]
fn frames_hold_every_event_once_and_npz_files_give_the_frames_of_aedat_files() {
    let protocol = named("cifar10dvs/tebn-0-99").unwrap();
    let [aedat, npz] = [false, true].map(|npz| {
        let folder = tree(|folder| event_trees::cifar10_dvs(folder, 101, npz, Key::new(1)));
        let set = framed(protocol.clone(), folder.path());
        let mut frames = vec![0.0; set.card().numbers()];
        assert_eq!(set.write(Split::Train, 7, None, &mut frames).unwrap(), 7);
        assert_eq!(frames.iter().sum::<f32>(), 50.0);
        assert!(set.write(Split::Train, 10, None, &mut frames).is_err());
        assert!(set.write(Split::Train, 7, None, &mut frames[1..]).is_err());
        frames
    });
    assert_eq!(aedat, npz);
}

#[test]
fn batches_depend_on_key_epoch_and_sample_alone() {
    let folder = tree(|folder| event_trees::nmnist(folder, [4, 1], Key::new(1)));
    let protocol = EventProtocol {
        augment: Augment { nda: true, crop_pad: 3, ..Augment::NONE },
        ..named("nmnist/official").unwrap()
    };
    let set = framed(protocol, folder.path());
    let [steps, channels, height, width] = set.card().shape;
    assert_eq!([steps, channels, height, width], [10, 2, 34, 34]);
    let one = loader(&set, 7, 1);
    assert_eq!((one.shape(), one.batches()), ([10, 7, 2, 34, 34], 6));
    let batches = epoch(&one, 2);
    assert_eq!(batches, epoch(&one, 2));
    assert_eq!(batches, epoch(&loader(&set, 7, 3), 2));
    assert_ne!(batches, epoch(&one, 3));
    let by_sample = |batches: &[Batch]| -> BTreeMap<u32, Vec<f32>> {
        let frame = channels * height * width;
        let sample = |batch: &Batch, place: usize| {
            let size = batch.labels.len();
            (0..steps).flat_map(|t| batch.pixels[(t * size + place) * frame..][..frame].to_vec()).collect()
        };
        batches
            .iter()
            .flat_map(|batch| (0..).zip(&batch.indices).map(|(place, &index)| (index, sample(batch, place))))
            .collect()
    };
    let seven = by_sample(&batches);
    assert_eq!(seven, by_sample(&epoch(&loader(&set, 16, 2), 2)));
    assert_eq!(seven.len(), 40);
    // The test split is in order and as the files have it.
    let test = FrameLoader::new(
        Arc::clone(&set),
        Split::Test,
        Some(4),
        (4, true),
        Key::new(9),
        NonZeroUsize::new(1).unwrap(),
    );
    let test = epoch(&test.unwrap(), 5);
    assert_eq!((test[0].indices.clone(), test[0].labels.clone()), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    assert_eq!(test[0].pixels.iter().sum::<f32>(), (200 + 201 + 202 + 203) as f32);
}

#[test]
fn a_broken_file_ends_the_epoch_with_its_name() {
    let folder = tree(|folder| event_trees::nmnist(folder, [2, 1], Key::new(1)));
    let broken = folder.path().join("Train/3/00004.bin");
    std::fs::write(&broken, [1, 2, 3]).unwrap();
    let set = framed(named("nmnist/official").unwrap(), folder.path());
    for workers in [1, 4] {
        let items: Vec<_> = loader(&set, 4, workers).epoch(0).collect();
        let (last, before) = items.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        let error = last.as_ref().unwrap_err().to_string();
        assert!(error.contains("Train/3/00004.bin: at byte 0: an ATIS .bin file"), "{error}");
    }
}

#[test]
fn manifests_tell_protocols_and_files_apart_and_leaks_are_found() {
    let folder = tree(|folder| event_trees::nmnist(folder, [2, 1], Key::new(1)));
    let plain = named("nmnist/official").unwrap();
    let set = framed(plain.clone(), folder.path());
    let manifest = set.manifest().unwrap();
    assert_eq!(manifest, framed(plain.clone(), folder.path()).manifest().unwrap());
    assert_ne!(manifest, framed(plain.clone().with_steps(4), folder.path()).manifest().unwrap());
    assert!(leaks(set.as_ref()).unwrap().is_empty());
    std::fs::copy(folder.path().join("Test/3/00004.bin"), folder.path().join("Train/5/00016.bin")).unwrap();
    assert_ne!(manifest, set.manifest().unwrap());
    assert_eq!(leaks(set.as_ref()).unwrap(), [[15, 3]]);
}

#[test]
fn what_does_not_fit_is_refused_before_a_sample_is_read() {
    let folder = tree(|folder| event_trees::gesture(folder, [1, 1], Key::new(1)));
    let gesture = named("dvsgesture/1464").unwrap();
    let refused = |protocol: &EventProtocol| open_folder(protocol, folder.path()).unwrap_err().to_string();
    let flip = |flip| EventProtocol { augment: Augment { flip, ..Augment::NONE }, ..gesture.clone() };
    assert!(refused(&flip(Flip::Mirror)).contains("must be mirrored with their labels"));
    assert!(open_folder(&flip(Flip::Relabel), folder.path()).is_ok());
    assert!(refused(&gesture.clone().with_steps(0)).contains("frames must be in 1..=10000"));
    assert!(refused(&EventProtocol { size: [64, 64], ..gesture.clone() }).contains("sensor's size"));
    assert!(refused(&EventProtocol { rows: None, ..gesture.clone() }).contains("which rows are samples"));
    assert!(
        refused(&EventProtocol { name: "other/set".into(), ..gesture.clone() }).contains("one of nmnist/")
    );
    assert!(refused(&named("cifar10dvs/first900").unwrap()).contains("airplane"));
    std::fs::remove_file(folder.path().join("user02_lab.aedat")).unwrap();
    assert!(refused(&gesture).contains("needs the file user02_lab.aedat"));
}

/// Packs the folders of a tree as the authors do.
fn zip(folder: &Path, split: &str) {
    let file = std::fs::File::create(folder.join(format!("{split}.zip"))).unwrap();
    let mut writer = zip::ZipWriter::new(file);
    for digit in 0..10 {
        for entry in std::fs::read_dir(folder.join(split).join(digit.to_string())).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{split}/{digit}/{}", path.file_name().unwrap().to_string_lossy());
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut writer, &std::fs::read(path).unwrap()).unwrap();
        }
    }
    writer.finish().unwrap();
    std::fs::remove_dir_all(folder.join(split)).unwrap();
}

#[test]
fn archives_are_read_as_folders_are() {
    let folder = tree(|folder| event_trees::nmnist(folder, [3, 1], Key::new(1)));
    let protocol = named("nmnist/official").unwrap();
    let plain = framed(protocol.clone(), folder.path()).manifest().unwrap();
    zip(folder.path(), "Train");
    zip(folder.path(), "Test");
    let set = framed(protocol.clone(), folder.path());
    assert_eq!(set.manifest().unwrap(), plain);
    // A damaged member is an error that names it.
    let path = folder.path().join("Train.zip");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 0x40;
    std::fs::write(&path, bytes).unwrap();
    let error = framed(protocol, folder.path()).manifest().unwrap_err().to_string();
    assert!(error.contains("Train.zip/Train/0/") && error.contains("must unpack whole"), "{error}");
}

#[test]
fn a_survey_counts_every_event_and_marker() {
    let folder = tree(|folder| event_trees::nmnist(folder, [1, 1], Key::new(1)));
    let path = folder.path().join("Train/2/00003.bin");
    let marked = [std::fs::read(&path).unwrap(), vec![0, 240, 0, 0, 0]].concat();
    std::fs::write(&path, marked).unwrap();
    let set = open_folder(&named("nmnist/official").unwrap(), folder.path()).unwrap();
    let found = survey(set.as_ref(), Split::Train).unwrap();
    assert_eq!(found.per_class, [1; 10]);
    assert_eq!(found.events_per_class, (200..210).collect::<Vec<_>>());
    assert_eq!((found.totals.events, found.totals.backward), ((200..210).sum(), 0));
    assert_eq!((found.dropped, found.shortest_longest), (1, [200, 209]));
}

#[test]
fn the_real_part_of_nmnist_has_its_known_totals() {
    let Some(folder) = std::env::var_os("SNN_SHARED_DATA") else {
        eprintln!("SKIPPED: SNN_SHARED_DATA names no folder, so no real set was surveyed");
        return;
    };
    let folder = Path::new(&folder).join("nmnist-1100");
    let protocol = named("nmnist/official").unwrap();
    let set = open_folder(&protocol, &folder).unwrap();
    assert_eq!(set.card().origin, Origin::RealSubset);
    let begin = std::time::Instant::now();
    let train = survey(set.as_ref(), Split::Train).unwrap();
    let test = survey(set.as_ref(), Split::Test).unwrap();
    eprintln!("1,100 recordings surveyed in {:.0} ms", 1e3 * begin.elapsed().as_secs_f64());
    assert_eq!((train.totals.events, test.totals.events), (4_133_231, 385_596));
    assert_eq!([train.dropped, train.totals.backward, test.dropped, test.totals.backward], [0; 4]);
    let mean = |class: usize| train.events_per_class[class] / train.per_class[class];
    let means: Vec<usize> = (0..10).map(mean).collect();
    assert_eq!(means, [5505, 2574, 4756, 4886, 3725, 4254, 4148, 3723, 4486, 3766]);
    let framed = framed(protocol, &folder);
    assert!(leaks(framed.as_ref()).unwrap().is_empty());
    let begin = std::time::Instant::now();
    let batches: Vec<_> = loader(&framed, 50, 1).epoch(0).map(Result::unwrap).collect();
    let rate = 1_000.0 / begin.elapsed().as_secs_f64();
    eprintln!("{} batches of frames [10, 50, 2, 34, 34], {rate:.0} recordings a second", batches.len());
}

#[test]
fn frame_caches_are_read_with_numbers_in_order_and_cut_files_are_errors() {
    let folder = TempDir::new().unwrap();
    let write = |split: &str, class: u32, steps: usize| {
        let frames = Frames { shape: [steps, 2, 3, 3], values: vec![class as f32; steps * 18] };
        let path = folder.path().join(split).join(class.to_string());
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("a.npz"), event_files::npz_frames(&frames, true).unwrap()).unwrap();
    };
    for class in 0..11 {
        write("train", class, 4);
        write("test", class, 4);
    }
    let set = open_frame_cache(folder.path()).unwrap();
    assert_eq!((set.card().classes, set.card().shape), (11, [4, 2, 3, 3]));
    let mut frames = vec![0.0; 72];
    for index in 0..11 {
        let label = set.write(Split::Test, index, None, &mut frames).unwrap();
        assert_eq!((label, frames[71]), (index as u32, index as f32));
    }
    write("test", 10, 5);
    let error = set.write(Split::Test, 10, None, &mut frames).unwrap_err().to_string();
    assert!(error.contains("test/10/a.npz") && error.contains("must have one shape"), "{error}");
    let path = folder.path().join("test/3/a.npz");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = set.write(Split::Test, 3, None, &mut frames).unwrap_err().to_string();
    assert!(error.contains("test/3/a.npz") && error.contains("must be a zip archive"), "{error}");
    std::fs::create_dir(folder.path().join("test/11")).unwrap();
    assert!(open_frame_cache(folder.path()).unwrap_err().to_string().contains("same classes"));
}

#[test]
fn packed_recordings_give_the_same_frames_and_identity_at_any_t() {
    for tree_of in &event_trees::TREES {
        let folder = tree(|folder| tree_of.write(folder));
        let packed = TempDir::new().unwrap();
        let protocol = named(tree_of.protocol).unwrap();
        let set = open_folder(&protocol, folder.path()).unwrap();
        let pack = || convert::events(set.as_ref(), &protocol, packed.path(), &|_, _, _| ()).unwrap();
        let (first, again) = (pack(), pack());
        assert!(
            first.iter().all(|split| !split.kept) && again.iter().all(|split| split.kept),
            "{}",
            tree_of.name
        );
        for (first, again) in first.iter().zip(&again) {
            assert_eq!((&first.hash, first.samples, first.bytes), (&again.hash, again.samples, again.bytes));
        }
        for steps in [1, 7] {
            let of = |folder: &Path| framed(protocol.clone().with_steps(steps), folder);
            let (own, packed) = (of(folder.path()), of(packed.path()));
            assert_eq!(own.identity().unwrap(), packed.identity().unwrap(), "{}", tree_of.name);
            assert_eq!(own.manifest().unwrap(), packed.manifest().unwrap(), "{}", tree_of.name);
            let (a, b) = (own.card(), packed.card());
            assert_eq!((a.origin, &a.note, a.classes), (b.origin, &b.note, b.classes));
            let mut numbers = [vec![0.0; a.numbers()], vec![0.0; a.numbers()]];
            for split in [Split::Train, Split::Test] {
                assert_eq!(own.len(split), packed.len(split));
                for index in [0, own.len(split) - 1] {
                    let key = Some(Key::new(5).index(index as u64));
                    let written = |set: &Arc<dyn FrameSet>, numbers: &mut [f32]| {
                        set.write(split, index, key, numbers).unwrap()
                    };
                    let labels = [written(&own, &mut numbers[0]), written(&packed, &mut numbers[1])];
                    assert_eq!(labels[0], labels[1]);
                    assert_eq!(numbers[0], numbers[1], "{} {split} {index}", tree_of.name);
                }
                assert!(packed.write(split, packed.len(split), None, &mut numbers[0]).is_err());
            }
        }
    }
}

#[test]
fn packed_recordings_serve_protocols_that_take_the_same_samples_and_no_other() {
    let folder = tree(|folder| event_trees::cifar10_dvs(folder, 12, false, Key::new(4)));
    let packed = TempDir::new().unwrap();
    // No file has a number from 900 on: the test split is empty, and rules alone are asked here.
    let first900 = named("cifar10dvs/first900").unwrap();
    let set = open_folder(&first900, folder.path()).unwrap();
    convert::events(set.as_ref(), &first900, packed.path(), &|_, _, _| ()).unwrap();
    let open =
        |name: &str| open_folder(&named(name).unwrap(), packed.path()).map(|set| set.len(Split::Train));
    for name in ["cifar10dvs/first900", "cifar10dvs/first900-clean", "cifar10dvs/first900-sltt"] {
        assert_eq!(open(name).unwrap(), 120, "{name}");
    }
    for name in ["cifar10dvs/tebn-0-99", "cifar10dvs/sj-lexicographic", "nmnist/official"] {
        let refused = open(name).unwrap_err().to_string();
        assert!(refused.contains("train.shard"), "{name}: {refused}");
    }
    let refused = open("cifar10dvs/tebn-0-99").unwrap_err().to_string();
    assert!(refused.contains("takes the same samples") && refused.contains("900"), "{refused}");
    // A conversion that ended before its time is told; it is not passed over for files that are not there.
    std::fs::remove_file(packed.path().join("test.shard")).unwrap();
    let cut = open("cifar10dvs/first900").unwrap_err().to_string();
    assert!(cut.contains("a conversion that did not end"), "{cut}");
}
