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

/// The method whose gradient is exact: backpropagation through time with all settings at their defaults.
///
/// The gradients of every other method are compared with it, on the same network, batch and loss. It keeps the
/// derivative that the surrogate defines, through every step and every neuron; where a model's own neuron detaches its
/// reset, so does it. It is a place in the table rather than a name, so that no caller has to know one.
#[must_use]
pub fn exact() -> &'static MethodEntry {
    stbp::EXACT
}

/// A method by id.
#[must_use]
pub fn find(id: &str) -> Option<&'static MethodEntry> {
    all().find(|method| method.id == id)
}

#[cfg(test)]
mod tests {
    use engine::method::Settings;

    use super::{exact, find};

    #[test]
    fn the_exact_method_is_in_the_table_and_needs_no_settings() {
        assert_eq!(find(exact().id).map(|entry| entry.summary), Some(exact().summary));
        assert_eq!(exact().id, "stbp");
        assert!((exact().build)(&Settings::default()).is_ok());
    }
}
