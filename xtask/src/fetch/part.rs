//! The file that an archive arrives in. It is kept between runs, and locked while one uses it.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use super::disk;
use super::pump::pump;

/// An archive, or its beginning.
pub struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    /// Opens what an earlier run left, or an empty file.
    ///
    /// # Errors
    /// If another process has it, or the disk refuses.
    pub fn open(path: &Path) -> Result<Part> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(disk(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another `cargo xtask fetch` is writing it; wait until that ends, or stop it",
                path.display()
            ),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(disk(path)(error)),
        }
        Ok(Part {
            file,
            path: path.to_owned(),
        })
    }

    /// Its size in bytes.
    pub fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(disk(&self.path))?;
        Ok(metadata.len())
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .seek(SeekFrom::End(0))
            .and_then(|_| self.file.write_all(bytes))
            .map_err(disk(&self.path))
    }

    /// Makes it empty.
    pub fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(disk(&self.path))
    }

    /// Its bytes from the beginning.
    pub fn reader(&mut self) -> Result<&File> {
        self.file.rewind().map_err(disk(&self.path))?;
        Ok(&self.file)
    }

    /// Its SHA-256 in hexadecimal. `progress` hears how many bytes were read.
    pub fn sha256(&mut self, progress: impl Fn(u64)) -> Result<String> {
        let path = self.path.clone();
        let mut hash = Sha256::new();
        pump(&mut self.reader()?, disk(&path), |bytes| {
            hash.update(bytes);
            progress(bytes.len() as u64);
            Ok(())
        })?;
        let digest = hash.finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Deletes it.
    pub fn remove(self) -> Result<()> {
        match fs::remove_file(&self.path) {
            // A run that found the data set whole tidies up as well.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(disk(&self.path)),
        }
    }
}
