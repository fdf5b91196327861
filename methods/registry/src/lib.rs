//! Every training method: one line a crate.
//!
//! To add a method, write a crate beside the others and add its line here and in `Cargo.toml`. Nothing else changes:
//! the harness, the contract tests and the lists walk this table.
#![forbid(unsafe_code)]

use engine::method::MethodEntry;

/// The methods of each crate, in the order of lists.
pub static METHODS: &[&[MethodEntry]] =
    &[stbp::ENTRIES, online::ENTRIES, spatial_rev::ENTRIES, temporal_rev::ENTRIES, ann::ENTRIES];

/// Every method.
pub fn all() -> impl Iterator<Item = &'static MethodEntry> {
    METHODS.iter().flat_map(|entries| entries.iter())
}

/// A method by id.
#[must_use]
pub fn find(id: &str) -> Option<&'static MethodEntry> {
    all().find(|method| method.id == id)
}
