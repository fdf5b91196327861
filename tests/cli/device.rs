//! A device that this build or this machine has not is refused by every verb that takes one, with what is missing.

use std::path::Path;

use super::{harness, printed, refused};

/// What is missing here; nothing where a device may be there.
fn missing() -> Option<&'static str> {
    if !cfg!(feature = "cuda") {
        eprintln!(
            "SKIPPED: a build without feature `cuda`, so how a machine without a driver is told was not seen"
        );
        return Some("this build has no CUDA kernels");
    }
    if Path::new("/proc/driver/nvidia/version").exists() {
        eprintln!("SKIPPED: this machine has a driver, so how one without is told was not seen");
        return None;
    }
    Some("no CUDA device: no driver library (libcuda.so.1")
}

#[test]
fn a_device_that_is_missing_is_refused_with_the_reason() {
    let Some(reason) = missing() else { return };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/lif");
    for verb in [
        &["--suite", "smoke", "--dry-run"][..],
        &["--suite", "gpu", "--dry-run"],
        &["self-test"],
        &["probe", golden.to_str().unwrap()],
        &["regress", "--baseline", "none.csv"],
    ] {
        let said = refused(&[verb, &["--device", "cuda:0"]].concat());
        assert!(said.starts_with(&format!("error: --device must be cpu ({reason}")), "{verb:?}: {said}");
        assert!(said.trim_end().ends_with("got cuda:0"), "{said}");
    }
}

#[test]
fn the_processor_passes_its_own_self_test() {
    let said = printed(&["self-test"]);
    assert!(said.ends_with("kinds of kernel: cpu agrees with the processor\n"), "{said}");
    assert!(said.contains("dropout ") && !said.contains("DIFFERS"), "{said}");
}

#[test]
fn a_missing_device_can_be_a_row_where_it_is_asked_for() {
    let Some(reason) = missing() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let more = ["--device", "cuda:0", "--rows-without-device", "--batch-up-to", "512", "--fits", "100GiB"];
    let output = harness(&[&["--suite", "gpu", "--model", "trevsnn-tiny", "--out", out][..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = results::read(out).unwrap().scaling;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(row.note.starts_with(reason), "{}", row.note);
        assert_eq!((row.status, row.device.as_str()), (results::Status::Failed, "cuda:0"));
        assert_eq!((row.heap_peak_bytes, row.step_seconds_median), (None, None));
        assert!(row.batch > 1 && row.batch.is_power_of_two(), "{}", row.batch);
    }
    // It is not done: where the device is, the same command measures it.
    let again = harness(&[&["--suite", "gpu", "--model", "trevsnn-tiny", "--out", out][..], &more].concat());
    assert_eq!(again.status.code(), Some(0));
    assert!(results::read(out).unwrap().scaling.iter().all(|row| row.attempt == 2));
    let gates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/gpu-gates.toml");
    let said = printed(&["gates", gates.to_str().unwrap(), out]);
    assert!(said.contains("85.7") || said.contains("57.5"), "{said}");
    assert!(said.contains(reason) && said.contains("no row"), "{said}");
    let refusal = refused(&["--suite", "smoke", "--rows-without-device", "--device", "cuda:0"]);
    assert!(refusal.contains("--rows-without-device must be left out with suite smoke"), "{refusal}");
}
