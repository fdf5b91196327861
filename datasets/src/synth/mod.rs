//! Small valid trees of every format, so that each reader is tried on real bytes.

pub mod images;
