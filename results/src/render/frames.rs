//! Strips of small pictures: a row a sample, a column a step.

use super::layout::{LABEL, MARGIN, TICK, WIDTH, area};
use super::scene::{Anchor, Area, Ink, Place, Shape, Text, text_width};
use crate::chart::{Frame, FrameGroup, FrameStrip};

/// Longest side of a picture, and shortest.
const LONGEST: f64 = 92.0;
const SHORTEST: f64 = 6.0;
/// Space between two pictures.
const GAP: f64 = 5.0;
/// Space for a group's heading, and for the steps' numbers below its strips.
const HEAD: f64 = 28.0;
const FOOT: f64 = 22.0;
/// Height of the legend, side of its squares, and space between two entries.
const LEGEND: f64 = 22.0;
const SQUARE: f64 = 11.0;
const BETWEEN: f64 = 22.0;
/// Levels of a number, see `FrameRow`.
const MOST: u8 = crate::record::FrameRow::MOST;

/// Draws legend and groups below a height and returns the height below them.
pub(super) fn draw(shapes: &mut Vec<Shape>, top: f64, groups: &[FrameGroup]) -> f64 {
    let frames = || groups.iter().flat_map(|group| &group.strips).flat_map(|strip| &strip.frames);
    let mut height = top;
    if frames().any(|frame| frame.channels.len() == 2) {
        legend(shapes, top);
        height += LEGEND;
    }
    // Runs of one colour, whichever picture they are in.
    let mut cells: Vec<(Ink, Vec<Area>)> = Vec::new();
    for group in groups {
        let heading = Text::new((MARGIN, height + HEAD / 2.0), &group.title, LABEL, Ink::Letter);
        shapes.push(heading.bold().into());
        height += HEAD;
        let names = group.strips.iter().map(|strip| text_width(&strip.name, TICK)).fold(0.0, f64::max);
        let left = MARGIN + names + 8.0;
        let (wide, tall) = size(group, WIDTH - MARGIN - left);
        for strip in &group.strips {
            let middle = (left - 8.0, height + tall / 2.0);
            shapes.push(Text::new(middle, &strip.name, TICK, Ink::Muted).anchored(Anchor::End).into());
            for (frame, place) in strip.frames.iter().zip(0..) {
                let corner = (left + f64::from(place) * (wide + GAP), height);
                shapes.push(area(
                    corner,
                    (corner.0 + wide, corner.1 + tall),
                    Ink::Polarity { off: 0, on: 0 },
                ));
                for (ink, run) in runs(frame, corner, (wide, tall)) {
                    match cells.iter_mut().find(|(known, _)| *known == ink) {
                        Some((_, areas)) => areas.push(run),
                        None => cells.push((ink, vec![run])),
                    }
                }
            }
            height += tall + GAP;
        }
        for (frame, place) in longest(group).iter().zip(0..) {
            let at = (left + f64::from(place) * (wide + GAP) + wide / 2.0, height + 6.0);
            shapes.push(
                Text::new(at, &frame.step.to_string(), TICK, Ink::Muted).anchored(Anchor::Middle).into(),
            );
        }
        height += FOOT;
    }
    shapes.extend(cells.into_iter().map(|(ink, areas)| Shape::Mosaic { areas, ink }));
    height
}

fn longest(group: &FrameGroup) -> &[Frame] {
    group
        .strips
        .iter()
        .map(|strip: &FrameStrip| strip.frames.as_slice())
        .max_by_key(|frames| frames.len())
        .unwrap_or_default()
}

/// Width and height of a group's pictures, as they fit into a width.
fn size(group: &FrameGroup, room: f64) -> (f64, f64) {
    let frames = longest(group);
    let Some(first) = frames.first() else { return (LONGEST, LONGEST) };
    let columns = first.width as f64;
    let rows = (first.channels.first().map_or(1, Vec::len) / first.width.max(1)).max(1) as f64;
    let across = (room / frames.len() as f64 - GAP).min(LONGEST);
    // Cells are squares where no side becomes too short to be seen.
    let cell = (across / columns).min(LONGEST / rows);
    ((cell * columns).max(SHORTEST), (cell * rows).max(SHORTEST))
}

/// The cells of a picture in which something happens, those of a row that look alike and touch as one.
fn runs(frame: &Frame, corner: Place, size: (f64, f64)) -> Vec<(Ink, Area)> {
    let rows = frame.channels.first().map_or(0, Vec::len) / frame.width.max(1);
    let (wide, tall) = (size.0 / frame.width as f64, size.1 / rows.max(1) as f64);
    let mut found = Vec::new();
    for row in 0..rows {
        let mut from = 0;
        while from < frame.width {
            let ink = ink(frame, row * frame.width + from);
            let same =
                (from..frame.width).take_while(|column| self::ink(frame, row * frame.width + column) == ink);
            let to = from + same.count();
            if let Some(ink) = ink {
                let place = |column: usize, row: usize| {
                    (corner.0 + column as f64 * wide, corner.1 + row as f64 * tall)
                };
                found.push((ink, (place(from, row), place(to, row + 1))));
            }
            from = to;
        }
    }
    found
}

/// The colour of a cell; `None` where nothing happens.
fn ink(frame: &Frame, cell: usize) -> Option<Ink> {
    let level = |channel: &Vec<u8>| channel.get(cell).copied().unwrap_or(0).min(MOST);
    let most = frame.channels.iter().map(level).max().filter(|most| *most > 0)?;
    Some(match frame.channels.as_slice() {
        [off, on] => Ink::Polarity { off: level(off), on: level(on) },
        _ => Ink::Heat((u16::from(most) * 255 / u16::from(MOST)) as u8),
    })
}

fn legend(shapes: &mut Vec<Shape>, top: f64) {
    let (mut left, middle) = (MARGIN, top + LEGEND / 2.0);
    for (name, off, on) in
        [("OFF: darker", MOST, 0), ("ON: brighter", 0, MOST), ("both", MOST, MOST), ("nothing", 0, 0)]
    {
        let half = SQUARE / 2.0;
        shapes.push(area((left, middle - half), (left + SQUARE, middle + half), Ink::Polarity { off, on }));
        shapes.push(Text::new((left + SQUARE + 6.0, middle), name, LABEL, Ink::Letter).into());
        left += SQUARE + 6.0 + text_width(name, LABEL) + BETWEEN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_row_that_look_alike_are_one_area() {
        let frame = Frame {
            step: 1,
            width: 4,
            channels: vec![vec![0, 2, 2, 2, 0, 0, 0, 9], vec![0, 0, 0, 1, 0, 0, 0, 0]],
        };
        let found = runs(&frame, (10.0, 20.0), (8.0, 4.0));
        let polarity = |off, on| Ink::Polarity { off, on };
        assert_eq!(
            found,
            [
                (polarity(2, 0), ((12.0, 20.0), (16.0, 22.0))),
                (polarity(2, 1), ((16.0, 20.0), (18.0, 22.0))),
                (polarity(9, 0), ((16.0, 22.0), (18.0, 24.0))),
            ]
        );
    }

    #[test]
    fn pictures_fit_and_can_be_seen() {
        let group = |width: usize, cells: usize, steps: u32| FrameGroup {
            title: String::new(),
            strips: vec![FrameStrip {
                name: String::new(),
                frames: (1..=steps)
                    .map(|step| Frame { step, width, channels: vec![vec![0; cells]] })
                    .collect(),
            }],
        };
        assert_eq!(size(&group(34, 34 * 34, 4), 800.0), (LONGEST, LONGEST));
        let (wide, tall) = size(&group(48, 48 * 48, 12), 800.0);
        assert!((wide + GAP) * 12.0 <= 800.0 + 1e-9 && (wide - tall).abs() < 1e-9);
        // A row of pixels is as wide as it may be, and no line.
        assert_eq!(size(&group(28, 28, 4), 800.0), (LONGEST, SHORTEST));
        let (wide, tall) = size(&group(1, 28, 4), 800.0);
        assert!(tall <= LONGEST && wide >= SHORTEST);
    }
}
