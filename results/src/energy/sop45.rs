//! Operations alone, at what they cost in 45 nm (Horowitz, ISSCC 2014).
//!
//! ```text
//! e = E_mac * MACs + E_ac * ACs           E_mac = E_mul + E_add,  E_ac = E_add
//!
//!         E_mul    E_add    pJ
//! fp32     3.7      0.9
//! fp16     1.1      0.4
//! int8     0.2      0.03
//! ```

use super::{EnergyModel, is_folded};
use crate::record::OpsRow;

/// pJ of a multiplication and of an addition.
#[derive(Clone, Copy)]
pub(super) struct Costs {
    pub(super) multiply: f64,
    pub(super) add: f64,
}

impl Costs {
    fn products(self, macs: f64, acs: f64) -> f64 {
        (self.multiply + self.add) * macs + self.add * acs
    }
}

pub(super) const FP32_COSTS: Costs = Costs { multiply: 3.7, add: 0.9 };
const FP16_COSTS: Costs = Costs { multiply: 1.1, add: 0.4 };
pub(super) const INT8_COSTS: Costs = Costs { multiply: 0.2, add: 0.03 };

const HOROWITZ: &str = "Constants: Horowitz, ISSCC 2014, 45 nm.";
const STRICT: &str = "products of weights and activations alone; weights whose input is no spike multiply.";

pub(super) const FP32: EnergyModel = EnergyModel {
    id: "sop45-fp32",
    version: 1,
    source: HOROWITZ,
    assumes: STRICT,
    row: |row| products(row, FP32_COSTS),
};

pub(super) const FP32_PAPERS: EnergyModel = EnergyModel {
    id: "sop45-fp32-papers",
    version: 1,
    source: HOROWITZ,
    assumes: "as sop45-fp32, but weights behind weights, norms or means of spikes count as accumulates at the rate of those \
              spikes, as most papers do; no hardware without multipliers computes them so.",
    row: |row| match row.chained_acs_per_sample? {
        chained if chained > 0.0 => Some(FP32_COSTS.add * chained),
        _ => products(row, FP32_COSTS),
    },
};

pub(super) const FP32_ALL: EnergyModel = EnergyModel {
    id: "sop45-fp32-all",
    version: 1,
    source: HOROWITZ,
    assumes: "as sop45-fp32, with neuron updates, biases, pools, shortcuts, factors and the norms that do not stand right \
              behind weights; a comparison costs as much as an addition.",
    row: |row| Some(products(row, FP32_COSTS)? + rest(row, FP32_COSTS)?),
};

pub(super) const FP16: EnergyModel = EnergyModel {
    id: "sop45-fp16",
    version: 1,
    source: HOROWITZ,
    assumes: STRICT,
    row: |row| products(row, FP16_COSTS),
};

pub(super) const INT8: EnergyModel = EnergyModel {
    id: "sop45-int8",
    version: 1,
    source: HOROWITZ,
    assumes: STRICT,
    row: |row| products(row, INT8_COSTS),
};

/// pJ of a row's multiply-accumulates and accumulates.
pub(super) fn products(row: &OpsRow, costs: Costs) -> Option<f64> {
    Some(costs.products(row.macs_per_sample?, row.acs_per_sample?))
}

/// pJ of so many multiply-accumulates and accumulates in single precision.
pub(crate) fn products_pj(macs: f64, acs: f64) -> f64 {
    FP32_COSTS.products(macs, acs)
}

/// pJ of what a row does beside them.
pub(super) fn rest(row: &OpsRow, costs: Costs) -> Option<f64> {
    if is_folded(row) {
        return Some(0.0);
    }
    let additions = row.adds_per_sample? + row.compares_per_sample?;
    Some(costs.multiply * row.multiplies_per_sample? + costs.add * additions)
}
