//! A conversion that is killed at any moment leaves nothing that is used, and the next run makes the same bytes.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use datasets::{Dataset, Split, convert::convert, find};
use keys::Key;

/// Where the child of [`killed_twice`] writes.
const TARGET: &str = "SNN_CONVERT_TARGET";

fn set() -> std::sync::Arc<dyn Dataset> {
    // Pictures are drawn while they are packed, so a run takes seconds.
    (find("synth-imagenet-10").unwrap().open)(None).unwrap()
}

/// Converts in a process of its own: this program again, on the one test below.
fn child(target: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "conversion_in_a_process_of_its_own", "--ignored", "--test-threads", "1"])
        .env(TARGET, target)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "is started by the test that kills it"]
fn conversion_in_a_process_of_its_own() {
    let target = PathBuf::from(env::var_os(TARGET).unwrap());
    convert(set().as_ref(), &target, &|_, _, _| ()).unwrap();
}

#[test]
fn killed_twice_at_random_moments_the_next_run_ends_with_the_same_hashes() {
    let whole = tempfile::tempdir().unwrap();
    let expected = convert(set().as_ref(), whole.path(), &|_, _, _| ()).unwrap();
    let mut stream = Key::new(u64::from(std::process::id())).stream();
    let folder = tempfile::tempdir().unwrap();
    let mut interrupted = 0;
    for _ in 0..2 {
        let mut child = child(folder.path());
        // Not before the first bytes are there, so that something is torn.
        let partial = folder.path().join("train.shard.partial");
        while !partial.exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(u64::from(stream.below(600))));
        interrupted += u32::from(child.try_wait().unwrap().is_none());
        // SIGKILL: no destructor runs and nothing is flushed.
        child.kill().unwrap();
        child.wait().unwrap();
        if !folder.path().join("test.shard").exists() {
            // What is there is refused, not read as a set.
            let opened = (find("synth-imagenet-10").unwrap().open)(Some(folder.path()));
            assert!(
                opened.is_err() || opened.unwrap().check_sums(Split::Train, 0).is_ok_and(|packed| !packed)
            );
        }
    }
    let found = convert(set().as_ref(), folder.path(), &|_, _, _| ()).unwrap();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(
            (&found.hash, found.samples, found.bytes),
            (&expected.hash, expected.samples, expected.bytes)
        );
        assert_eq!(std::fs::read(&found.path).unwrap(), std::fs::read(&expected.path).unwrap());
    }
    assert!(!folder.path().join("train.shard.partial").exists());
    assert!(interrupted > 0, "both runs ended before they were killed");
}
