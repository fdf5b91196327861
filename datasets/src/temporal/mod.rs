//! Tasks that need time: generated sets on which a method that cuts gradients through time can be told from one that
//! does not.
//!
//! On image sets truncated gradients look free. On these they are not, because no single step and no sum over steps
//! tells the class:
//!
//! - *delayed recall*: every cue is shown once, in an order of its own, and the class is the one shown first. The sum
//!   over time is the same for all samples.
//! - *binary adding*: of a stream of bits some are marked, and the class is their sum modulo 2. Scores of single steps,
//!   averaged over time, grow with the sum and can't fold it (after the adding problem of Hochreiter & Schmidhuber,
//!   "Long short-term memory", 1997).
//! - *sequential pixels*: an image of the shipped Fashion-MNIST in 28 steps of 28 pixels, by rows or, permuted, in one
//!   fixed random order (Le, Jaitly & Hinton, "A simple way to initialize recurrent networks of rectified linear
//!   units", 2015).

mod adding;
mod mean;
mod recall;
mod sequential;
mod task;

pub use adding::BinaryAdding;
pub use mean::MeanOverTime;
pub use recall::DelayedRecall;
pub use sequential::sequential_pixels;
pub use task::{Task, TaskSet};
