//! `recipe NAME`: prints a recipe as the program understood it.

use std::io::Write;

use crate::error::Result;
use crate::shelf;

pub(crate) fn recipe(name: &str, output: &mut dyn Write) -> Result<()> {
    write!(output, "{}", shelf::recipe(name, None)?.to_toml()?)?;
    Ok(())
}
