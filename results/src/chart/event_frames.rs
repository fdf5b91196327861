//! What networks see of sets that have a frame for every step: one group a set, one strip a test sample, time to the right.

use super::{Body, Chart, Figure, Frame, FrameGroup, FrameStrip};
use crate::read::Records;
use crate::record::{FrameRow, Trial};

pub(super) const CHART: Chart = Chart { id: "event-frames", figure };

fn figure(records: &Records) -> Option<Figure> {
    let mut groups: Vec<FrameGroup> = Vec::new();
    for trial in &records.trials {
        let Some(group) = group(trial, &records.frames) else { continue };
        // Seeds and cases of one protocol and T see the same.
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    (!groups.is_empty()).then(|| Figure {
        id: CHART.id.to_owned(),
        title: "What the network sees: frames of test samples".to_owned(),
        about: "The first test samples of three classes, as the protocol makes them; time to the right, deeper colours for more."
            .to_owned(),
        body: Body::Frames { groups },
    })
}

fn group(trial: &Trial, frames: &[FrameRow]) -> Option<FrameGroup> {
    let own = |row: &&FrameRow| (&row.trial, row.attempt) == (&trial.trial, trial.attempt);
    let mut strips: Vec<(u64, FrameStrip)> = Vec::new();
    for row in frames.iter().filter(own) {
        // A picture that is none would be drawn wrongly: it stays away.
        let Some(picture) = row.picture() else { continue };
        if strips.last().is_none_or(|(sample, _)| *sample != row.sample) {
            strips
                .push((row.sample, FrameStrip { name: format!("class {}", row.label), frames: Vec::new() }));
        }
        let Some((_, strip)) = strips.last_mut() else { continue };
        match strip.frames.last_mut().filter(|frame| frame.step == row.step) {
            Some(frame) if frame.channels.iter().all(|channel| channel.len() == picture.len()) => {
                frame.channels.push(picture);
            }
            Some(_) => {}
            None => strip.frames.push(Frame {
                step: row.step,
                width: row.width as usize,
                channels: vec![picture],
            }),
        }
    }
    let mark = if trial.stand_in == Some(true) { ", a stand-in" } else { "" };
    let title = format!("{}{mark}: {}, T = {}", trial.dataset, trial.protocol, trial.steps_t);
    let strips: Vec<FrameStrip> = strips.into_iter().map(|(_, strip)| strip).collect();
    (!strips.is_empty()).then_some(FrameGroup { title, strips })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(seed: u64) -> Trial {
        Trial {
            trial: format!("suite/case/method/t2/s{seed}"),
            attempt: 1,
            dataset: "set".to_owned(),
            protocol: "rule-1".to_owned(),
            stand_in: Some(true),
            steps_t: 2,
            ..Trial::default()
        }
    }

    fn rows(seed: u64) -> Vec<FrameRow> {
        let row = |step, channel, levels: &str| FrameRow {
            trial: trial(seed).trial,
            attempt: 1,
            step,
            channel,
            height: 1,
            width: 2,
            levels: levels.to_owned(),
            ..FrameRow::default()
        };
        vec![row(1, 0, "09"), row(1, 1, "10"), row(2, 0, "00"), row(2, 1, "0")]
    }

    #[test]
    fn seeds_that_see_the_same_share_a_group_and_broken_pictures_stay_away() {
        let records = Records {
            trials: vec![trial(0), trial(1), Trial { attempt: 2, ..trial(2) }],
            frames: [rows(0), rows(1), rows(2)].concat(),
            ..Records::default()
        };
        let Some(Figure { body: Body::Frames { groups }, .. }) = figure(&records) else {
            panic!("no figure")
        };
        let frame = |step, channels: &[&[u8]]| Frame {
            step,
            width: 2,
            channels: channels.iter().map(|channel| channel.to_vec()).collect(),
        };
        let strip = FrameStrip {
            name: "class 0".to_owned(),
            frames: vec![frame(1, &[&[0, 9], &[1, 0]]), frame(2, &[&[0, 0]])],
        };
        let title = "set, a stand-in: rule-1, T = 2".to_owned();
        assert_eq!(groups, [FrameGroup { title, strips: vec![strip] }]);
        assert_eq!(figure(&Records::default()), None);
    }
}
