//! What a campaign runs on. Whatever can't be found out stays empty.

use std::fs::read_to_string;
use std::path::Path;
use std::process::Command;

use results::Environment;

const LOCK: &str = include_str!("../../Cargo.lock");

/// Looks at the machine and at the tools.
#[must_use]
pub fn environment(threads: usize) -> Environment {
    let (git_rev, dirty) = revision();
    Environment {
        cpu: field("/proc/cpuinfo", "model name"),
        cores: cores() as u32,
        cores_used: threads as u32,
        memory_bytes: memory("MemTotal").unwrap_or(0),
        os: os(),
        gpu: accelerators(Path::new(NVIDIA)),
        gpu_driver: accelerator_driver(Path::new(NVIDIA)),
        rustc: env!("CARGO_PKG_RUST_VERSION").to_owned(),
        candle: locked_version("candle-core"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: if cfg!(feature = "cuda") { vec!["cuda".to_owned()] } else { Vec::new() },
        build: build(),
        git_rev,
        dirty,
    }
}

/// Logical processors that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Main memory that a process can take without swapping, where the system says.
pub(crate) fn available_bytes() -> Option<usize> {
    memory("MemAvailable").map(|bytes| bytes as usize)
}

fn memory(name: &str) -> Option<u64> {
    let kib = field("/proc/meminfo", name);
    kib.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The first `name : value` of a file.
fn field(path: &str, name: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let value = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn os() -> String {
    let release = read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    format!("{name} {}", kernel.trim()).trim().to_owned()
}

/// The version of a package in the lock file that the program was built with.
fn locked_version(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let after = LOCK.lines().skip_while(|line| *line != name).nth(1);
    let version = after.and_then(|line| line.strip_prefix("version = "));
    version.map(|version| version.trim_matches('"').to_owned()).unwrap_or_default()
}

/// Where NVIDIA's driver tells of itself and its devices.
const NVIDIA: &str = "/proc/driver/nvidia";

/// Models of all NVIDIA devices in the order of their places on the PCI bus, each once.
fn accelerators(driver: &Path) -> String {
    let devices = std::fs::read_dir(driver.join("gpus")).into_iter().flatten().flatten();
    let mut devices: Vec<_> = devices.map(|device| device.path().join("information")).collect();
    devices.sort();
    let mut models: Vec<String> = Vec::new();
    for model in devices.iter().map(|device| field(&device.to_string_lossy(), "Model")) {
        if !model.is_empty() && !models.contains(&model) {
            models.push(model);
        }
    }
    models.join(", ")
}

/// Version of NVIDIA's driver, and of the toolkit that the program was built with; empty without a driver.
fn accelerator_driver(driver: &Path) -> String {
    let text = read_to_string(driver.join("version")).unwrap_or_default();
    let version = text.split_whitespace().find(|word| {
        word.contains('.') && word.chars().all(|letter| letter == '.' || letter.is_ascii_digit())
    });
    let Some(version) = version else { return String::new() };
    let parts = [Some(format!("driver {version}")), toolkit()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(feature = "cuda")]
fn toolkit() -> Option<String> {
    let version = candle_core::cuda_backend::cudarc::driver::sys::CUDA_VERSION;
    Some(format!("CUDA {}.{}", version / 1000, version % 1000 / 10))
}

#[cfg(not(feature = "cuda"))]
fn toolkit() -> Option<String> {
    None
}

fn build() -> String {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    #[cfg(target_arch = "x86_64")]
    let features = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let features: [(&str, bool); 0] = [];
    let found = features.iter().filter(|(_, found)| *found).map(|(name, _)| *name);
    std::iter::once(profile).chain(found).collect::<Vec<_>>().join(" ")
}

/// Revision of the checkout that the program was built from, and whether tracked files differ from it.
fn revision() -> (String, bool) {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(revision) = git(&["rev-parse", "--verify", "--quiet", "HEAD"]) else {
        return (String::new(), false);
    };
    // Records are written into the checkout: files that git does not know say nothing about the program.
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]).unwrap_or_default();
    (revision, !changes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_those_that_the_driver_tells_of() {
        let driver = tempfile::tempdir().unwrap();
        assert_eq!((accelerators(driver.path()), accelerator_driver(driver.path())), Default::default());
        for (place, model) in [("0000:3b:00.0", "NVIDIA H200"), ("0000:1a:00.0", "NVIDIA L4")] {
            let device = driver.path().join("gpus").join(place);
            std::fs::create_dir_all(&device).unwrap();
            let text = format!("Model: \t\t {model}\nIRQ:   \t\t 221\n");
            std::fs::write(device.join("information"), text).unwrap();
        }
        assert_eq!(accelerators(driver.path()), "NVIDIA L4, NVIDIA H200");
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n\
                    GCC version:  gcc version 12.3.0\n";
        std::fs::write(driver.path().join("version"), text).unwrap();
        assert!(accelerator_driver(driver.path()).starts_with("driver 580.65.06"));
    }

    #[test]
    fn the_lock_file_names_candle() {
        assert!(super::locked_version("candle-core").starts_with("0."));
        assert_eq!(super::locked_version("no-such-package"), "");
    }
}
