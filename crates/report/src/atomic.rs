//! Files that are whole or not there.

use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Writes `bytes` beside `path` and moves them there (see [`speechlens_atomic::write`]). Missing folders are made.
///
/// # Errors
/// [`Error::File`] when the folder cannot be made or the file not written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    speechlens_atomic::write(path, |file| file.write_all(bytes)).map_err(|source| Error::File {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unwritable_path_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        write(&file, b"").expect("written");
        let error = write(&file.join("below"), b"").expect_err("a file is no folder");
        assert!(error.to_string().contains("below"), "{error}");
    }
}
