//! `data rate`: how many samples a second a set and a recipe make, with nobody waiting for them.

use std::io::Write;
use std::time::Instant;

use datasets::Split;
use keys::Key;

use super::data::{Set, fault};
use crate::error::Result;
use crate::shelf;
use crate::source::Feed;

/// What is asked for beside the set.
pub(super) struct Asked<'a> {
    pub(super) recipe: &'a str,
    pub(super) batch: usize,
    pub(super) batches: usize,
}

pub(super) fn rate(set: &Set, asked: &Asked<'_>, output: &mut dyn Write) -> Result<()> {
    let id = set.id();
    let recipe = shelf::recipe(asked.recipe, None)?;
    let feed = set
        .source()?
        .feed(Split::Train, recipe.data, asked.batch, Key::new(1), true)
        .map_err(|source| fault(id, source))?;
    feed.prepare().map_err(|source| fault(id, source))?;
    let began = Instant::now();
    let (mut samples, mut numbers) = (0, 0);
    for batch in feed.epoch(0).take(asked.batches) {
        let batch = batch.map_err(|source| fault(id, source))?;
        samples += batch.labels.len();
        numbers += batch.pixels.len();
    }
    let seconds = began.elapsed().as_secs_f64();
    let threads = match feed {
        Feed::Images(_) => rayon::current_num_threads(),
        Feed::Frames(_) => 1,
    };
    let bytes = (numbers * size_of::<f32>()) as f64;
    writeln!(
        output,
        "{id} by recipe {}: {samples} samples in {seconds:.2} s (threads: {threads}), {:.0} samples/s, {:.1} MB/s written",
        asked.recipe,
        samples as f64 / seconds,
        bytes / seconds / 1e6
    )?;
    Ok(())
}
