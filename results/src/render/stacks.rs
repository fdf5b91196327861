//! Groups of horizontal bars that are made of parts, with a legend of the parts above them.

use super::layout::{LABEL, MARGIN, TICK, WIDTH, area, line};
use super::scene::{Anchor, Ink, Shape, Text, text_width};
use crate::chart::{Stack, StackGroup};

/// Height of a bar with the space around it, and without.
const ROW: f64 = 22.0;
const BAR: f64 = 15.0;
/// Space for a group's heading.
const HEAD: f64 = 30.0;
/// Space for a group's ticks.
const FOOT: f64 = 26.0;
/// Height of a line of the legend, side of its squares, and space between two entries.
const LEGEND: f64 = 20.0;
const SQUARE: f64 = 11.0;
const BETWEEN: f64 = 22.0;

/// Width from which on a part is seen, and named in the legend.
const VISIBLE: f64 = 0.5;

/// Draws legend and groups below a height and returns the height below them.
pub(super) fn draw(
    shapes: &mut Vec<Shape>,
    top: f64,
    label: &str,
    parts: &[String],
    groups: &[StackGroup],
) -> f64 {
    let stacks = || groups.iter().flat_map(|group| &group.stacks);
    let widest =
        |text: fn(&Stack) -> &str| stacks().map(|stack| text_width(text(stack), LABEL)).fold(0.0, f64::max);
    let left = MARGIN + widest(|stack| &stack.name) + 10.0;
    let right = WIDTH - MARGIN - widest(|stack| &stack.text) - 10.0;
    let seen = |group: &StackGroup, part: usize| {
        let width = |stack: &Stack| (group.x.place(share(stack, part)) - group.x.place(0.0)) * (right - left);
        group.stacks.iter().any(|stack| width(stack) >= VISIBLE)
    };
    let mut height = legend(shapes, top, parts, |part| groups.iter().any(|group| seen(group, part)));
    for group in groups {
        let heading = Text::new((MARGIN, height + HEAD / 2.0), &group.title, LABEL, Ink::Letter);
        shapes.push(heading.bold().into());
        let first = height + HEAD;
        let last = first + group.stacks.len() as f64 * ROW;
        let across = |value: f64| left + group.x.place(value) * (right - left);
        for (value, text) in &group.x.ticks {
            shapes.push(line((across(*value), first), (across(*value), last), Ink::Grid, 1.0));
            let tick = Text::new((across(*value), last + 11.0), text, TICK, Ink::Muted);
            shapes.push(tick.anchored(Anchor::Middle).into());
        }
        for (place, stack) in group.stacks.iter().enumerate() {
            draw_stack(shapes, stack, first + (place as f64 + 0.5) * ROW, across);
        }
        shapes.push(line((left, first), (left, last), Ink::Axis, 1.0));
        height = last + FOOT;
    }
    let label = Text::new(((left + right) / 2.0, height + 6.0), label, LABEL, Ink::Muted);
    shapes.push(label.anchored(Anchor::Middle).into());
    height + 16.0
}

fn share(stack: &Stack, part: usize) -> f64 {
    stack.values.get(part).copied().unwrap_or(0.0)
}

/// Squares with the names of the parts that are seen, in as many lines as it takes; returns the height below them.
fn legend(shapes: &mut Vec<Shape>, top: f64, parts: &[String], is_seen: impl Fn(usize) -> bool) -> f64 {
    let (mut left, mut middle) = (MARGIN, top + LEGEND / 2.0);
    for (part, name) in parts.iter().enumerate().filter(|(part, _)| is_seen(*part)) {
        let width = SQUARE + 6.0 + text_width(name, LABEL);
        if left + width > WIDTH - MARGIN {
            (left, middle) = (MARGIN, middle + LEGEND);
        }
        let half = SQUARE / 2.0;
        shapes.push(area((left, middle - half), (left + SQUARE, middle + half), Ink::Part(part)));
        shapes.push(Text::new((left + SQUARE + 6.0, middle), name, LABEL, Ink::Letter).into());
        left += width + BETWEEN;
    }
    middle + LEGEND / 2.0
}

fn draw_stack(shapes: &mut Vec<Shape>, stack: &Stack, middle: f64, across: impl Fn(f64) -> f64) {
    let name = Text::new((across(0.0) - 8.0, middle), &stack.name, LABEL, Ink::Letter);
    shapes.push(name.anchored(Anchor::End).into());
    let mut sum = 0.0;
    for (part, value) in stack.values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let (start, end) = (across(sum), across(sum + value));
        shapes.push(area((start, middle - BAR / 2.0), (end, middle + BAR / 2.0), Ink::Part(part)));
        sum += value;
    }
    shapes.push(Text::new((across(sum) + 8.0, middle), &stack.text, LABEL, Ink::Letter).into());
}
