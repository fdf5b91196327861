//! What a campaign runs on. Whatever can't be found out stays empty.

use std::fs::read_to_string;
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
        gpu: String::new(),
        gpu_driver: String::new(),
        rustc: env!("CARGO_PKG_RUST_VERSION").to_owned(),
        candle: locked_version("candle-core"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        features: Vec::new(),
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
    #[test]
    fn the_lock_file_names_candle() {
        assert!(super::locked_version("candle-core").starts_with("0."));
        assert_eq!(super::locked_version("no-such-package"), "");
    }
}
