//! Groups of horizontal bars over one axis that begins at 0.

use super::layout::{LABEL, MARGIN, TICK, WIDTH, area, line};
use super::scene::{Anchor, Ink, Shape, Text, text_width};
use crate::chart::{Axis, Bar, BarGroup};

/// Height of a bar with the space around it, and without.
const ROW: f64 = 24.0;
const BAR: f64 = 15.0;
/// Space for a group's heading.
const HEAD: f64 = 30.0;
/// Space between two groups.
const GAP: f64 = 8.0;
/// Half the height of a whisker's end.
const WHISKER: f64 = 4.0;

/// Draws the groups below a height and returns the height below them.
pub(super) fn draw(shapes: &mut Vec<Shape>, top: f64, x: &Axis, groups: &[BarGroup]) -> f64 {
    let bars = || groups.iter().flat_map(|group| &group.bars);
    let widest = |text: fn(&Bar) -> &str| bars().map(|bar| text_width(text(bar), LABEL)).fold(0.0, f64::max);
    let left = MARGIN + widest(|bar| &bar.name) + 10.0;
    let right = WIDTH - MARGIN - widest(|bar| &bar.text) - 10.0;
    let across = |value: f64| left + x.place(value) * (right - left);
    let rows = bars().count() as f64;
    let bottom = top + groups.len() as f64 * (HEAD + GAP) + rows * ROW;

    for (value, text) in &x.ticks {
        shapes.push(line((across(*value), top + 8.0), (across(*value), bottom), Ink::Grid, 1.0));
        let tick = Text::new((across(*value), bottom + 14.0), text, TICK, Ink::Muted);
        shapes.push(tick.anchored(Anchor::Middle).into());
    }
    let mut height = top;
    for group in groups {
        let heading = Text::new((MARGIN, height + HEAD / 2.0), &group.title, LABEL, Ink::Letter).bold();
        let (width, middle) = (text_width(&group.title, LABEL) * 1.1, height + HEAD / 2.0);
        shapes.push(area((MARGIN, middle - 9.0), (MARGIN + width, middle + 9.0), Ink::Paper));
        shapes.push(heading.into());
        height += HEAD;
        let first = height;
        for bar in &group.bars {
            draw_bar(shapes, bar, height + ROW / 2.0, across);
            height += ROW;
        }
        shapes.push(line((left, first), (left, height), Ink::Axis, 1.0));
        height += GAP;
    }
    let label = Text::new(((left + right) / 2.0, bottom + 34.0), &x.label, LABEL, Ink::Muted);
    shapes.push(label.anchored(Anchor::Middle).into());
    bottom + 44.0
}

fn draw_bar(shapes: &mut Vec<Shape>, bar: &Bar, middle: f64, across: impl Fn(f64) -> f64) {
    let (start, end) = (across(0.0), across(bar.value));
    let name = Text::new((start - 8.0, middle), &bar.name, LABEL, Ink::Letter);
    shapes.push(name.anchored(Anchor::End).into());
    shapes.push(area((start, middle - BAR / 2.0), (end, middle + BAR / 2.0), Ink::Method(bar.method)));
    let mut reach = end;
    if let Some(spread) = bar.spread {
        let (low, high) = (across((bar.value - spread).max(0.0)), across(bar.value + spread));
        // A rim in the sheet's colour, so that the whisker shows on a bar of any colour.
        for (ink, width) in [(Ink::Paper, 3.5), (Ink::Letter, 1.5)] {
            shapes.push(line((low, middle), (high, middle), ink, width));
            for edge in [low, high] {
                shapes.push(line((edge, middle - WHISKER), (edge, middle + WHISKER), ink, width));
            }
        }
        reach = high;
    }
    shapes.push(Text::new((reach + 8.0, middle), &bar.text, LABEL, Ink::Letter).into());
}
