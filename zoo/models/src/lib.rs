//! The model zoo: one family a file, one line here.
//!
//! Parameters, norms and neurons are named as in the authors' released code, where there is one: a state dictionary of
//! that code is a weights file of ours.
#![forbid(unsafe_code)]

mod layers;
mod ms_resnet;
mod nf_resnet;
mod preact_resnet;
mod published;
mod residual;
mod resnet19_tdbn;
mod rev_resnet;
mod revsformer;
mod sew_resnet;
mod spike_driven_transformer;
mod spiking_attention;
mod spiking_resnet;
mod spikingformer;
mod tiny_conv;
mod tiny_rev;
mod tiny_trev;
mod tokenizer;
mod trevsnn;
mod vgg_bn;
mod vgg_ws;

use engine::model::ModelEntry;

/// The models of each family, in the order of lists.
pub static MODELS: &[&[ModelEntry]] = &[
    tiny_conv::ENTRIES,
    tiny_rev::ENTRIES,
    tiny_trev::ENTRIES,
    vgg_ws::ENTRIES,
    nf_resnet::ENTRIES,
    preact_resnet::ENTRIES,
    vgg_bn::ENTRIES,
    ms_resnet::ENTRIES,
    rev_resnet::ENTRIES,
    resnet19_tdbn::ENTRIES,
    spiking_resnet::ENTRIES,
    trevsnn::ENTRIES,
    sew_resnet::ENTRIES,
    revsformer::ENTRIES,
    spikingformer::ENTRIES,
    spike_driven_transformer::ENTRIES,
];

/// Every model.
pub fn all() -> impl Iterator<Item = &'static ModelEntry> {
    MODELS.iter().flat_map(|entries| entries.iter())
}

/// A model by id.
#[must_use]
pub fn find(id: &str) -> Option<&'static ModelEntry> {
    all().find(|model| model.id == id)
}
