//! Colour and geometry operations against Pillow's own results.

use datasets::{
    augment::{
        affine::{Sampling, rotate, transform},
        colour,
    },
    format::picture::Rgb,
};
use sha2::{Digest, Sha256};

const FILL: [u8; 3] = [1, 2, 3];

fn source() -> Rgb {
    Rgb { width: 8, height: 6, pixels: (0..144_usize).map(|at| (at * 73 + at * at * 5) as u8).collect() }
}

/// Five times as large, each pixel repeated, so that a histogram has enough counts to be evened.
fn large() -> Rgb {
    let small = source();
    let pixel = |at: usize| &small.pixels[(at / 40 / 5 * 8 + at % 40 / 5) * 3..][..3];
    Rgb { width: 40, height: 30, pixels: (0..1_200).flat_map(pixel).copied().collect() }
}

fn apply(operation: &str) -> Rgb {
    let mut image = if operation == "equalize" { large() } else { source() };
    let of = &mut image;
    let moved = |of: &mut Rgb, matrix, sampling| transform(of, matrix, sampling, FILL);
    match operation {
        "invert" => colour::invert(of),
        "posterize-1" => colour::posterize(of, 1),
        "posterize-3" => colour::posterize(of, 3),
        "solarize-26" => colour::solarize(of, 26),
        "auto-contrast" => {
            of.pixels.iter_mut().for_each(|byte| *byte = *byte / 3 + 20);
            colour::auto_contrast(of);
        }
        "equalize" => colour::equalize(of),
        "solarize-add-99" => colour::solarize_add(of, 99),
        "colour-1.81" => colour::colour(of, 1.81),
        "colour-0.19" => colour::colour(of, 0.19),
        "contrast-1.81" => colour::contrast(of, 1.81),
        "contrast-0.19" => colour::contrast(of, 0.19),
        "brightness-1.81" => colour::brightness(of, 1.81),
        "brightness-0.19" => colour::brightness(of, 0.19),
        "sharpness-1.81" => colour::sharpness(of, 1.81),
        "sharpness-0.19" => colour::sharpness(of, 0.19),
        "shear-x-bilinear" => moved(of, [1.0, 0.27, 0.0, 0.0, 1.0, 0.0], Sampling::Bilinear),
        "shear-y-bicubic" => moved(of, [1.0, 0.0, 0.0, -0.27, 1.0, 0.0], Sampling::Bicubic),
        "translate-x-bicubic" => moved(of, [1.0, 0.0, 0.4 * 8.0, 0.0, 1.0, 0.0], Sampling::Bicubic),
        "translate-y-bilinear" => moved(of, [1.0, 0.0, 0.0, 0.0, 1.0, -0.4 * 6.0], Sampling::Bilinear),
        "rotate-27-bilinear" => rotate(of, 27.0, Sampling::Bilinear, FILL),
        "rotate-minus-27-bicubic" => rotate(of, -27.0, Sampling::Bicubic, FILL),
        "rotate-100-nearest" => rotate(of, 100.0, Sampling::Nearest, FILL),
        "shear-x-nearest" => moved(of, [1.0, 0.5, 0.0, 0.0, 1.0, 0.0], Sampling::Nearest),
        // No operation: the line's bytes are another image's, and the test says so.
        _ => {}
    }
    image
}

#[test]
fn operations_are_pillows_byte_for_byte() {
    let mut wrong = Vec::new();
    let lines = include_str!("golden/pillow.txt").lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.clone().count(), 23);
    for line in lines {
        let (operation, expected) = line.split_once(' ').unwrap();
        let image = apply(operation);
        let digest = Sha256::digest(&image.pixels);
        let bytes: &[u8] = if image.width == 8 { &image.pixels } else { &digest };
        let found: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if found != expected {
            let differing =
                found.as_bytes().chunks(2).zip(expected.as_bytes().chunks(2)).filter(|(a, b)| a != b).count();
            wrong.push(format!("{operation}: {differing} bytes differ\n  {found}\n  {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
