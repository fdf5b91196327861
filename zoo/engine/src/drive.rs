//! Drives a wiring: all steps at once, or one step at a time.

use crate::error::{Error, Result};
use crate::model::{Levels, Segment, Wiring};
use crate::ops::{self, Shortcut};
use crate::pass::Pass;
use crate::region::{self, Past};
use crate::unroll::Unroll;
use crate::value::Value;

/// Which parts of a network are run with the tape off and rebuilt in backward. Stacking is choosing two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Coupled stages keep their output and are inverted.
    pub coupled: bool,
    /// Plain blocks keep their input and run again.
    pub checkpoint: bool,
}

/// Scores `[T, B, classes]` of all steps, from images `[1, B, C, H, W]` or frames `[T, B, C, H, W]`.
///
/// # Errors
/// When a shape does not fit.
pub fn all_steps(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    wiring: &Wiring,
    regions: Regions,
    x: &Value,
) -> Result<Value> {
    check_frames(pass, x)?;
    match wiring {
        Wiring::Sequence(segments) => sequence(pass, port, segments, regions, x),
        Wiring::Levels(levels) => {
            let shared = if x.steps() == 1 { Some(stem_of(pass, port, &**levels, x)?) } else { None };
            let mut scores = Vec::with_capacity(pass.steps());
            for step in 0..pass.steps() {
                let at = pass.at(step);
                let stem = match &shared {
                    Some(stem) => stem.clone(),
                    None => levels.stem(&at, port, &x.frame(step)?)?,
                };
                scores.push(level_step(&at, port, &**levels, &stem)?);
            }
            ops::concat_steps(pass, &scores)
        }
    }
}

/// Scores `[1, B, classes]` of the step the pass is at.
///
/// # Errors
/// When the pass is at no step or a shape does not fit.
pub fn one_step(pass: &Pass<'_>, port: &mut dyn Unroll, wiring: &Wiring, x: &Value) -> Result<Value> {
    let Some(step) = pass.step() else {
        return Err(Error::Misuse("one step was asked for, but the pass covers all".into()));
    };
    check_frames(pass, x)?;
    let x = x.frame(step)?;
    match wiring {
        Wiring::Sequence(segments) => sequence(pass, port, segments, Regions::default(), &x),
        Wiring::Levels(levels) => {
            let stem = levels.stem(pass, port, &x)?;
            level_step(pass, port, &**levels, &stem)
        }
    }
}

/// One step through all levels, from the stem feature to scores `[1, B, classes]`; the carried values move on.
///
/// # Errors
/// When a shape does not fit, or a carried value leaves its grid.
pub fn level_step(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    levels: &dyn Levels,
    stem: &Value,
) -> Result<Value> {
    through_levels(pass, port, levels, stem, None)
}

/// [`level_step`] that leaves behind what a walk back needs.
///
/// # Errors
/// As [`level_step`].
pub fn level_step_leaving(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    levels: &dyn Levels,
    stem: &Value,
    past: &mut Past,
) -> Result<Value> {
    through_levels(pass, port, levels, stem, Some(past))
}

fn through_levels(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    levels: &dyn Levels,
    stem: &Value,
    mut past: Option<&mut Past>,
) -> Result<Value> {
    let step = pass.step().unwrap_or(0);
    let sites = levels.sites();
    let mut below = stem.clone();
    for (level, site) in sites.iter().enumerate() {
        let mut deeper = Vec::new();
        for site in &sites[level + 1..] {
            deeper.extend(port.carry(pass, site)?);
        }
        let f = levels.level(pass, port, level, &below, &deeper)?;
        let carried = match port.carry(pass, site)? {
            Some(previous) => {
                let shortcut = Shortcut::of(levels, level, step);
                if let Some(past) = past.as_deref_mut() {
                    past.leave(pass, shortcut, &previous)?;
                }
                shortcut.carry_on(pass, &f, &previous)?
            }
            None => ops::carry_first(pass, site.name(), &f, levels.grid())?,
        };
        port.keep(pass, site, &carried)?;
        below = carried;
    }
    levels.head(pass, port, &below)
}

/// The stem feature of a still image, for all steps; where there is only one, the pass is at it.
pub(crate) fn stem_of(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    levels: &dyn Levels,
    image: &Value,
) -> Result<Value> {
    match pass.steps() {
        1 => levels.stem(&pass.at(0), port, image),
        _ => levels.stem(pass, port, image),
    }
}

/// Images `[1, B, C, H, W]` are still, frames are T.
pub(crate) fn check_frames(pass: &Pass<'_>, x: &Value) -> Result<()> {
    if x.steps() == 1 || x.steps() == pass.steps() {
        return Ok(());
    }
    Err(Error::shape("input", format!("[1 or T = {}, B, ...]", pass.steps()), x.shape()))
}

fn sequence(
    pass: &Pass<'_>,
    port: &mut dyn Unroll,
    segments: &[Segment],
    regions: Regions,
    x: &Value,
) -> Result<Value> {
    let mut x = x.clone();
    for segment in segments {
        x = match segment {
            Segment::Plain(block) if regions.checkpoint => region::checkpoint(pass, port, block, &x)?,
            Segment::Plain(block) => block.forward(pass, port, &x)?,
            Segment::Coupled(stage) if regions.coupled => region::coupled(pass, port, stage, &x)?,
            Segment::Coupled(stage) => region::coupled_plain(pass, port, stage, &x)?,
        };
    }
    Ok(x)
}
