//! Writers: small valid files and trees of each format, so that every reader is tried on real bytes and not on itself.

pub mod event_files;
pub mod event_trees;
pub mod images;
