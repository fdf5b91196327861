//! Small trees of every image format: written, read back, packed, and found alike.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{fs, path::Path, sync::Arc};

use datasets::{
    Dataset, Split,
    convert::convert,
    find, open_part,
    synth::images::{TRAIN, Tree, write},
};
use tempfile::TempDir;

fn tree(tree: Tree) -> (TempDir, Arc<dyn Dataset>) {
    let folder = tempfile::tempdir().unwrap();
    write(tree, folder.path()).unwrap();
    let set = open_part(tree.dataset(), folder.path()).unwrap();
    (folder, set)
}

fn refusal(id: &str, folder: &Path) -> String {
    let message = open_part(id, folder).unwrap_err().to_string();
    message.replace(&folder.display().to_string(), "DIR")
}

#[test]
fn every_tree_is_read_and_is_no_whole_set() {
    for (name, kind) in Tree::ALL {
        let (folder, set) = tree(kind);
        assert_eq!((set.len(Split::Train), set.len(Split::Test)), (TRAIN, TRAIN / 2), "{name}");
        assert!(
            (find(kind.dataset()).unwrap().open)(Some(folder.path())).is_err() || kind == Tree::ImageShards,
            "{name}"
        );
        // The same pictures are the same files.
        assert_eq!(tree(kind).1.manifest(), set.manifest(), "{name}");
        for index in 0..TRAIN {
            assert!((set.label(Split::Train, index) as usize) < set.card().classes);
        }
    }
}

#[test]
fn imagenet_is_one_set_in_whatever_way_it_is_packed() {
    let (_folder, folders) = tree(Tree::ImageFolders);
    for kind in [Tree::ImageFlat, Tree::ImageTars, Tree::ImageShards] {
        let (_folder, other) = tree(kind);
        assert_eq!(other.manifest(), folders.manifest(), "{kind:?}");
        for split in [Split::Train, Split::Test] {
            for index in 0..folders.len(split) {
                assert_eq!(other.name(split, index), folders.name(split, index));
                assert_eq!(other.label(split, index), folders.label(split, index));
                let bytes =
                    |set: &Arc<dyn Dataset>| set.encoded().unwrap().bytes(split, index).unwrap().into_owned();
                assert_eq!(bytes(&other), bytes(&folders), "{kind:?}");
            }
        }
    }
}

#[test]
fn packing_planes_keeps_every_byte_and_a_second_run_keeps_the_shard() {
    let (_folder, set) = tree(Tree::Cifar100);
    let target = tempfile::tempdir().unwrap();
    let first = convert(set.as_ref(), target.path(), &|_, _, _| ()).unwrap();
    let packed = open_part("cifar100", target.path()).unwrap();
    assert_eq!(packed.manifest(), set.manifest());
    for split in [Split::Train, Split::Test] {
        for index in 0..set.len(split) {
            assert_eq!(packed.image(split, index), set.image(split, index));
            assert_eq!(packed.label(split, index), set.label(split, index));
            assert!(packed.check_sums(split, index).unwrap());
        }
    }
    let second = convert(set.as_ref(), target.path(), &|_, _, _| ()).unwrap();
    assert!(second.iter().all(|split| split.kept));
    assert_eq!(second[0].hash, first[0].hash);
    // A damaged shard is told at once where it is read, and made anew.
    let path = &first[0].path;
    let mut bytes = fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(path, &bytes).unwrap();
    let packed = open_part("cifar100", target.path()).unwrap();
    let error = packed.check_sums(Split::Train, TRAIN - 1).unwrap_err().to_string();
    assert!(error.contains("sample 39 (cifar100/train/39)") && error.contains("convert again"), "{error}");
    let third = convert(set.as_ref(), target.path(), &|_, _, _| ()).unwrap();
    assert_eq!((third[0].kept, third[1].kept, &third[0].hash), (false, true, &first[0].hash));
}

#[test]
fn a_stale_or_half_written_pack_is_not_used() {
    let (_folder, set) = tree(Tree::Cifar10);
    let target = tempfile::tempdir().unwrap();
    convert(set.as_ref(), target.path(), &|_, _, _| ()).unwrap();
    // Another set in the same folder: both shards are replaced.
    let (_folder, other) = tree(Tree::Cifar100);
    let replaced = convert(other.as_ref(), target.path(), &|_, _, _| ()).unwrap();
    assert!(replaced.iter().all(|split| !split.kept));
    assert!(
        refusal("cifar10", target.path()).contains("the manifest is that of the set and split asked for")
    );
    fs::rename(target.path().join("test.shard"), target.path().join("test.shard.partial")).unwrap();
    assert_eq!(
        refusal("cifar100", target.path()),
        "DIR is a conversion that did not end: not both of train.shard and test.shard are there; run the same \
         `harness data convert` again"
    );
    // While one process writes, another does not.
    let file = fs::File::create(target.path().join("train.shard.partial")).unwrap();
    file.lock().unwrap();
    let error = convert(other.as_ref(), target.path(), &|_, _, _| ()).unwrap_err().to_string();
    assert!(error.contains("train.shard.partial is being written by another process"), "{error}");
}

#[test]
fn what_is_wrong_with_a_tree_is_told_with_its_place() {
    let (folder, _) = tree(Tree::ImageTars);
    let list = folder.path().join("val.txt");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replacen(" 0\n", " 4\n", 1)).unwrap();
    let rule = "a class is a class folder of train/, or its number in the order of names, found 4";
    assert_eq!(refusal("imagenet", folder.path()), format!("DIR/val.txt: labels at byte 0: {rule}"));
    fs::write(&list, text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(refusal("imagenet", folder.path()).contains("found none for ILSVRC2012_val_00000001.JPEG"));
    fs::remove_file(&list).unwrap();
    assert!(refusal("imagenet", folder.path()).contains("needs the file a label list"));
    let archive = folder.path().join("ILSVRC2012_img_train.tar");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refusal("imagenet", folder.path()).starts_with("DIR/ILSVRC2012_img_train.tar: tar at byte"));

    let (folder, _) = tree(Tree::ImageFolders);
    fs::create_dir(folder.path().join("val/n09999999")).unwrap();
    assert!(refusal("imagenet", folder.path()).ends_with("found n09999999"));
    fs::remove_dir_all(folder.path().join("train")).unwrap();
    assert!(
        refusal("imagenet", folder.path()).contains("needs the file train/ (or ILSVRC2012_img_train.tar)")
    );

    let (folder, _) = tree(Tree::Cifar10);
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::rename(inner.join("test_batch.bin"), inner.join("test_batch")).unwrap();
    fs::write(inner.join("test_batch"), b"\x80\x02}q\x01(U\x0bbatch_labelq\x02").unwrap();
    assert!(refusal("cifar10", folder.path()).contains("fetch the binary version"));
    let (folder, _) = tree(Tree::Cifar100);
    fs::write(folder.path().join("cifar-100-binary/train.bin"), vec![0; 3075]).unwrap();
    assert!(
        refusal("cifar100", folder.path())
            .contains("has 2 records of 3074 = 6148 bytes, the file holds 3075")
    );
}
