//! A part of a plain JPEG, for crops.
//!
//! A crop of a photograph needs a part of its pixels, and a decoder's time goes into all of them. Here blocks outside the part
//! are passed over and rows below it not read at all, so that a random-resized crop takes little more than half of the time
//! that zune-jpeg takes for the whole. No library that the project may use reads a part: libjpeg-turbo does, in C and
//! assembly, and is slower. The pixels are zune-jpeg's to the bit, which every test compares with; whatever is not a
//! [`Plain`] JPEG, or garbled, is zune-jpeg's to read.

mod cosine;
mod header;
mod huffman;
mod paint;
mod part;

pub use header::Plain;
pub use part::{Part, Reader};

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    use keys::{Key, Stream};

    use super::*;
    use crate::format::picture::{Rgb, decode};

    /// Waves, edges and noise: every size of coefficient, and runs of zeros.
    fn picture([width, height]: [usize; 2], noise: u32, stream: &mut Stream) -> Rgb {
        let mut image = Rgb::black(width, height);
        for (at, pixel) in image.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (x, y) = (at % width, at / width);
            let edge = if (x / 13 + y / 9) % 3 == 0 { 200 } else { 20 };
            *pixel = [edge, (x * 5 + y * 3) % 256, (x * y / 7) % 256].map(|level| {
                (level as i64 + i64::from(stream.below(2 * noise + 1)) - i64::from(noise)).clamp(0, 255) as u8
            });
        }
        image
    }

    fn encoded(
        image: &Rgb,
        quality: u8,
        sampling: SamplingFactor,
        set: impl Fn(&mut Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        encoder.set_sampling_factor(sampling);
        set(&mut encoder);
        encoder.encode(&image.pixels, image.width as u16, image.height as u16, ColorType::Rgb).unwrap();
        bytes
    }

    /// Reads the whole and twenty parts, and compares each with the library's pixels.
    fn assert_equal(reader: &mut Reader, bytes: &[u8], stream: &mut Stream) {
        let mut expected = Rgb::default();
        decode("a.jpg", bytes, &mut expected).unwrap();
        let plain = Plain::read(bytes).unwrap();
        let sides = [expected.width, expected.height];
        assert_eq!([plain.width, plain.height], sides);
        for index in 0..20 {
            let mut range = |side: usize| {
                let start = stream.below(side as u32) as usize;
                start..start + 1 + stream.below((side - start) as u32) as usize
            };
            let part = match index {
                0 => Part::whole(sides),
                _ => Part { columns: range(sides[0]), rows: range(sides[1]) },
            };
            // What lies outside must stay as it is.
            let mut pixels: Vec<u8> = expected.pixels.iter().map(|&level| !level).collect();
            reader.read(&plain, &part, &mut pixels).unwrap();
            for (at, (own, expected)) in pixels.iter().zip(&expected.pixels).enumerate() {
                let (x, y) = (at / 3 % sides[0], at / 3 / sides[0]);
                let inside = part.columns.contains(&x) && part.rows.contains(&y);
                let expected = if inside { *expected } else { !expected };
                assert_eq!(*own, expected, "{x}, {y} of {sides:?} in {part:?}");
            }
        }
    }

    #[test]
    fn parts_are_the_librarys_pixels_to_the_bit() {
        let mut reader = Reader::default();
        let mut stream = Key::new(3).stream();
        let sizes = [[75, 50], [16, 16], [33, 17], [1, 1], [8, 70], [130, 5], [200, 120]];
        for sampling in [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0] {
            for size in sizes {
                for (quality, noise) in [(30, 0), (75, 4), (93, 9), (100, 120)] {
                    let image = picture(size, noise, &mut stream);
                    for interval in [0, 1, 3] {
                        let bytes = encoded(&image, quality, sampling, |encoder| {
                            if interval > 0 {
                                encoder.set_restart_interval(interval);
                            }
                        });
                        assert_equal(&mut reader, &bytes, &mut stream);
                    }
                }
            }
        }
    }

    #[test]
    fn adobes_note_on_luma_and_chroma_is_understood() {
        let mut stream = Key::new(4).stream();
        let image = picture([40, 30], 9, &mut stream);
        let noted = |colours| {
            encoded(&image, 90, SamplingFactor::R_4_2_0, |encoder| {
                encoder
                    .add_app_segment(14, [b"Adobe\0\x64\0\0\0\0".as_slice(), &[colours]].concat())
                    .unwrap();
            })
        };
        assert_equal(&mut Reader::default(), &noted(1), &mut stream);
        assert!(Plain::read(&noted(0)).is_none());
    }

    #[test]
    fn other_kinds_are_left_to_the_library() {
        let image = picture([40, 30], 9, &mut Key::new(5).stream());
        let kind = |sampling, progressive| {
            encoded(&image, 90, sampling, |encoder| encoder.set_progressive(progressive))
        };
        assert!(Plain::read(&kind(SamplingFactor::R_4_2_0, false)).is_some());
        assert!(Plain::read(&kind(SamplingFactor::R_4_2_0, true)).is_none());
        assert!(Plain::read(&kind(SamplingFactor::R_4_1_1, false)).is_none());
        let mut grey = Vec::new();
        Encoder::new(&mut grey, 90).encode(&image.pixels[..1200], 40, 30, ColorType::Luma).unwrap();
        assert!(Plain::read(&grey).is_none());
    }

    #[test]
    fn code_that_ends_too_soon_is_refused_where_it_is_needed() {
        let image = picture([64, 64], 40, &mut Key::new(6).stream());
        let mut bytes = encoded(&image, 90, SamplingFactor::R_4_4_4, |_| {});
        bytes.truncate(bytes.len() * 2 / 3);
        bytes.extend([0xFF, 0xD9]);
        let plain = Plain::read(&bytes).unwrap();
        let mut pixels = vec![0; 64 * 64 * 3];
        let mut read = |rows| Reader::default().read(&plain, &Part { columns: 0..64, rows }, &mut pixels);
        assert!(read(0..32).is_some());
        assert!(read(0..64).is_none());
    }
}
