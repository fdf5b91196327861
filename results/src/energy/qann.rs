//! Against the same network as a quantised one without time (Yan et al., arXiv 2409.08290).
//!
//! T binary steps tell `T + 1` values apart, so they carry as much as activations of `b = ceil(log2(T + 1))` bits:
//!
//! ```text
//! ratio = E_snn / E_qann
//! E_snn  = sum over layers and steps of (E_mul + E_add) MACs + E_add ACs            int8
//! E_qann = sum over layers of (E_mul b / 8 + E_add) dense MACs of one pass          b = 8 where a layer reads images
//! ```
//!
//! A multiplier's energy is taken to grow with the bits of its second factor. What is computed once for all steps is
//! one pass already; of the rest one pass is a T-th.

use super::sop45::{INT8_COSTS, products};
use super::{NO_COUNTS, evaluation};
use crate::record::OpsRow;

/// Version; grows when the same counts give another number.
const VERSION: u32 = 1;

/// What a reader must know.
pub(crate) fn footnote() -> String {
    format!(
        "qann-ratio v{VERSION}: energy under sop45-int8 divided by that of the same network in one pass with activations of \
         ceil(log2(T + 1)) bits and 8-bit weights, every product computed; below 1 the spikes are cheaper. After Yan \
         et al., arXiv 2409.08290."
    )
}

/// Bits of an activation that tells as many values apart as T binary steps do.
#[must_use]
pub fn activation_bits(steps_t: u32) -> u32 {
    // ceil(log2(T + 1)) is the number of binary digits of T.
    (u32::BITS - steps_t.leading_zeros()).max(1)
}

/// Energy of a spiking network divided by that of the quantised one.
///
/// # Errors
/// With the reason why there is no number.
pub fn ratio(rows: &[&OpsRow], steps_t: u32) -> Result<f64, String> {
    let Some(rows) = evaluation(rows) else { return Err(NO_COUNTS.to_owned()) };
    if !rows.iter().any(|row| row.kind == "neuron") {
        return Err("nothing spikes here".to_owned());
    }
    let (mut spiking, mut quantised) = (0.0, 0.0);
    for row in rows {
        let Some(energy) = products(row, INT8_COSTS) else {
            return Err(format!("{} lacks a count at step {}", row.layer, row.step));
        };
        spiking += energy;
        let bits = if row.reads == "images" { 8 } else { activation_bits(steps_t) };
        let passes = if row.step == 0 { 1.0 } else { 1.0 / f64::from(steps_t.max(1)) };
        let product = INT8_COSTS.multiply * f64::from(bits) / 8.0 + INT8_COSTS.add;
        quantised += product * row.dense_macs_per_sample * passes;
    }
    if quantised > 0.0 { Ok(spiking / quantised) } else { Err("no layer has weights".to_owned()) }
}
