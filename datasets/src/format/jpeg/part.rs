//! Coded data to samples, for the blocks that a part needs.

use std::ops::Range;

use super::{
    Plain, cosine,
    huffman::{Bits, PADDING},
    paint::Lines,
};

/// Some of a picture's columns and rows, at least one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From left to right.
    pub columns: Range<usize>,
    /// From top to bottom.
    pub rows: Range<usize>,
}

impl Part {
    /// All of a picture.
    #[must_use]
    pub fn whole([width, height]: [usize; 2]) -> Self {
        Self { columns: 0..width, rows: 0..height }
    }
}

/// Samples of one component.
#[derive(Default)]
pub(super) struct Plane {
    /// Samples a row, beyond the picture's edge up to whole blocks.
    pub(super) stride: usize,
    /// Rows, likewise.
    pub(super) rows: usize,
    samples: Vec<u8>,
}

impl Plane {
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.stride]
    }
}

/// The memory of a decoder, used again from picture to picture.
#[derive(Default)]
pub struct Reader {
    coded: Vec<u8>,
    /// Where pieces begin in `coded`, and its end.
    pieces: Vec<usize>,
    planes: [Plane; 3],
    lines: Lines,
}

impl Reader {
    /// Writes a part of a picture into `pixels`, `[H, W, 3]`; what lies outside the part is left as it was.
    ///
    /// `None` where the coded data break a rule, in which case the pixels are left open.
    #[must_use]
    pub fn read(&mut self, plain: &Plain<'_>, part: &Part, pixels: &mut [u8]) -> Option<()> {
        self.unstuff(plain.scan)?;
        // One body, compiled for each instruction set that a machine may have.
        pulp::Arch::new().dispatch(Work { reader: self, plain, part, pixels })
    }

    /// Takes zeros that guard bytes of all ones out of the code, and cuts it at its restarts.
    fn unstuff(&mut self, mut scan: &[u8]) -> Option<()> {
        self.coded.clear();
        self.pieces.clear();
        self.pieces.push(0);
        loop {
            let (piece, rest) = scan.split_at(memchr::memchr(0xFF, scan)?);
            self.coded.extend_from_slice(piece);
            match rest.get(1)? {
                0 => self.coded.push(0xFF),
                restart @ (0xD0..=0xD7 | 0xD9) => {
                    self.coded.extend_from_slice(&[0; PADDING]);
                    self.pieces.push(self.coded.len());
                    if *restart == 0xD9 {
                        return Some(());
                    }
                }
                _ => return None,
            }
            scan = &rest[2..];
        }
    }

    #[inline(always)]
    fn decode(&mut self, plain: &Plain<'_>, part: &Part) -> Option<()> {
        let Self { coded, pieces, planes, .. } = self;
        let [across, down] = plain.ratio;
        let (columns, rows) = (plain.width.div_ceil(8 * across), plain.height.div_ceil(8 * down));
        let (wide, high) = (units(&part.columns, across, columns), units(&part.rows, down, rows));
        for (component, plane) in planes.iter_mut().enumerate() {
            let [h, v] = blocks(component, plain.ratio);
            (plane.stride, plane.rows) = (columns * 8 * h, rows * 8 * v);
            let samples = plane.stride * plane.rows;
            if plane.samples.len() < samples {
                plane.samples.resize(samples, 0);
            }
        }
        let tables = [plain.tables(0)?, plain.tables(1)?, plain.tables(2)?];
        let mut pieces = pieces.windows(2).map(|ends| &coded[ends[0]..ends[1]]);
        let mut bits = Bits::new(pieces.next()?);
        let (mut before, mut until_restart) = ([0; 3], plain.interval);
        let mut coefficients = [0; 64];
        for row in 0..high.end {
            for column in 0..columns {
                if plain.interval > 0 {
                    if until_restart == 0 {
                        if !bits.inside() {
                            return None;
                        }
                        bits = Bits::new(pieces.next()?);
                        (before, until_restart) = ([0; 3], plain.interval);
                    }
                    until_restart -= 1;
                }
                let keep = high.contains(&row) && wide.contains(&column);
                for component in 0..3 {
                    let ((steps, codes), before) = (tables[component], &mut before[component]);
                    let [h, v] = blocks(component, plain.ratio);
                    for block in 0..h * v {
                        if !keep {
                            bits.block::<false>(codes, before, steps, &mut coefficients)?;
                            continue;
                        }
                        coefficients.fill(0);
                        let seen = bits.block::<true>(codes, before, steps, &mut coefficients)?;
                        let plane = &mut planes[component];
                        let (down, right) = (row * v + block / h, column * h + block % h);
                        let place = (down * plane.stride + right) * 8;
                        cosine::block(&coefficients, seen, &mut plane.samples[place..], plane.stride);
                    }
                }
            }
        }
        bits.inside().then_some(())
    }
}

/// Blocks of a component in a unit of the scan.
#[inline(always)]
fn blocks(component: usize, ratio: [usize; 2]) -> [usize; 2] {
    if component == 0 { ratio } else { [1, 1] }
}

/// The units that hold a range of pixels, and a sample of chroma more on each side: chroma is smoothed across its neighbours.
fn units(pixels: &Range<usize>, ratio: usize, count: usize) -> Range<usize> {
    let first = (pixels.start / ratio).saturating_sub(1) / 8;
    first..(pixels.end.div_ceil(ratio) + 1).div_ceil(8).min(count)
}

/// A call of the decoder; a closure's body would not be compiled again for each instruction set.
struct Work<'w> {
    reader: &'w mut Reader,
    plain: &'w Plain<'w>,
    part: &'w Part,
    pixels: &'w mut [u8],
}

impl pulp::NullaryFnOnce for Work<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call(self) -> Option<()> {
        let Self { reader, plain, part, pixels } = self;
        reader.decode(plain, part)?;
        let Reader { planes, lines, .. } = reader;
        for row in part.rows.clone() {
            let line = &mut pixels[row * plain.width * 3..][..plain.width * 3];
            lines.paint(planes, plain.ratio, (row, &part.columns), line);
        }
        Some(())
    }
}
