//! A batch of noise: what is measured of it depends on shapes alone.

use engine::Result;
use engine::method::Batch;
use engine::model::ModelSpec;
use engine::pass::Session;
use keys::Key;

/// White noise `[1, B, C, H, W]` (shapes alone in a plan) that is shown at every step, with classes in turn; two channels are event frames
/// `[T, B, 2, H, W]`, one a step.
///
/// # Errors
/// When memory is short.
pub(crate) fn batch(session: &Session, spec: &ModelSpec, size: usize) -> Result<Batch> {
    batch_of(session, spec, spec.image[0] == 2, size)
}

/// The same, with a frame for every step or one image for all.
///
/// # Errors
/// When memory is short.
pub(crate) fn batch_of(session: &Session, spec: &ModelSpec, frames: bool, size: usize) -> Result<Batch> {
    let [c, h, w] = spec.image;
    let frames = if frames { spec.steps } else { 1 };
    let shape = [frames, size, c, h, w];
    let numbers = if session.is_planned() {
        Vec::new()
    } else {
        let mut stream = Key::new(1).fork("images").stream();
        (0..shape.iter().product::<usize>()).map(|_| stream.normal() as f32).collect()
    };
    let labels: Vec<u32> = (0..size).map(|index| (index % spec.classes) as u32).collect();
    Ok(Batch { images: session.input(&shape, numbers)?, labels: labels.into() })
}
