//! Pillow's colour operations on an RGB image: `ImageOps`, `ImageEnhance` and `ImageFilter.SMOOTH`, byte for byte.

use crate::format::picture::Rgb;

/// `ImageOps.invert`.
pub fn invert(image: &mut Rgb) {
    image.pixels.iter_mut().for_each(|byte| *byte = 255 - *byte);
}

/// `ImageOps.posterize`: the highest `bits` of each byte stay; at 0 the image is black.
pub fn posterize(image: &mut Rgb, bits: u32) {
    if bits < 8 {
        let mask = 0xFF_u8.checked_shl(8 - bits).unwrap_or(0);
        image.pixels.iter_mut().for_each(|byte| *byte &= mask);
    }
}

/// `ImageOps.solarize`: bytes at or above the threshold are inverted.
pub fn solarize(image: &mut Rgb, threshold: u32) {
    image
        .pixels
        .iter_mut()
        .filter(|byte| u32::from(**byte) >= threshold)
        .for_each(|byte| *byte = 255 - *byte);
}

/// timm's `solarize_add`: bytes below 128 grow by `add`.
pub fn solarize_add(image: &mut Rgb, add: u32) {
    let grown = |byte: u8| (u32::from(byte) + add).min(255) as u8;
    image.pixels.iter_mut().filter(|byte| **byte < 128).for_each(|byte| *byte = grown(*byte));
}

/// `ImageOps.autocontrast` without a cut-off: each channel is stretched to `0..=255`.
pub fn auto_contrast(image: &mut Rgb) {
    tables(image, |histogram| {
        let low = histogram.iter().position(|&count| count > 0)?;
        let high = histogram.iter().rposition(|&count| count > 0)?;
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|byte| (byte as f64 * scale + offset) as u8))
    });
}

/// `ImageOps.equalize`: each channel's histogram is made even.
pub fn equalize(image: &mut Rgb) {
    tables(image, |histogram| {
        let last = histogram.iter().rfind(|&&count| count > 0)?;
        let step = (histogram.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(std::array::from_fn(|byte| {
            let value = (sum / step).min(255) as u8;
            sum += histogram[byte];
            value
        }))
    });
}

/// Maps each channel by a table made of its histogram; a channel without a table stays.
fn tables(image: &mut Rgb, table: impl Fn(&[u32; 256]) -> Option<[u8; 256]>) {
    let mut histograms = [[0_u32; 256]; 3];
    for pixel in image.pixels.as_chunks::<3>().0 {
        for (histogram, &byte) in histograms.iter_mut().zip(pixel) {
            histogram[usize::from(byte)] += 1;
        }
    }
    let maps = histograms.map(|histogram| table(&histogram));
    for pixel in image.pixels.as_chunks_mut::<3>().0 {
        for (byte, map) in pixel.iter_mut().zip(&maps) {
            if let Some(map) = map {
                *byte = map[usize::from(*byte)];
            }
        }
    }
}

/// Pillow's luma, ITU-R 601-2 in 16-bit fixed point.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    ((u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16) as u8
}

/// `Image.blend`: `degenerate + factor * (byte - degenerate)`, cut off towards zero and at both ends.
fn blend(degenerate: u8, byte: u8, factor: f32) -> u8 {
    // A float to byte conversion saturates, which is the cut-off at both ends.
    (f32::from(degenerate) + factor * (f32::from(byte) - f32::from(degenerate))) as u8
}

/// `ImageEnhance.Color`: 0 is grey, 1 the image.
pub fn colour(image: &mut Rgb, factor: f64) {
    for pixel in image.pixels.as_chunks_mut::<3>().0 {
        let grey = luma(pixel);
        pixel.iter_mut().for_each(|byte| *byte = blend(grey, *byte, factor as f32));
    }
}

/// `ImageEnhance.Contrast`: 0 is the mean luma everywhere, 1 the image.
pub fn contrast(image: &mut Rgb, factor: f64) {
    let pixels = image.pixels.as_chunks::<3>().0;
    if pixels.is_empty() {
        return;
    }
    let sum: u64 = pixels.iter().map(|pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / pixels.len() as f64 + 0.5) as u8;
    image.pixels.iter_mut().for_each(|byte| *byte = blend(mean, *byte, factor as f32));
}

/// `ImageEnhance.Brightness`: 0 is black, 1 the image.
pub fn brightness(image: &mut Rgb, factor: f64) {
    image.pixels.iter_mut().for_each(|byte| *byte = blend(0, *byte, factor as f32));
}

/// `ImageEnhance.Sharpness`: 0 is the image under `SMOOTH`, 1 the image. `SMOOTH` is a 3x3 mean whose middle counts five
/// times; Pillow leaves the border as it is.
pub fn sharpness(image: &mut Rgb, factor: f64) {
    let (width, height) = (image.width, image.height);
    if width < 3 || height < 3 {
        return;
    }
    let source = image.pixels.clone();
    let row = width * 3;
    for y in 1..height - 1 {
        for at in y * row + 3..(y + 1) * row - 3 {
            let line = |at: usize| [at - 3, at, at + 3].map(|at| f32::from(source[at])).iter().sum::<f32>();
            let sum = line(at - row) + line(at) + line(at + row) + 4.0 * f32::from(source[at]);
            let smooth = (sum / 13.0 + 0.5) as u8;
            image.pixels[at] = blend(smooth, source[at], factor as f32);
        }
    }
}
