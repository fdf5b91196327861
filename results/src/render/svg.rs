//! A figure as SVG. The only file that knows plotters.

use super::escape;
use super::layout;
use super::scene::{Anchor, Ink, Place, Shape, Text};
use crate::chart::Figure;
use crate::error::Error;
use crate::origin::Origin;
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, TextStyle};

/// Fonts by preference; the PNG renderer carries the first one with it.
const FONTS: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";
/// The backend counts in whole units, so a pixel is divided into this many.
const UNITS: f64 = 10.0;
/// How much of a veil is seen.
const VEIL: f64 = 0.18;
/// The backend takes a font's line height for its size and divides by this.
const LINE_HEIGHT: f64 = 1.24;

/// Renders a figure as an SVG document with real text.
pub fn svg(figure: &Figure) -> Result<String, Error> {
    let scene = layout::scene(figure);
    let size = (units(scene.width) as u32, units(scene.height) as u32);
    let mut drawing = String::new();
    {
        let mut backend = SVGBackend::with_string(&mut drawing, size);
        let failed = |reason: String| Error::Draw { chart: figure.id.clone(), reason };
        for shape in &scene.shapes {
            draw(&mut backend, shape).map_err(failed)?;
        }
        backend.present().map_err(|error| failed(error.to_string()))?;
    }
    // The backend's own first line would make a unit a pixel; ours also says what the picture shows.
    let shapes = drawing.split_once('\n').map_or("", |(_, shapes)| shapes);
    let shapes = shapes.trim_end().strip_suffix("</svg>").unwrap_or(shapes);
    let mosaics: String = scene.shapes.iter().filter_map(mosaic).collect();
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-label=\"{}. {}\">\n{shapes}{mosaics}</svg>\n",
        scene.width,
        scene.height,
        size.0,
        size.1,
        escape(&figure.title),
        escape(&figure.about),
    ))
}

/// The drawing as a file of its own, which says what it was made from.
pub(crate) fn signed(svg: &str, origin: &Origin) -> String {
    let (head, shapes) = svg.split_once('\n').unwrap_or((svg, ""));
    let (command, records) = (escape(&origin.command), escape(&origin.records));
    format!(
        "{head}\n<metadata>Generated; do not edit. From the records {records}. To make it again: {command}</metadata>\n{shapes}"
    )
}

fn draw(backend: &mut SVGBackend<'_>, shape: &Shape) -> Result<(), String> {
    let drawn = match shape {
        Shape::Line { points, ink, width } => {
            let style = colour(*ink).stroke_width(units(*width) as u32);
            match points.as_slice() {
                [from, to] => backend.draw_line(place(*from), place(*to), &style),
                points => backend.draw_path(points.iter().map(|point| place(*point)), &style),
            }
        }
        Shape::Area { points, ink } => {
            backend.fill_polygon(points.iter().map(|point| place(*point)), &colour(*ink))
        }
        Shape::Veil { points, ink } => {
            backend.fill_polygon(points.iter().map(|point| place(*point)), &colour(*ink).mix(VEIL))
        }
        // Drawn last, by `mosaic`.
        Shape::Mosaic { .. } => Ok(()),
        Shape::Disc { centre, radius, ink } => {
            backend.draw_circle(place(*centre), units(*radius) as u32, &colour(*ink), true)
        }
        Shape::Text(text) => backend.draw_text(&text.text, &letters(text), place(text.at)),
    };
    drawn.map_err(|error| error.to_string())
}

/// Many rectangles as one path, which the backend has no word for; `None` for every other shape.
fn mosaic(shape: &Shape) -> Option<String> {
    let Shape::Mosaic { areas, ink } = shape else { return None };
    let mut path = String::new();
    for (from, to) in areas {
        let ((left, top), (right, bottom)) = (place(*from), place(*to));
        let (wide, tall) = (right - left, bottom - top);
        path.push_str(&format!("M{left} {top}h{wide}v{tall}h-{wide}z"));
    }
    Some(format!("<path fill=\"{}\" shape-rendering=\"crispEdges\" d=\"{path}\"/>\n", ink.hex()))
}

fn letters(text: &Text) -> TextStyle<'static> {
    let weight = if text.bold { FontStyle::Bold } else { FontStyle::Normal };
    let turn = if text.upwards { FontTransform::Rotate270 } else { FontTransform::None };
    let font =
        FontDesc::new(FontFamily::Name(FONTS), text.size * UNITS * LINE_HEIGHT, weight).transform(turn);
    let across = match text.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    TextStyle { font, color: colour(text.ink).to_backend_color(), pos: Pos::new(across, VPos::Center) }
}

fn colour(ink: Ink) -> RGBColor {
    let (red, green, blue) = ink.colour();
    RGBColor(red, green, blue)
}

fn place((x, y): Place) -> (i32, i32) {
    (units(x), units(y))
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}
