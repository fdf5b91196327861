//! Files read where they lie, without a copy.
//!
//! The one file of this crate with `unsafe`.
#![allow(unsafe_code, reason = "mapping a file is unsafe by its nature; the reason stands at the block")]

use std::{fs::File, ops::Deref, path::Path};

use memmap2::Mmap;

use crate::DataError;

/// The bytes of a file, mapped for reading.
pub(crate) struct Map(Mmap);

impl Map {
    /// Maps a whole file.
    ///
    /// # Errors
    /// When the file can't be opened or mapped.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let fault = |source| DataError::Read { file: path.display().to_string(), source };
        let file = File::open(path).map_err(fault)?;
        // SAFETY: the map is read only and the file is a data set that nothing rewrites in place: our own writers make a
        // file under another name and rename it, which leaves a mapped one as it was. A foreign program that cuts the
        // file while it is mapped ends this process with a bus error, as it does for every reader of maps; what is read
        // here is bytes, for which every value is valid, so nothing worse follows.
        unsafe { Mmap::map(&file) }.map(Self).map_err(fault)
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
