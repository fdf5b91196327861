//! `data` of sets whose samples are frames in time: event sets, their stand-ins and temporal tasks.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use datasets::check::{FrameSplit, frame_sheet, verify_frames};
use datasets::events::{self, FrameSet};
use datasets::{FrameEntry, Request, Split};

use super::data::fault;
use crate::error::Result;

fn open(entry: &FrameEntry, request: &Request<'_>) -> Result<Arc<dyn FrameSet>> {
    entry.open(request).map_err(|source| fault(entry.id, source))
}

pub(super) fn verified(
    entry: &FrameEntry,
    request: &Request<'_>,
    output: &mut dyn Write,
) -> Result<ExitCode> {
    let set = open(entry, request)?;
    let card = set.card();
    writeln!(output, "{} ({})", card.title, card.id)?;
    writeln!(output, "  origin    {}; {}", card.origin, card.note)?;
    writeln!(output, "  protocol  {} {}", card.protocol, card.protocol_hash)?;
    let report = verify_frames(set.as_ref());
    for split in &report.splits {
        tell(split, output)?;
        recordings(entry, request, split.split, output)?;
    }
    writeln!(output, "  {} samples in both splits (leakage)", report.leaks.len())?;
    for [train, test] in report.leaks.iter().take(10) {
        writeln!(output, "            train {train} = test {test}")?;
    }
    match &report.manifest {
        Some(manifest) => writeln!(output, "  manifest  {manifest}")?,
        None => writeln!(output, "  manifest  none: a sample can't be read")?,
    }
    let sound = report.is_sound();
    writeln!(output, "  {}", if sound { "sound" } else { "NOT SOUND" })?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(split: &FrameSplit, output: &mut dyn Write) -> Result<()> {
    let FrameSplit { by_class, mean_by_step, silent, faulty, faults, .. } = split;
    let least = by_class.iter().min().copied().unwrap_or(0);
    let most = by_class.iter().max().copied().unwrap_or(0);
    let samples: usize = by_class.iter().sum();
    let means: Vec<String> = mean_by_step.iter().map(|mean| format!("{mean:.3}")).collect();
    writeln!(output, "  {:<9} {samples} samples, {least} to {most} a class", split.split.name())?;
    writeln!(output, "            mean of a frame at each step: {}", means.join(" "))?;
    writeln!(output, "            {:.1} % of frames empty; {faulty} samples with a fault", 100.0 * silent)?;
    for line in faults {
        writeln!(output, "            {line}")?;
    }
    Ok(())
}

/// Totals of the events themselves, where there are events.
fn recordings(entry: &FrameEntry, request: &Request<'_>, split: Split, output: &mut dyn Write) -> Result<()> {
    let events = entry.events(request).map_err(|source| fault(entry.id, source))?;
    let Some(events) = events else { return Ok(()) };
    match events::survey(events.as_ref(), split) {
        Ok(survey) => {
            let [shortest, longest] = survey.shortest_longest;
            let totals = survey.totals;
            writeln!(
                output,
                "            {} events, {} of them ON, {shortest} to {longest} a recording; {} markers; {} \
                 steps back in time",
                totals.events, totals.on, survey.dropped, totals.backward
            )?;
        }
        // The faults are told above, sample by sample.
        Err(error) => writeln!(output, "            no totals of events: {error}")?,
    }
    Ok(())
}

pub(super) fn sheet(
    entry: &FrameEntry,
    request: &Request<'_>,
    split: Split,
    (classes, side): (usize, usize),
) -> Result<Vec<u8>> {
    let set = open(entry, request)?;
    frame_sheet(set.as_ref(), split, classes, side).map_err(|source| fault(entry.id, source))
}

pub(super) fn help(entry: &FrameEntry, output: &mut dyn Write) -> Result<()> {
    let [train, test] = entry.counts;
    let [channels, height, width] = entry.shape(None);
    writeln!(output, "{}: {}", entry.id, entry.title)?;
    writeln!(
        output,
        "  {train} + {test} samples of {}x{channels}x{height}x{width}, {} classes; {}",
        entry.steps_under(None),
        entry.classes,
        entry.origin
    )?;
    writeln!(output, "  from: {}; licence: {}", entry.source, entry.licence)?;
    if !entry.protocols.is_empty() {
        writeln!(output, "  protocols: {}", entry.protocols.join(", "))?;
    }
    if entry.needs_data_dir {
        writeln!(output, "  needs --data DIR with the files, or with a folder {}/ of them", entry.id)?;
    } else {
        writeln!(output, "  needs no file")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_sound_and_has_a_sheet() {
        let entry = datasets::find_frames("delayed-recall").unwrap();
        let mut said = Vec::new();
        let request = Request { folder: None, protocol: None, steps: entry.steps_under(None) };
        verified(entry, &request, &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.ends_with("  sound\n"), "{said}");
        assert!(said.contains("0 samples in both splits"), "{said}");
        assert!(sheet(entry, &request, Split::Test, (4, 16)).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn help_names_the_protocols() {
        let mut said = Vec::new();
        help(datasets::find_frames("cifar10-dvs").unwrap(), &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("cifar10dvs/tebn-0-99") && said.contains("--data DIR"), "{said}");
    }
}
