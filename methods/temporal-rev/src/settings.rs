//! The method's own choices.

use engine::method::{Setting, Settings};
use engine::region::KeptStates;
use engine::{Error, Result};

/// Reads `states = "last" | "per-step"`; `"last"` when absent.
pub(crate) fn kept_states(method: &str, settings: &Settings) -> Result<KeptStates> {
    settings.only(method, &["states"])?;
    match settings.pairs().iter().find(|(key, _)| key == "states").map(|(_, value)| value) {
        None => Ok(KeptStates::Last),
        Some(Setting::Text(text)) if text == "last" => Ok(KeptStates::Last),
        Some(Setting::Text(text)) if text == "per-step" => Ok(KeptStates::PerStep),
        Some(other) => Err(Error::setting("method.states", "\"last\" or \"per-step\"", other)),
    }
}
