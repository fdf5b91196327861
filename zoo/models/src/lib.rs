//! The model zoo: one family a file, one line here.
#![forbid(unsafe_code)]

mod tiny_conv;
mod tiny_rev;
mod tiny_trev;

use engine::model::ModelEntry;

/// Every model, in the order of lists.
pub static MODELS: &[ModelEntry] = &[tiny_conv::ENTRY, tiny_rev::ENTRY, tiny_trev::ENTRY];

/// A model by id.
#[must_use]
pub fn find(id: &str) -> Option<&'static ModelEntry> {
    MODELS.iter().find(|model| model.id == id)
}
