//! What a campaign ran on.

use serde::{Deserialize, Serialize};

/// The machine and the tools of a campaign, kept once a folder as `environment.json`.
///
/// It holds neither a host name nor a path: a record is meant to be published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Processor model.
    pub cpu: String,
    /// Logical processors of the machine.
    pub cores: u32,
    /// Logical processors that the campaign used.
    pub cores_used: u32,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// Operating system and its version.
    pub os: String,
    /// Accelerator model; empty without one.
    pub gpu: String,
    /// Accelerator driver and toolkit; empty without one.
    pub gpu_driver: String,
    /// Compiler version.
    pub rustc: String,
    /// Version of candle.
    pub candle: String,
    /// Version of this program.
    pub version: String,
    /// Cargo features the program was built with, in name order.
    pub features: Vec<String>,
    /// Build profile and target features that change speed.
    pub build: String,
    /// Revision of the program's source.
    pub git_rev: String,
    /// Whether the source had changes that the revision does not hold.
    pub dirty: bool,
}

impl Environment {
    /// The file's name inside a campaign folder.
    pub const FILE: &'static str = "environment.json";

    /// The fields in the order in which they are written.
    pub const FIELDS: &'static [&'static str] = &[
        "cpu",
        "cores",
        "cores_used",
        "memory_bytes",
        "os",
        "gpu",
        "gpu_driver",
        "rustc",
        "candle",
        "version",
        "features",
        "build",
        "git_rev",
        "dirty",
    ];

    /// Whether two campaigns' clocks can be compared: the same processor and the same accelerator.
    pub fn same_machine(&self, other: &Environment) -> bool {
        self.cpu == other.cpu && self.gpu == other.gpu
    }
}
