//! Maps of coloured cells: rows with names, columns with numbers, and the value in a cell where there is room for it.

use super::layout::{LABEL, MARGIN, TICK, WIDTH, area};
use super::scene::{Anchor, Ink, Shape, Text, text_width};
use crate::chart::{Axis, HeatGroup, HeatMap};

/// Height of a row.
const ROW: f64 = 17.0;
/// Width of a cell that has room for its value, and of the narrowest one.
const CELL: f64 = 36.0;
const NARROW: f64 = 9.0;
/// Width of a map's cells, where there are too many for room.
const MAP: f64 = 260.0;
/// Space for a group's heading, for a map's name above its cells, for the columns' numbers below them.
const HEAD: f64 = 30.0;
const NAME: f64 = 20.0;
const FOOT: f64 = 24.0;
/// Space between two maps.
const GAP: f64 = 22.0;
/// Size of a value in its cell.
const VALUE: f64 = 9.5;
/// Width of the legend, its height, and its steps.
const LEGEND: f64 = 220.0;
const BAR: f64 = 11.0;
const STEPS: u8 = 44;

/// Draws legend and groups below a height and returns the height below them.
pub(super) fn draw(shapes: &mut Vec<Shape>, top: f64, value: &Axis, groups: &[HeatGroup]) -> f64 {
    let mut height = legend(shapes, top, value);
    for group in groups {
        let heading = Text::new((MARGIN, height + HEAD / 2.0), &group.title, LABEL, Ink::Letter);
        shapes.push(heading.bold().into());
        height += HEAD;
        let names = group.rows.iter().map(|name| text_width(name, TICK)).fold(0.0, f64::max);
        let first = MARGIN + names + 8.0;
        let mut left = first;
        let tall = NAME + group.rows.len() as f64 * ROW + FOOT;
        for (place, map) in group.maps.iter().enumerate() {
            let cell = cell_width(map);
            let wide = (cell * map.columns.len() as f64).max(text_width(&map.name, TICK));
            // A map that does not fit begins a new line, where rows get their names again.
            if place > 0 && left + wide > WIDTH - MARGIN {
                (left, height) = (first, height + tall);
            }
            if left == first {
                for (row, name) in group.rows.iter().enumerate() {
                    let at = (first - 8.0, height + NAME + (row as f64 + 0.5) * ROW);
                    shapes.push(Text::new(at, name, TICK, Ink::Muted).anchored(Anchor::End).into());
                }
            }
            shapes.push(Text::new((left, height + NAME / 2.0), &map.name, TICK, Ink::Letter).into());
            draw_cells(shapes, map, (left, height + NAME), cell, value);
            left += wide + GAP;
        }
        height += tall;
    }
    height
}

fn cell_width(map: &HeatMap) -> f64 {
    (MAP / map.columns.len() as f64).clamp(NARROW, CELL)
}

/// The colours from the axis' beginning to its end, its name, and its ticks.
fn legend(shapes: &mut Vec<Shape>, top: f64, value: &Axis) -> f64 {
    shapes.push(Text::new((MARGIN, top + BAR / 2.0), &value.label, LABEL, Ink::Muted).into());
    let left = MARGIN + text_width(&value.label, LABEL) + 12.0;
    for step in 0..STEPS {
        let share = f64::from(step) / f64::from(STEPS - 1);
        let at = left + f64::from(step) * LEGEND / f64::from(STEPS);
        // Cells that overlap a little show no seams.
        shapes.push(area((at, top), (at + LEGEND / f64::from(STEPS) + 0.5, top + BAR), heat(share)));
    }
    for (at, text) in &value.ticks {
        let across = left + value.place(*at) * LEGEND;
        shapes.push(
            Text::new((across, top + BAR + 10.0), text, TICK, Ink::Muted).anchored(Anchor::Middle).into(),
        );
    }
    top + BAR + 20.0
}

fn draw_cells(shapes: &mut Vec<Shape>, map: &HeatMap, (left, top): (f64, f64), cell: f64, value: &Axis) {
    // Values stand in all cells of a map or in none.
    let texts = map.cells.iter().flatten().flatten().map(|found| text_width(&shown(*found), VALUE));
    let has_room = texts.fold(0.0, f64::max) < cell;
    for (row, cells) in map.cells.iter().enumerate() {
        let above = top + row as f64 * ROW;
        for (column, found) in cells.iter().enumerate() {
            let (Some(found), before) = (found, left + column as f64 * cell) else { continue };
            let share = value.place(*found).clamp(0.0, 1.0);
            shapes.push(area((before, above), (before + cell - 1.0, above + ROW - 1.0), heat(share)));
            if has_room {
                // Where dark letters and pale ones are about as easy to read.
                let ink = if share > 0.65 { Ink::OnDeep } else { Ink::OnPale };
                let at = (before + (cell - 1.0) / 2.0, above + (ROW - 1.0) / 2.0);
                shapes.push(Text::new(at, &shown(*found), VALUE, ink).anchored(Anchor::Middle).into());
            }
        }
    }
    let bottom = top + map.cells.len() as f64 * ROW;
    // As many numbers as have room, the first and the last among them.
    let room = map.columns.iter().map(|name| text_width(name, TICK)).fold(0.0, f64::max) + 4.0;
    let stride = (room / cell).ceil().max(1.0) as usize;
    for (column, name) in map.columns.iter().enumerate().step_by(stride) {
        let at = (left + (column as f64 + 0.5) * cell - 0.5, bottom + 9.0);
        shapes.push(Text::new(at, name, TICK, Ink::Muted).anchored(Anchor::Middle).into());
    }
}

fn shown(found: f64) -> String {
    format!("{found:.1}")
}

fn heat(share: f64) -> Ink {
    Ink::Heat((share * 255.0).round() as u8)
}
