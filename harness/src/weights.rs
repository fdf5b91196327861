//! Files of weights: what a trial begins with, and what it leaves behind.
//!
//! A file is a state dictionary of the authors' code in safetensors form, since the zoo names parameters and running
//! statistics as that code does. It is known by its SHA-256: the configuration holds the hash, so a trial that begins
//! with other weights is another trial, and a file that changed under a campaign is told.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use engine::model::Network;
use engine::run::Run;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A weights file that was read whole.
#[derive(Clone, Debug)]
pub(crate) struct WeightsFile {
    path: PathBuf,
    /// SHA-256 of its bytes, in hex.
    pub(crate) sha256: String,
    tensors: BTreeMap<String, Tensor>,
}

impl WeightsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, or is not a whole safetensors file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let tensors =
            candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|error| Error::Document {
                place: path.display().to_string(),
                message: format!("not a whole safetensors file: {error}"),
            })?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path: path.to_owned(), sha256, tensors: tensors.into_iter().collect() })
    }

    /// Reads the file again that a trial was planned with.
    ///
    /// # Errors
    /// When its bytes are others by now, or it can't be read.
    pub(crate) fn read_again(path: &Path, sha256: &str) -> Result<Self> {
        let file = Self::read(path)?;
        if file.sha256 != sha256 {
            let place = format!("SHA-256 of {}", path.display());
            return Err(Error::value(place, format!("{sha256}, as it was planned with"), file.sha256));
        }
        Ok(file)
    }

    /// Refuses a file that does not fit a network; a planned one will do, as names and shapes are looked at alone.
    ///
    /// # Errors
    /// Names file and network, and lists every name that is missing, not of the network, or of another shape.
    pub(crate) fn check(&self, network: &Network) -> Result<()> {
        engine::weights::check(network, &self.tensors).map_err(|source| self.refusal(source))
    }

    /// Puts every tensor in its place.
    ///
    /// # Errors
    /// As [`WeightsFile::check`].
    pub(crate) fn load(&self, run: &mut Run) -> Result<()> {
        engine::weights::load(&run.network, &mut run.statistics, &self.tensors)
            .map_err(|source| self.refusal(source))
    }

    fn refusal(&self, source: engine::Error) -> Error {
        Error::Setting { place: format!("{} (--weights)", self.path.display()), source }
    }
}

/// The file that a trial's weights are saved to: its key with `/` as `__`.
pub(crate) fn saved_path(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("{}.safetensors", key.replace('/', "__")))
}

/// Saves parameters and running statistics; a reader sees a whole file or none.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn save(run: &Run, folder: &Path, key: &str) -> Result<()> {
    let path = saved_path(folder, key);
    let failed = |error: String| Error::Document { place: path.display().to_string(), message: error };
    let tensors: HashMap<String, Tensor> = engine::weights::store(&run.network, &run.statistics)
        .map_err(|error| failed(error.to_string()))?
        .into_iter()
        .collect();
    let draft = path.with_extension("safetensors.tmp");
    candle_core::safetensors::save(&tensors, &draft)
        .map_err(|error| failed(format!("cannot save weights: {error}")))?;
    std::fs::rename(&draft, &path).map_err(|error| failed(format!("cannot save weights: {error}")))
}

/// Creates the folder for weights and tries to write into it, before anything is trained.
///
/// # Errors
/// When it can't be created or written.
pub(crate) fn open_folder(folder: &Path) -> Result<()> {
    let trace = folder.join(".writable");
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&trace, ""))
        .and_then(|()| std::fs::remove_file(&trace))
        .map_err(|error| {
            Error::value(
                "--save-weights",
                "a folder that can be written",
                format!("{}: {error}", folder.display()),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::{WeightsFile, saved_path};

    #[test]
    fn a_file_that_changed_since_the_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        // An empty dictionary, and the same with a space behind it.
        std::fs::write(&path, b"\x02\0\0\0\0\0\0\0{}").unwrap();
        let planned = WeightsFile::read(&path).unwrap();
        assert!(WeightsFile::read_again(&path, &planned.sha256).is_ok());
        std::fs::write(&path, b"\x03\0\0\0\0\0\0\0{} ").unwrap();
        let error = WeightsFile::read_again(&path, &planned.sha256).unwrap_err().to_string();
        assert!(error.contains(&planned.sha256) && error.contains("as it was planned with"), "{error}");
    }

    #[test]
    fn a_key_is_a_file_name() {
        let path = saved_path(std::path::Path::new("w"), "smoke/tiny-conv/stbp/t4/s1");
        assert_eq!(path, std::path::Path::new("w/smoke__tiny-conv__stbp__t4__s1.safetensors"));
    }
}
