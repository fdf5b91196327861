//! Drives a wiring: all steps at once, or one step at a time.

use crate::error::{Error, Result};
use crate::model::{Levels, Segment, Wiring};
use crate::ops::{self, Shortcut};
use crate::pass::Pass;
use crate::region::{self, Past};
use crate::unroll::Unroll;
use crate::value::Value;

/// Scores `[T, B, classes]` of all steps, from images `[1, B, C, H, W]` or frames `[T, B, C, H, W]`.
///
/// # Errors
/// When a shape does not fit.
pub fn all_steps(pass: &Pass<'_>, port: &mut dyn Unroll, wiring: &Wiring, x: &Value) -> Result<Value> {
    check_frames(pass, x)?;
    match wiring {
        Wiring::Sequence(segments) => sequence(pass, port, segments, x),
        Wiring::Recurrent(segments) => {
            let mut scores = Vec::with_capacity(pass.steps());
            for step in 0..pass.steps() {
                let at = pass.at(step);
                scores.push(region::segments(&at, port, segments, &ops::frame(&at, x, step)?)?);
            }
            ops::concat_steps(pass, &scores)
        }
        Wiring::Levels(levels) => {
            let shared = if x.steps() == 1 { Some(stem_of(pass, port, &**levels, x)?) } else { None };
            let mut scores = Vec::with_capacity(pass.steps());
            for step in 0..pass.steps() {
                let at = pass.at(step);
                let stem = match &shared {
                    Some(stem) => stem.clone(),
                    None => levels.stem(&at, port, &ops::frame(&at, x, step)?)?,
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
    let x = ops::frame(pass, x, step)?;
    match wiring {
        Wiring::Sequence(segments) | Wiring::Recurrent(segments) => {
            region::segments(pass, port, segments, &x)
        }
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
        let shortcut = Shortcut::of(levels, level, step);
        let carried = match port.carry(pass, site)? {
            Some(previous) => {
                if let Some(past) = past.as_deref_mut() {
                    past.leave(pass, shortcut, &previous)?;
                }
                shortcut.carry_on(pass, &f, &previous)?
            }
            None => shortcut.first(pass, &f)?,
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

/// Segments one after another, some of them as one region.
fn sequence(pass: &Pass<'_>, port: &mut dyn Unroll, segments: &[Segment], x: &Value) -> Result<Value> {
    let (mut x, mut next) = (x.clone(), 0);
    for region in pass.regions().iter().flat_map(|regions| &regions.checkpoints) {
        let (Some(before), Some(inside)) = (segments.get(next..region.start), segments.get(region.clone()))
        else {
            let rule = format!("in order, and among the {} segments", segments.len());
            return Err(Error::setting("checkpoints", rule, format!("{region:?}")));
        };
        x = region::segments(pass, port, before, &x)?;
        x = region::checkpoint(pass, port, inside, &x)?;
        next = region.end;
    }
    region::segments(pass, port, &segments[next..], &x)
}
