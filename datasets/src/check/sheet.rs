//! `show`: a contact sheet of a set as PNG, a row a class.

use crate::{
    DataError, Dataset, Split,
    augment::crop::Cropper,
    format::{picture, picture::Rgb},
};

/// What stands on a sheet.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// The split.
    pub split: Split,
    /// Classes from the first on, a row each.
    pub classes: usize,
    /// Samples of each class, in file order.
    pub columns: usize,
    /// Side of an image on the sheet, in pixels.
    pub side: usize,
}

/// Pixels between images.
pub(super) const GAP: usize = 2;

/// Draws the first samples of each class, as the files have them, and gives the PNG's bytes.
///
/// # Errors
/// When a sample can't be read, or the sheet is no picture.
pub fn sheet(set: &dyn Dataset, asked: Sheet) -> Result<Vec<u8>, DataError> {
    let Sheet { split, classes, columns, side } = asked;
    let rows = classes.clamp(1, set.card().classes);
    let (columns, side) = (columns.max(1), side.max(1));
    let step = side + GAP;
    let mut canvas = Rgb::black(columns * step + GAP, rows * step + GAP);
    canvas.pixels.fill(255);
    let mut taken = vec![0; rows];
    let mut small = Rgb::default();
    let (mut picture, mut resizer) = (Rgb::default(), Cropper::default());
    for index in 0..set.len(split) {
        let row = set.label(split, index) as usize;
        let Some(column) = taken.get_mut(row).filter(|count| **count < columns) else { continue };
        match set.encoded() {
            Some(pictures) => {
                let bytes = pictures.bytes(split, index)?;
                picture::decode(&set.name(split, index), &bytes, &mut picture)?;
            }
            None => picture.take_planes(set.image(split, index), set.card().shape),
        }
        resizer.whole(&picture, [side; 2], &mut small).map_err(|message| DataError::Picture {
            file: set.name(split, index),
            format: "sheet",
            message,
        })?;
        let (left, top) = (GAP + *column * step, GAP + row * step);
        for (line, from) in small.pixels.chunks_exact(side * 3).enumerate() {
            let at = ((top + line) * canvas.width + left) * 3;
            canvas.pixels[at..at + side * 3].copy_from_slice(from);
        }
        *column += 1;
        if taken.iter().all(|&count| count >= columns) {
            break;
        }
    }
    png(&canvas)
}

pub(super) fn png(image: &Rgb) -> Result<Vec<u8>, DataError> {
    let fault = |error: png::EncodingError| DataError::Picture {
        file: "the contact sheet".to_owned(),
        format: "PNG",
        message: error.to_string(),
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width as u32, image.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(&image.pixels).map_err(fault)?;
    writer.finish().map_err(fault)?;
    Ok(bytes)
}
