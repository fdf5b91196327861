//! Synaptic operations alone, as older tables have it.
//!
//! ```text
//! e = 77 fJ * ACs
//! ```

use super::EnergyModel;

/// pJ of a synaptic operation.
const SYNOP: f64 = 0.077;

pub(super) const SYNOP_77FJ: EnergyModel = EnergyModel {
    id: "synop-77fj",
    version: 1,
    source: "Constant: Qiao et al., Frontiers in Neuroscience 9:141, 2015, as tables before 2022 use it.",
    assumes: "accumulates alone; layers that multiply cost nothing here, so it compares spiking layers and no networks.",
    row: |row| Some(SYNOP * row.acs_per_sample?),
};
