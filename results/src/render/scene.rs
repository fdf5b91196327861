//! A figure that has been laid out: shapes at places, in pixels from the upper left corner.

use crate::record::FrameRow;

/// Shapes on a sheet, drawn in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

/// A place, x to the right and y downwards.
pub(crate) type Place = (f64, f64);

/// Two corners of a rectangle: the upper left, the lower right.
pub(crate) type Area = (Place, Place);

/// Something to draw.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Line {
        points: Vec<Place>,
        ink: Ink,
        width: f64,
    },
    Area {
        points: Vec<Place>,
        ink: Ink,
    },
    /// An area that lets what lies below it through.
    Veil {
        points: Vec<Place>,
        ink: Ink,
    },
    /// Many rectangles of one colour, above all other shapes.
    Mosaic {
        areas: Vec<Area>,
        ink: Ink,
    },
    Disc {
        centre: Place,
        radius: f64,
        ink: Ink,
    },
    Text(Text),
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) at: Place,
    pub(crate) text: String,
    pub(crate) size: f64,
    pub(crate) ink: Ink,
    pub(crate) anchor: Anchor,
    pub(crate) bold: bool,
    /// Whether it reads from below to above.
    pub(crate) upwards: bool,
}

impl Text {
    /// A text that begins at a place.
    pub(crate) fn new(at: Place, text: &str, size: f64, ink: Ink) -> Text {
        Text { at, text: text.to_owned(), size, ink, anchor: Anchor::Start, bold: false, upwards: false }
    }

    pub(crate) fn anchored(self, anchor: Anchor) -> Text {
        Text { anchor, ..self }
    }

    pub(crate) fn bold(self) -> Text {
        Text { bold: true, ..self }
    }

    pub(crate) fn upwards(self) -> Text {
        Text { upwards: true, ..self }
    }
}

impl From<Text> for Shape {
    fn from(text: Text) -> Shape {
        Shape::Text(text)
    }
}

/// Which part of a text stands at its place; vertically it is always the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// What a shape is drawn with, by purpose; the colours are chosen once, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The sheet.
    Paper,
    /// Headings and labels.
    Letter,
    /// Axis texts.
    Muted,
    /// Axis lines and leaders.
    Axis,
    /// Grid lines.
    Grid,
    /// A method, by its place in name order.
    Method(usize),
    /// A part of a stack, by its place in the order of the ledger's categories.
    Part(usize),
    /// A cell of a map, from the lowest value to the highest.
    Heat(u8),
    /// A cell of a picture of events, by the levels of its two kinds, from 0 to 9.
    Polarity {
        off: u8,
        on: u8,
    },
    /// Letters on the paler half of cells, and on the deeper one: on dark pages too.
    OnPale,
    OnDeep,
}

/// Okabe and Ito's colours, which people with any kind of colour vision tell apart, with a grey among them. Their
/// yellow is faint on white: a brown, a violet, a light green and a wine red stand for it in large fields.
const METHODS: [(u8, u8, u8); 12] = [
    (0xE6, 0x9F, 0x00),
    (0x8A, 0x8A, 0x8A),
    (0x56, 0xB4, 0xE9),
    (0x00, 0x72, 0xB2),
    (0x00, 0x9E, 0x73),
    (0xD5, 0x5E, 0x00),
    (0x00, 0x00, 0x00),
    (0xCC, 0x79, 0xA7),
    (0x88, 0x55, 0x22),
    (0x6E, 0x3F, 0xA8),
    (0x99, 0xCC, 0x55),
    (0x99, 0x22, 0x33),
];

/// Categories of the ledger: greys and a sand colour for what lives between steps, colours for what the laws are about.
const PARTS: [(u8, u8, u8); 10] = [
    (0x5F, 0x68, 0x73),
    (0x8E, 0x97, 0xA2),
    (0xB4, 0xBC, 0xC5),
    (0xD0, 0xD5, 0xDB),
    (0xE6, 0x9F, 0x01),
    (0x00, 0x73, 0xB3),
    (0x00, 0x9E, 0x74),
    (0xC9, 0xB6, 0x91),
    (0x56, 0xB4, 0xEA),
    (0xD5, 0x5E, 0x01),
];

/// Cells of a map: from pale to deep, so that a print in greys shows it too.
const HEAT: [(u8, u8, u8); 5] =
    [(0xF3, 0xF6, 0xF8), (0xBD, 0xD7, 0xE7), (0x6B, 0xAE, 0xD6), (0x2A, 0x6F, 0xB0), (0x0B, 0x2F, 0x6B)];

/// The colour at a place between the first (0) and the last (255), in a straight line between the nearest two.
fn heat(place: u8) -> (u8, u8, u8) {
    let along = f64::from(place) / 255.0 * (HEAT.len() - 1) as f64;
    let first = (along as usize).min(HEAT.len() - 2);
    let (from, to, share) = (HEAT[first], HEAT[first + 1], along - first as f64);
    let between =
        |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    (between(from.0, to.0), between(from.1, to.1), between(from.2, to.2))
}

/// Colours of cells in which events of one kind alone happen: two that people with any kind of colour vision tell apart.
const OFF: (u8, u8, u8) = (0xD5, 0x5E, 0x00);
const ON: (u8, u8, u8) = (0x00, 0x72, 0xB2);

/// Inks of both kinds, one over the other, on the palest colour of maps.
fn polarity(off: u8, on: u8) -> (u8, u8, u8) {
    // The root lifts single events out of the ground.
    let share = |level: u8| (f64::from(level) / f64::from(FrameRow::MOST)).sqrt();
    let through = |ink: u8, share: f64| 1.0 - share * (1.0 - f64::from(ink) / 255.0);
    let mix = |ground: u8, dark: u8, bright: u8| {
        (f64::from(ground) * through(dark, share(off)) * through(bright, share(on))).round() as u8
    };
    let ground = HEAT[0];
    (mix(ground.0, OFF.0, ON.0), mix(ground.1, OFF.1, ON.1), mix(ground.2, OFF.2, ON.2))
}

impl Ink {
    /// The inks that a dark page swaps, each a colour that no other ink has.
    pub(crate) const SWAPPED_IN_THE_DARK: [(Ink, &'static str); 7] = [
        (Ink::Paper, "#14181d"),
        (Ink::Letter, "#e6e9ed"),
        (Ink::Muted, "#a0a8b2"),
        (Ink::Axis, "#8b949e"),
        (Ink::Grid, "#2b3138"),
        (Ink::Method(3), "#2a7fc0"),
        (Ink::Method(6), "#ffffff"),
    ];

    /// Red, green, blue on a light sheet.
    pub(crate) fn colour(self) -> (u8, u8, u8) {
        match self {
            Ink::Paper => (0xFF, 0xFF, 0xFF),
            Ink::Letter => (0x1F, 0x23, 0x28),
            Ink::Muted => (0x56, 0x5E, 0x67),
            Ink::Axis => (0x7B, 0x83, 0x8C),
            Ink::Grid => (0xE4, 0xE7, 0xEB),
            Ink::Method(place) => METHODS[place % METHODS.len()],
            Ink::Part(place) => PARTS[place % PARTS.len()],
            Ink::Heat(place) => heat(place),
            Ink::Polarity { off, on } => polarity(off, on),
            Ink::OnPale => (0x12, 0x1F, 0x2B),
            Ink::OnDeep => (0xF9, 0xFB, 0xFC),
        }
    }

    /// The colour as SVG writes it.
    pub(crate) fn hex(self) -> String {
        let (red, green, blue) = self.colour();
        format!("#{red:02X}{green:02X}{blue:02X}")
    }
}

/// About how wide a text is, a little on the wide side: labels that are kept apart by it never touch.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' => 0.34,
            'f' | 't' | 'r' | '-' | '(' | ')' | '/' => 0.42,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.98,
            c if c.is_uppercase() => 0.74,
            _ => 0.64,
        })
        .sum();
    em * size
}

/// A method's marker: its shape tells it apart where its colour can't.
pub(crate) fn marker(method: usize, centre: Place, radius: f64) -> Vec<Shape> {
    let mut shapes = Vec::new();
    // A rim in the sheet's colour keeps markers apart that lie on each other.
    for (radius, ink) in [(radius + 1.5, Ink::Paper), (radius, Ink::Method(method))] {
        shapes.push(match method % 5 {
            0 => Shape::Disc { centre, radius, ink },
            1 => polygon(centre, radius * 1.2, ink, 4, 45.0),
            2 => polygon(centre, radius * 1.3, ink, 3, -90.0),
            3 => polygon(centre, radius * 1.25, ink, 4, 0.0),
            _ => polygon(centre, radius * 1.3, ink, 3, 90.0),
        });
    }
    shapes
}

fn polygon(centre: Place, radius: f64, ink: Ink, corners: u32, first_degrees: f64) -> Shape {
    let corner = |index: u32| {
        let angle = (first_degrees + 360.0 * f64::from(index) / f64::from(corners)).to_radians();
        (centre.0 + radius * angle.cos(), centre.1 + radius * angle.sin())
    };
    Shape::Area { points: (0..corners).map(corner).collect(), ink }
}
