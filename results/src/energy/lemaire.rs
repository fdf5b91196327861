//! Operations, addresses, and every access to memory (Lemaire et al., ICONIP 2022).
//!
//! Of a layer that reads numbers (equations 1 to 12 there), and of one that reads `s` spikes with `a` accumulates
//! (equations 5 to 15):
//!
//! ```text
//! numbers   e = MACs (E_mul + E_add) + MACs R(in) + MACs R(w) + outputs R(out) + (inputs + outputs) E_add
//!           of a linear map inputs R(in) in place of MACs R(in), and MACs E_add for addresses
//! spikes    e = a E_add + s R(queue) + a R(w) + 2 a R(out) + 2 s (E_mul + E_add) + a E_add
//! neurons   e = their operations + 2 updates R(neurons) + spikes R(queue)
//! others    e = their operations + inputs R(in) + outputs R(out)
//! ```
//!
//! `R(n)` is the energy to read or write one word of a memory that holds `n` words: 10, 20, 100 pJ for 64 bits of 8 KiB,
//! 32 KiB, 1 MiB, straight lines between and beyond, and never below the first.

use super::{EnergyModel, is_folded};
use crate::record::OpsRow;

pub(super) const MODEL: EnergyModel = EnergyModel {
    id: "mem-lemaire",
    version: 1,
    source: "Equations: Lemaire et al., ICONIP 2022 (arXiv 2210.13107). Constants: Horowitz, ISSCC 2014, 45 nm, int32.",
    assumes: "32-bit words; each layer has memories of its own that hold just its inputs, weights and membranes; an event \
              costs two multiply-accumulates of addressing (an assumption of ours); norms behind weights are part of \
              them.",
    row,
};

const ADD: f64 = 0.1;
const MULTIPLY: f64 = 3.1;
const WORD_BYTES: f64 = 4.0;

fn row(row: &OpsRow) -> Option<f64> {
    if is_folded(row) {
        return Some(0.0);
    }
    let operations =
        MULTIPLY * row.multiplies_per_sample? + ADD * (row.adds_per_sample? + row.compares_per_sample?);
    let (inputs, outputs) = (row.inputs_per_sample?, row.outputs_per_sample?);
    let weights = access(row.weights as f64);
    let others = || operations + inputs * access(inputs) + outputs * access(outputs);
    Some(match row.kind.as_str() {
        "convolution" | "linear" | "product" if row.reads == "spikes" => {
            let (events, acs) = (row.input_spikes_per_sample?, row.acs_per_sample?);
            let memory = events * access(events) + acs * weights + 2.0 * acs * access(outputs);
            operations + acs * ADD + memory + addresses(events, acs)
        }
        "convolution" | "linear" | "product" => {
            let macs = row.macs_per_sample?;
            let (reads, addressed) = match row.kind.as_str() {
                "linear" => (inputs, macs),
                _ => (macs, inputs + outputs),
            };
            let memory = reads * access(inputs) + macs * weights + outputs * access(outputs);
            operations + macs * (MULTIPLY + ADD) + memory + addressed * ADD
        }
        "neuron" => {
            let (neurons, spikes) = (row.neurons as f64, row.spikes_per_sample?);
            operations + 2.0 * outputs * access(neurons) + spikes * access(spikes)
        }
        _ => others(),
    })
}

/// An event's address becomes that of its first membrane, and is moved on for each other one.
fn addresses(events: f64, acs: f64) -> f64 {
    2.0 * events * (MULTIPLY + ADD) + acs * ADD
}

/// pJ of reading or writing one word of a memory of so many words.
fn access(words: f64) -> f64 {
    /// Bytes of a memory, and pJ for 64 bits of it.
    const MEMORIES: [(f64, f64); 3] = [(8192.0, 10.0), (32_768.0, 20.0), (1_048_576.0, 100.0)];
    let bytes = words * WORD_BYTES;
    let [small, middle, large] = MEMORIES;
    let (from, to) = if bytes <= middle.0 { (small, middle) } else { (middle, large) };
    let along = (bytes.max(small.0) - from.0) / (to.0 - from.0);
    (from.1 + along * (to.1 - from.1)) * WORD_BYTES / 8.0
}

#[cfg(test)]
mod tests {
    use super::access;

    #[test]
    fn a_word_costs_half_of_what_64_bits_cost_and_lines_join_the_known_sizes() {
        assert_eq!([1.0, 2048.0, 8192.0, 262_144.0].map(access), [5.0, 5.0, 10.0, 50.0]);
        // Half-way between 32 KiB and 1 MiB.
        assert_eq!(access((8192.0 + 262_144.0) / 2.0), 30.0);
    }
}
