//! One image through a named pipeline: from its file's bytes, or its planes, to numbers.

use keys::Key;

use crate::{
    DataError, Split,
    augment::{
        Scale,
        crop::{Cropper, Filter, Window, middle, random_resized, reach},
        jitter, trivial_augment,
    },
    format::{
        jpeg::{Part, Reader},
        picture::{self, Rgb},
    },
    pipeline::{Crop, Eval, Pipeline, Policy, RATIO},
};

/// The memory of one thread, used again from image to image.
#[derive(Default)]
pub(crate) struct Scratch {
    reader: Reader,
    picture: Rgb,
    image: Rgb,
    cropper: Cropper,
}

/// An image on its way in.
pub(crate) enum Source<'b> {
    /// A picture's file.
    Encoded(&'b [u8]),
    /// Planes and their shape, `[C, H, W]`.
    Planes(&'b [u8], [usize; 3]),
}

impl Pipeline {
    /// Whether nothing but a padded crop, a mirror and the scale happen to training images of the pipeline's side.
    pub(crate) fn is_placement(&self) -> bool {
        let whole = !matches!(self.crop, Crop::Resized { .. }) && self.eval == Eval::Whole;
        whole
            && self.cutout.is_none()
            && self.policy.is_none()
            && self.jitter.is_none()
            && self.erasing.is_none()
    }

    /// Which part of a picture becomes the image and how it is resized; `None` where nothing resizes.
    fn window(&self, size: [usize; 2], split: Split, key: Key) -> Option<(Window, Filter)> {
        match (split, self.crop, self.eval) {
            (Split::Train, Crop::Resized { scale, filter }, _) => {
                Some((random_resized(size, scale, RATIO, &mut key.fork("crop").stream()), filter))
            }
            (Split::Test, _, Eval::Middle { resize, filter }) => {
                Some((middle(size, resize, self.test_side), filter))
            }
            (Split::Train, Crop::Whole | Crop::Pad(_), _) | (Split::Test, _, Eval::Whole) => None,
        }
    }

    /// Writes one image `[3, side, side]`; `key` is the sample's own in its epoch. Gives whether it was mirrored.
    ///
    /// # Errors
    /// When the picture can't be decoded, or is too small for a crop that does not resize; the message begins with `name`.
    pub(crate) fn write(
        &self,
        name: &dyn Fn() -> String,
        source: Source<'_>,
        split: Split,
        key: Key,
        (scale, scratch): (&Scale, &mut Scratch),
        target: &mut [f32],
    ) -> Result<bool, DataError> {
        let Scratch { reader, picture, image, cropper } = scratch;
        let fault = |message: String| DataError::Picture { file: name(), format: "resized", message };
        let side = match split {
            Split::Train => self.train_side,
            Split::Test => self.test_side,
        };
        match source {
            Source::Encoded(bytes) => {
                let part = |size| match self.window(size, split, key) {
                    Some((window, filter)) => reach(window, ([side; 2], filter), size),
                    None => Part::whole(size),
                };
                picture::decode_part(&name(), bytes, part, (reader, picture))?;
            }
            Source::Planes(planes, shape) => picture.take_planes(planes, shape),
        }
        let size = [picture.width, picture.height];
        match self.window(size, split, key) {
            Some((window, filter)) => {
                cropper.read(picture, window, ([side; 2], filter), image).map_err(fault)?
            }
            None if size == [side, side] => std::mem::swap(picture, image),
            None => {
                return Err(fault(format!(
                    "{}x{} is not {side}x{side}, and nothing resizes",
                    size[0], size[1]
                )));
            }
        }
        if split == Split::Test {
            scale.write_rgb(image, false, target);
            return Ok(false);
        }
        // The mirror and the padded crop are drawn as without a pipeline.
        let mut stream = key.stream();
        let mirrored = stream.chance(0.5) && self.flip;
        if let Crop::Pad(shift) = self.crop {
            let mut offset = || stream.below(2 * shift as u32 + 1) as isize - shift as isize;
            let (down, right) = (offset(), offset());
            shifted(image, down, right, picture);
            std::mem::swap(picture, image);
        }
        if let Some(cutout) = &self.cutout {
            cutout.apply(image, key.fork("cutout"));
        }
        let coloured = self.policy.is_some() || self.jitter.is_some();
        if coloured && mirrored {
            image.pixels.chunks_exact_mut(side * 3).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
        }
        match &self.policy {
            Some(Policy::Rand(policy)) => policy.apply(image, key.fork("policy"), self.statistics.fill()),
            Some(Policy::TrivialWide) => trivial_augment::apply(image, key.fork("policy")),
            None => {}
        }
        if let Some(strength) = self.jitter {
            jitter::apply(image, strength, key.fork("jitter"));
        }
        scale.write_rgb(image, mirrored && !coloured, target);
        if let Some(erasing) = &self.erasing {
            erasing.apply(target, [3, side, side], key.fork("erase"));
        }
        Ok(mirrored)
    }
}

/// The image under a window moved down and right; what it uncovers is black.
fn shifted(image: &Rgb, down: isize, right: isize, into: &mut Rgb) {
    into.resize(image.width, image.height);
    into.pixels.fill(0);
    let (width, uncovered) = (image.width, right.unsigned_abs().min(image.width));
    let kept = (width - uncovered) * 3;
    let (from, to) = if right >= 0 { (uncovered * 3, 0) } else { (0, uncovered * 3) };
    for (row, target) in into.pixels.chunks_exact_mut(width * 3).enumerate() {
        let source = row.checked_add_signed(down).filter(|&row| row < image.height);
        if let Some(source) = source {
            target[to..to + kept].copy_from_slice(&image.pixels[source * width * 3 + from..][..kept]);
        }
    }
}
