//! A pessimistic bound: every weight of a step comes from outside the chip, every event travels through a network on it.
//!
//! ```text
//! e = ACC (ACs + adds + compares) + MUL multiplies + MAC MACs
//!     + 8 bit * (DRAM weights + SRAM (ACs + MACs)) + ROUTE bits(inputs) * spikes        bits(n) = ceil(log2 n)
//! ```

use super::{EnergyModel, is_folded};
use crate::record::OpsRow;

pub(super) const MODEL: EnergyModel = EnergyModel {
    id: "mem-yan22",
    version: 1,
    source: "Constants of a 22 nm circuit: Yan et al., arXiv 2409.08290, as a third study quotes them (not checked against \
             the paper); multiplications: Horowitz, ISSCC 2014, int8 in 45 nm.",
    assumes: "8-bit weights, fetched from DRAM once a step (20 pJ a bit) and from the chip's memory for each operation (0.25 \
              pJ a bit); events carry their address (3 pJ a bit); additions and comparisons 0.05448 pJ. A bound from above, \
              not an estimate.",
    row,
};

const ADD: f64 = 0.05448;
const MULTIPLY: f64 = 0.2;
const DRAM_BIT: f64 = 20.0;
const CHIP_BIT: f64 = 0.25;
const ROUTE_BIT: f64 = 3.0;
const WEIGHT_BITS: f64 = 8.0;

fn row(row: &OpsRow) -> Option<f64> {
    if is_folded(row) {
        return Some(0.0);
    }
    let (macs, acs) = (row.macs_per_sample?, row.acs_per_sample?);
    let operations = ADD * (acs + macs + row.adds_per_sample? + row.compares_per_sample?)
        + MULTIPLY * (macs + row.multiplies_per_sample?);
    let weights = WEIGHT_BITS * (DRAM_BIT * row.weights as f64 + CHIP_BIT * (acs + macs));
    let address_bits = row.inputs_per_sample?.max(2.0).log2().ceil();
    Some(operations + weights + ROUTE_BIT * address_bits * row.input_spikes_per_sample?)
}
