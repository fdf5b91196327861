//! Presynaptic traces.

use kernels::{elementwise, lif};

use crate::error::Result;
use crate::ledger::Category;
use crate::pass::Pass;
use crate::value::Value;

/// `a_t = decay * a_{t-1} + s_t`, in place; the first trace is the spikes themselves (OTTT, equation 5).
///
/// # Errors
/// When a kernel fails.
pub fn trace(pass: &Pass<'_>, before: Option<Value>, spikes: &Value, decay: f64) -> Result<Value> {
    let trace = match before {
        Some(trace) => trace,
        None => pass.session().zeros(Category::Traces, spikes.shape())?,
    };
    pass.count_trace(&trace);
    if let Ok(into) = trace.tensor() {
        match spikes.bits() {
            Some(bits) => lif::trace(into, bits, decay)?,
            None => {
                elementwise::scale_assign(into, decay)?;
                elementwise::add_assign(into, spikes.tensor()?, 1.0)?;
            }
        }
    }
    Ok(trace)
}
