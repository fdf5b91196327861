//! A simulated event camera, and the stand-in event sets that it makes.
//!
//! The pixel model is that of v2e and ESIM in short: log intensity through a first-order low-pass, thresholds that differ
//! from pixel to pixel, dead time, background noise (Hu, Liu, Delbruck, "v2e: from video frames to realistic DVS
//! events", 2021; Rebecq et al., "ESIM: an open event camera simulator", 2018). Its N-MNIST preset was fitted to the
//! first 40 training recordings; `examples/simulate_check.rs` compares the two.
//!
//! A stand-in is no sensor's data: its card says [`crate::events::Origin::Simulated`], its title says what it is made
//! of, and it is never called by the bare name of the set that it stands for.

mod canvas;
mod gesture;
mod path;
mod sensor;
mod stand_in;

pub use gesture::Clip;
pub use path::{Leg, Path};
pub use sensor::Sensor;
pub use stand_in::{sim_cifar10_dvs, sim_gesture11, sim_nmnist, stand_in};
