//! Encoded pictures: JPEG, and PNG in JPEG clothing, to interleaved RGB.
//!
//! The decoder is zune-jpeg. Its pictures differ from libjpeg-turbo's, which PyTorch users see, by 0.19 grey levels in the
//! mean and 14 at most (other chroma upsampling and inverse cosine transform), so records name it: [`DECODER`].
//! [`super::jpeg`] reads parts of plain JPEGs, to the same pixels. Orientation marks are not followed, as torchvision's loader does not follow them.
//!
//! A picture's size is a promise of a few bytes; it is believed up to [`PIXELS_A_BYTE`] pixels for each byte that is there.

use png::{ColorType, Transformations};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use super::jpeg::{Part, Plain, Reader};
use crate::DataError;

/// The decoder's name and version, for records.
pub const DECODER: &str = "zune-jpeg 0.5";

/// Pixels that one byte of a file can stand for. A grey baseline JPEG spends at least one bit on a block of 64, so 512; the
/// rest is head-room for progressive runs.
pub const PIXELS_A_BYTE: usize = 1024;

/// Longest side of a picture, as JPEG has it.
const LONGEST_SIDE: usize = 65_535;

/// An image of three interleaved channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// `[H, W, 3]`.
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// A black image.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; width * height * 3] }
    }

    /// From planes `[C, H, W]` of one or three channels; one is copied to all three.
    #[must_use]
    pub fn from_planes(planes: &[u8], [channels, height, width]: [usize; 3]) -> Self {
        let mut image = Self::default();
        image.take_planes(planes, [channels, height, width]);
        image
    }

    /// [`Rgb::from_planes`] into the memory that is there.
    pub(crate) fn take_planes(&mut self, planes: &[u8], [channels, height, width]: [usize; 3]) {
        let plane = height * width;
        self.resize(width, height);
        let [red, green, blue] =
            [0, 1, 2].map(|channel| &planes[if channels == 3 { channel * plane } else { 0 }..][..plane]);
        for (((pixel, &red), &green), &blue) in
            self.pixels.as_chunks_mut().0.iter_mut().zip(red).zip(green).zip(blue)
        {
            *pixel = [red, green, blue];
        }
    }

    /// Another size, in the memory that is there; what the pixels are is left open.
    pub(crate) fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.pixels.resize(width * height * 3, 0);
    }
}

/// As [`decode`], but only the part that `part` names for the picture's sides has to be right: what lies outside is left open.
///
/// # Errors
/// As for [`decode`]; of a cut or garbled picture only what comes before the part's end is looked at.
pub fn decode_part(
    file: &str,
    bytes: &[u8],
    part: impl FnOnce([usize; 2]) -> Part,
    (reader, image): (&mut Reader, &mut Rgb),
) -> Result<(), DataError> {
    if let Some(plain) = Plain::read(bytes) {
        check_end(file, bytes)?;
        check_size(file, "JPEG", [plain.width, plain.height], bytes.len())?;
        image.resize(plain.width, plain.height);
        if reader.read(&plain, &part([plain.width, plain.height]), &mut image.pixels).is_some() {
            return Ok(());
        }
    }
    decode(file, bytes, image)
}

/// Decodes a JPEG or PNG picture into `image`, whose memory is used again; `file` is its name for messages.
///
/// # Errors
/// When the bytes are neither, are cut, promise a larger picture than they can hold, or the decoder refuses them.
pub fn decode(file: &str, bytes: &[u8], image: &mut Rgb) -> Result<(), DataError> {
    match bytes {
        [0xFF, 0xD8, ..] => jpeg(file, bytes, image),
        [0x89, b'P', b'N', b'G', ..] => png(file, bytes, image),
        _ => Err(malformed(file, "picture", 0, "a picture begins as JPEG or PNG do", first(bytes))),
    }
}

fn jpeg(file: &str, bytes: &[u8], image: &mut Rgb) -> Result<(), DataError> {
    check_end(file, bytes)?;
    let fault = |message: String| DataError::Picture { file: file.to_owned(), format: "JPEG", message };
    let options = DecoderOptions::default()
        .set_max_width(LONGEST_SIDE)
        .set_max_height(LONGEST_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| fault(error.to_string()))?;
    let info = decoder.info().ok_or_else(|| fault("no header".to_owned()))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    check_size(file, "JPEG", [width, height], bytes.len())?;
    image.resize(width, height);
    if decoder.output_buffer_size() != Some(image.pixels.len()) {
        return Err(fault("the colours are not turned into RGB".to_owned()));
    }
    decoder.decode_into(&mut image.pixels).map_err(|error| fault(error.to_string()))
}

/// Refuses a cut file. The decoder would fill what is missing with grey, and a half picture would be trained on in silence.
///
/// Inside the coded data after the start of scan every `FF` is stuffed, so `FF D9` there is the end and nothing else; those
/// of thumbnails lie before.
fn check_end(file: &str, bytes: &[u8]) -> Result<(), DataError> {
    let mut at = 2;
    loop {
        let segment = bytes.get(at..).unwrap_or_default();
        match segment {
            // Fill bytes may stand before a marker.
            [0xFF, 0xFF, ..] => at += 1,
            [0xFF, 0xDA, rest @ ..] => {
                if rest.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]) {
                    return Ok(());
                }
                let place = bytes.len() as u64;
                return Err(malformed(
                    file,
                    "JPEG",
                    place,
                    "a JPEG ends with marker FF D9",
                    "the file's end".to_owned(),
                ));
            }
            // Markers without a length.
            [0xFF, 0x01 | 0xD0..=0xD8, ..] => at += 2,
            [0xFF, _, high, low, ..] => at += 2 + usize::from(u16::from_be_bytes([*high, *low])).max(2),
            // Garbage between segments: the decoder knows what to skip. The picture is held to be whole if it ends so.
            [_, _, _, _, ..] => at += 1,
            _ => {
                let place = at as u64;
                return Err(malformed(
                    file,
                    "JPEG",
                    place,
                    "a JPEG has a start of scan",
                    "the file's end".to_owned(),
                ));
            }
        }
    }
}

fn png(file: &str, bytes: &[u8], image: &mut Rgb) -> Result<(), DataError> {
    let fault = |error: png::DecodingError| DataError::Picture {
        file: file.to_owned(),
        format: "PNG",
        message: error.to_string(),
    };
    let most = bytes.len().saturating_mul(4 * PIXELS_A_BYTE);
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), png::Limits { bytes: most });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(fault)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    check_size(file, "PNG", [width, height], bytes.len())?;
    let samples = match reader.output_color_type().0 {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    };
    let mut raw = vec![0; width * height * samples];
    reader.next_frame(&mut raw).map_err(fault)?;
    image.resize(width, height);
    for (to, from) in image.pixels.as_chunks_mut().0.iter_mut().zip(raw.chunks_exact(samples)) {
        *to = match *from {
            [grey] | [grey, _] => [grey; 3],
            [red, green, blue] | [red, green, blue, _] => [red, green, blue],
            _ => [0; 3],
        };
    }
    Ok(())
}

fn check_size(
    file: &str,
    format: &'static str,
    [width, height]: [usize; 2],
    bytes: usize,
) -> Result<(), DataError> {
    let most = bytes.saturating_mul(PIXELS_A_BYTE);
    let pixels = width.checked_mul(height).filter(|&pixels| pixels > 0 && pixels <= most);
    match pixels {
        Some(_) => Ok(()),
        None => {
            let rule = "width x height is at least 1 and at most 1024 pixels for each byte of the file";
            Err(malformed(file, format, 0, rule, format!("{width}x{height} of {bytes} bytes")))
        }
    }
}

fn malformed(file: &str, format: &'static str, offset: u64, rule: &'static str, found: String) -> DataError {
    DataError::Malformed { file: file.to_owned(), format, offset, rule, found }
}

fn first(bytes: &[u8]) -> String {
    format!("{:02X?}", &bytes[..bytes.len().min(4)])
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType as Colour, Encoder, SamplingFactor};

    use super::*;

    /// A ramp in each channel.
    fn ramp(width: usize, height: usize) -> Rgb {
        let pixel = |at: usize| {
            let (x, y) = (at % width, at / width);
            [(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + y) * 255 / (width + height)) as u8]
        };
        Rgb { width, height, pixels: (0..width * height).flat_map(pixel).collect() }
    }

    fn encoded(image: &Rgb, sampling: SamplingFactor, progressive: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(progressive);
        encoder.encode(&image.pixels, image.width as u16, image.height as u16, Colour::Rgb).unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_jpeg_comes_back_near_its_source() {
        let source = ramp(75, 50);
        for sampling in [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0] {
            for progressive in [false, true] {
                // Memory of another picture is used again.
                let mut image = Rgb::black(200, 3);
                decode("a.jpg", &encoded(&source, sampling, progressive), &mut image).unwrap();
                assert_eq!((image.width, image.height), (75, 50));
                let differences =
                    image.pixels.iter().zip(&source.pixels).map(|(&a, &b)| u32::from(a.abs_diff(b)));
                // Quality 95 of a smooth picture: two levels in the mean leave room for the edges of subsampled chroma.
                assert!(differences.sum::<u32>() < 2 * 75 * 50 * 3, "{sampling:?} {progressive}");
            }
        }
    }

    #[test]
    fn grey_jpegs_and_every_kind_of_png_become_rgb() {
        let grey: Vec<u8> = (0..64).map(|at| at * 4).collect();
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 100).encode(&grey, 8, 8, Colour::Luma).unwrap();
        let mut image = Rgb::default();
        decode("grey.jpg", &bytes, &mut image).unwrap();
        for (pixel, &grey) in image.pixels.as_chunks::<3>().0.iter().zip(&grey) {
            assert!(pixel.iter().all(|&channel| channel.abs_diff(grey) <= 2), "{pixel:?} {grey}");
        }
        for (colour, samples) in [
            (ColorType::Grayscale, 1),
            (ColorType::GrayscaleAlpha, 2),
            (ColorType::Rgb, 3),
            (ColorType::Rgba, 4),
        ] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
            encoder.set_color(colour);
            let raw: Vec<u8> = (1..=2 * samples).collect();
            encoder.write_header().unwrap().write_image_data(&raw).unwrap();
            decode("n02105855_2933.JPEG", &bytes, &mut image).unwrap();
            let expected = match samples {
                1 => [1, 1, 1, 2, 2, 2],
                2 => [1, 1, 1, 3, 3, 3],
                3 => [1, 2, 3, 4, 5, 6],
                _ => [1, 2, 3, 5, 6, 7],
            };
            assert_eq!(image.pixels, expected, "{colour:?}");
        }
    }

    #[test]
    fn a_cut_jpeg_is_refused_at_every_length() {
        let whole = encoded(&ramp(40, 24), SamplingFactor::R_4_2_0, false);
        let mut image = Rgb::default();
        for length in 0..whole.len() - 1 {
            let error = decode("cut.jpg", &whole[..length], &mut image).unwrap_err().to_string();
            assert!(error.starts_with("cut.jpg: "), "{length}: {error}");
        }
        // What follows the end is not the picture's.
        decode("padded.jpg", &[&whole[..], &[0; 9]].concat(), &mut image).unwrap();
    }

    #[test]
    fn a_promise_that_the_bytes_cannot_keep_is_refused() {
        let mut bytes = encoded(&ramp(8, 8), SamplingFactor::R_4_4_4, false);
        let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
        let error = decode("huge.jpg", &bytes, &mut Rgb::default()).unwrap_err().to_string();
        assert!(error.contains("found 65535x65535"), "{error}");
        let error = decode("page.JPEG", b"<html>", &mut Rgb::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "page.JPEG: picture at byte 0: a picture begins as JPEG or PNG do, found [3C, 68, 74, 6D]"
        );
    }

    #[test]
    fn planes_become_interleaved() {
        assert_eq!(Rgb::from_planes(&[1, 2, 3, 4, 5, 6], [3, 1, 2]).pixels, [1, 3, 5, 2, 4, 6]);
        assert_eq!(Rgb::from_planes(&[1, 2], [1, 2, 1]).pixels, [1, 1, 1, 2, 2, 2]);
    }
}
