//! What stands before the coded data of a plain JPEG.

use super::huffman::Codes;

/// A JPEG as nearly all photographs are: 8 bits, baseline, luma and two chroma in one scan, chroma at the luma's resolution or
/// at half of it.
pub struct Plain<'b> {
    /// Pixels from left to right, at least one.
    pub width: usize,
    /// Pixels from top to bottom, at least one.
    pub height: usize,
    /// Luma samples for each of chroma: across, down.
    pub(super) ratio: [usize; 2],
    steps: [[i32; 64]; 4],
    codes: [[Option<Codes>; 4]; 2],
    /// Of each component: which steps, which codes of first coefficients, which of the others.
    uses: [[usize; 3]; 3],
    /// Units between restarts; 0 for none.
    pub(super) interval: usize,
    /// From the first coded byte on.
    pub(super) scan: &'b [u8],
}

impl<'b> Plain<'b> {
    /// Reads a file's head. `None` for every other kind of JPEG, and for garbled ones: a library has their words.
    #[must_use]
    pub fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8])?;
        let mut steps = [None; 4];
        let mut codes = <[[Option<Codes>; 4]; 2]>::default();
        let (mut frame, mut interval) = (None, 0);
        loop {
            let [0xFF, marker, high, low, ..] = *rest else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let mut body = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match marker {
                // Steps.
                0xDB => {
                    while let [which @ 0..=3, values @ ..] = body {
                        let (values, after) = values.split_first_chunk::<64>()?;
                        steps[usize::from(*which)] = Some(values.map(i32::from));
                        body = after;
                    }
                    if !body.is_empty() {
                        return None;
                    }
                }
                // Codes.
                0xC4 => {
                    while let [which, after @ ..] = body {
                        let (counts, after) = after.split_first_chunk()?;
                        let (symbols, after) =
                            after.split_at_checked(counts.iter().copied().map(usize::from).sum())?;
                        let [kind, place] = halves(*which);
                        *codes.get_mut(kind)?.get_mut(place)? = Some(Codes::new(counts, symbols, kind == 0)?);
                        body = after;
                    }
                }
                // The frame: 8 bits, three components. Letters as their names would mean other colours.
                0xC0 if frame.is_none() => {
                    let [8, h, eight, w, idth, 3, y, luma, s0, blue, 0x11, s1, red, 0x11, s2] = *body else {
                        return None;
                    };
                    let names = [y, blue, red];
                    if names != [1, 2, 3] && names != [0, 1, 2] {
                        return None;
                    }
                    let sides = [[w, idth], [h, eight]].map(|side| usize::from(u16::from_be_bytes(side)));
                    let ratio = match luma {
                        0x11 => [1, 1],
                        0x21 => [2, 1],
                        0x22 => [2, 2],
                        _ => return None,
                    };
                    frame = Some((sides, ratio, names, [s0, s1, s2].map(usize::from)));
                }
                0xDD => interval = usize::from(u16::from_be_bytes(*body.first_chunk()?)),
                // Adobe's note tells the colours, and only these are luma and chroma.
                0xEE if body.starts_with(b"Adobe") && body.get(11) != Some(&1) => return None,
                0xE0..=0xEF | 0xFE => {}
                // The scan: all components, all coefficients.
                0xDA => {
                    let [3, y, c0, blue, c1, red, c2, 0, 63, 0] = *body else { return None };
                    let ([width, height], ratio, names, chosen) = frame?;
                    if names != [y, blue, red] {
                        return None;
                    }
                    let mut uses = [[0; 3]; 3];
                    for ((to, used), step) in uses.iter_mut().zip([c0, c1, c2]).zip(chosen) {
                        let [dc, ac] = halves(used);
                        (*steps.get(step)?)?;
                        codes[0].get(dc)?.as_ref()?;
                        codes[1].get(ac)?.as_ref()?;
                        *to = [step, dc, ac];
                    }
                    let steps = steps.map(|steps| steps.unwrap_or([0; 64]));
                    let plain = Self { width, height, ratio, steps, codes, uses, interval, scan: rest };
                    return (width > 0 && height > 0).then_some(plain);
                }
                _ => return None,
            }
        }
    }

    /// Steps and codes of a component.
    pub(super) fn tables(&self, component: usize) -> Option<(&[i32; 64], [&Codes; 2])> {
        let [step, dc, ac] = self.uses[component];
        Some((&self.steps[step], [self.codes[0][dc].as_ref()?, self.codes[1][ac].as_ref()?]))
    }
}

fn halves(byte: u8) -> [usize; 2] {
    [usize::from(byte >> 4), usize::from(byte & 15)]
}
