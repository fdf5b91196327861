//! A chart as plain data: tests compare it, the renderers lay it out.

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Id, also the name of its files.
    pub id: String,
    /// Title.
    pub title: String,
    /// What the reader sees, in a sentence; also the description for those who can't see it.
    pub about: String,
    /// The drawing.
    pub body: Body,
}

/// The kinds of drawing.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Panels of points or lines that share the vertical axis.
    Panels {
        /// The vertical axis of all panels.
        y: Axis,
        /// The panels.
        panels: Vec<Panel>,
    },
    /// Groups of horizontal bars over one axis that begins at 0.
    Bars {
        /// The horizontal axis.
        x: Axis,
        /// The groups.
        groups: Vec<BarGroup>,
    },
    /// Groups of horizontal bars made of parts, each over an axis of its own that begins at 0.
    Stacks {
        /// What the axes show, with its unit.
        label: String,
        /// Names of the parts, for the legend.
        parts: Vec<String>,
        /// The groups.
        groups: Vec<StackGroup>,
    },
    /// Groups of maps whose cells are coloured by their value.
    Heat {
        /// From which value to which colours go.
        value: Axis,
        /// The groups.
        groups: Vec<HeatGroup>,
    },
    /// Groups of strips of small pictures.
    Frames {
        /// The groups.
        groups: Vec<FrameGroup>,
    },
}

/// One panel of points or lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Heading.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
    /// What it is compared with, if anything.
    pub guide: Option<Guide>,
}

/// A dashed line that nothing was measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct Guide {
    /// The label at its end.
    pub name: String,
    /// Its two ends, by rising x.
    pub ends: [(f64, f64); 2],
}

/// An axis: a range, a scale and its ticks.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What the axis shows, with its unit.
    pub label: String,
    /// How values turn into lengths.
    pub scale: Scale,
    /// The value at the axis' beginning.
    pub low: f64,
    /// The value at the axis' end.
    pub high: f64,
    /// Values with a mark, and its text.
    pub ticks: Vec<(f64, String)>,
}

/// How values turn into lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equal lengths.
    Linear,
    /// Equal ratios are equal lengths.
    Log2,
}

/// Points of one method; more than one are joined by a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The label beside the points.
    pub name: String,
    /// Place of the method in name order: its colour and its marker.
    pub method: usize,
    /// The points, by rising x.
    pub points: Vec<(f64, f64)>,
    /// What the points may be from and up to, by rising x; empty where nothing is known of it.
    pub band: Vec<Band>,
}

/// What a series may be from and up to at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The place.
    pub x: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Bars that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct BarGroup {
    /// Heading.
    pub title: String,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
}

/// A horizontal bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The label before the bar.
    pub name: String,
    /// Place of the method in name order: its colour.
    pub method: usize,
    /// Length.
    pub value: f64,
    /// Half the length of the whisker.
    pub spread: Option<f64>,
    /// The label behind the bar.
    pub text: String,
}

/// Stacks that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct StackGroup {
    /// Heading.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The stacks from top to bottom.
    pub stacks: Vec<Stack>,
}

/// A horizontal bar made of parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// The label before the bar.
    pub name: String,
    /// Length of each part, in the order of the figure's parts.
    pub values: Vec<f64>,
    /// The label behind the bar.
    pub text: String,
}

/// Maps with the same rows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatGroup {
    /// Heading.
    pub title: String,
    /// Names of the rows, from top to bottom.
    pub rows: Vec<String>,
    /// The maps.
    pub maps: Vec<HeatMap>,
}

/// A map of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// The name above it.
    pub name: String,
    /// Names of the columns, from left to right.
    pub columns: Vec<String>,
    /// The values, row by row; a cell without one stays empty.
    pub cells: Vec<Vec<Option<f64>>>,
}

/// Strips with the same rules behind their pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameGroup {
    /// Heading.
    pub title: String,
    /// The strips from top to bottom.
    pub strips: Vec<FrameStrip>,
}

/// What there is to see of a sample, by rising step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameStrip {
    /// The label before it.
    pub name: String,
    /// The pictures.
    pub frames: Vec<Frame>,
}

/// A picture of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The step, from 1.
    pub step: u32,
    /// Cells in a row.
    pub width: usize,
    /// Levels of the cells from 0 to 9, row by row, of each channel; of two channels the first is OFF and the second ON.
    pub channels: Vec<Vec<u8>>,
}

impl Axis {
    /// A linear axis that covers the values, with ticks at 1, 2 or 5 times a power of ten.
    ///
    /// With `from_zero` it begins at 0, otherwise at the tick below the smallest value.
    pub fn linear(label: &str, values: impl IntoIterator<Item = f64>, from_zero: bool) -> Axis {
        let (mut low, mut high) = range(values);
        if from_zero {
            low = 0.0;
        }
        if high <= low {
            high = low + 1.0;
        }
        let step = nice_step((high - low) / 5.0);
        // A value that sits on the border would have half its marker cut off: leave a twentieth of a tick.
        let first = if from_zero { 0.0 } else { (low / step - 0.05).floor() };
        let last = (high / step + 0.05).ceil();
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let ticks = (0..=(last - first) as i64).map(|index| (first + index as f64) * step);
        Axis {
            label: label.to_owned(),
            scale: Scale::Linear,
            low: first * step,
            high: last * step,
            ticks: ticks.map(|at| (at, format!("{at:.decimals$}"))).collect(),
        }
    }

    /// The same axis, ending at a value instead of at a tick.
    pub fn ending_at(mut self, high: f64) -> Axis {
        if high > self.low {
            self.high = high;
            self.ticks.retain(|(at, _)| *at <= high);
        }
        self
    }

    /// An axis of powers of two that covers the values; values that are not positive are left out.
    pub fn log2(label: &str, values: impl IntoIterator<Item = f64>) -> Axis {
        let (low, high) = range(values.into_iter().filter(|value| *value > 0.0));
        let first = (low.max(f64::MIN_POSITIVE).log2() + 1e-9).floor();
        let last = (high.max(f64::MIN_POSITIVE).log2() - 1e-9).ceil().max(first + 1.0);
        let stride = ((last - first) / 8.0).ceil().max(1.0);
        let count = ((last - first) / stride) as i64;
        let ticks = (0..=count).map(|index| (first + index as f64 * stride).exp2());
        Axis {
            label: label.to_owned(),
            scale: Scale::Log2,
            low: first.exp2(),
            high: last.exp2(),
            ticks: ticks.map(|at| (at, format!("{at}"))).collect(),
        }
    }

    /// The same axis with a little room before its first tick and behind its last, so that markers there cover no text.
    pub fn with_margins(self) -> Axis {
        const SHARE: f64 = 0.06;
        let (low, high) = match self.scale {
            Scale::Linear => {
                let room = (self.high - self.low) * SHARE;
                (self.low - room, self.high + room)
            }
            Scale::Log2 => {
                let room = (self.high / self.low).powf(SHARE);
                (self.low / room, self.high * room)
            }
        };
        Axis { low, high, ..self }
    }

    /// Where a value lies between the axis' beginning (0) and its end (1).
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log2 => (value / self.low).log2() / (self.high / self.low).log2(),
        }
    }
}

/// The smallest and the largest finite value; 0 and 1 if there is none.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below the rough step.
fn nice_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        let axis = Axis::linear("%", [81.3, 88.9], false);
        assert_eq!((axis.low, axis.high), (80.0, 90.0));
        let texts: Vec<&str> = axis.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["80", "82", "84", "86", "88", "90"]);
    }

    #[test]
    fn powers_of_two_are_equally_far_apart() {
        let axis = Axis::log2("T", [1.0, 8.0]);
        let places: Vec<f64> = axis.ticks.iter().map(|(at, _)| axis.place(*at)).collect();
        assert_eq!(places, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    }

    #[test]
    fn an_axis_without_values_still_has_a_range() {
        for axis in [Axis::linear("", [], false), Axis::linear("", [f64::NAN], true), Axis::log2("", [0.0])] {
            assert!(axis.low < axis.high && axis.ticks.len() > 1, "{axis:?}");
        }
    }
}
