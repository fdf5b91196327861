//! From a figure to a scene: the sheet, its heading, and the parts that all drawings share.

use super::scene::{Ink, Place, Scene, Shape, Text};
use super::{bars, frames, heat, panels, stacks};
use crate::chart::{Body, Figure};

/// Width of every sheet.
pub(super) const WIDTH: f64 = 960.0;
/// Empty space at a sheet's edges.
pub(super) const MARGIN: f64 = 20.0;
/// Height of a sheet's heading.
const HEADING: f64 = 64.0;

/// Sizes of letters.
pub(super) const TITLE: f64 = 16.0;
pub(super) const LABEL: f64 = 12.5;
pub(super) const TICK: f64 = 11.0;

/// Lays a figure out.
pub(super) fn scene(figure: &Figure) -> Scene {
    let mut shapes: Vec<Shape> = vec![
        Text::new((MARGIN, 24.0), &figure.title, TITLE, Ink::Letter).bold().into(),
        Text::new((MARGIN, 46.0), &figure.about, LABEL, Ink::Muted).into(),
    ];
    let height = match &figure.body {
        Body::Panels { y, panels } => panels::draw(&mut shapes, HEADING, y, panels),
        Body::Bars { x, groups } => bars::draw(&mut shapes, HEADING, x, groups),
        Body::Heat { value, groups } => heat::draw(&mut shapes, HEADING, value, groups),
        Body::Frames { groups } => frames::draw(&mut shapes, HEADING, groups),
        Body::Stacks { label, parts, groups } => stacks::draw(&mut shapes, HEADING, label, parts, groups),
    };
    let height = (height + MARGIN).ceil();
    let corners = vec![(0.0, 0.0), (WIDTH, 0.0), (WIDTH, height), (0.0, height)];
    shapes.insert(0, Shape::Area { points: corners, ink: Ink::Paper });
    Scene { width: WIDTH, height, shapes }
}

/// A rectangle between two corners.
pub(super) fn area((left, top): Place, (right, bottom): Place, ink: Ink) -> Shape {
    Shape::Area { points: vec![(left, top), (right, top), (right, bottom), (left, bottom)], ink }
}

/// A straight line.
pub(super) fn line(from: Place, to: Place, ink: Ink, width: f64) -> Shape {
    Shape::Line { points: vec![from, to], ink, width }
}
