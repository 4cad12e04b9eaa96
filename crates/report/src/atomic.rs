//! Files that are whole or not there.

use crate::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path`, then renames it, so that a reader never sees half a file.
/// Missing folders are made.
///
/// # Errors
/// [`Error::File`] when the folder cannot be made or the file not written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder)?;
        let mut builder = tempfile::Builder::new();
        // A temporary file is private by default; a report is as readable as any other file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| Error::File {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/er/file.txt");
        write(&path, b"one").expect("written");
        write(&path, b"two").expect("written again");
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        let beside = std::fs::read_dir(path.parent().expect("folder")).expect("listed");
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn an_unwritable_path_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        write(&file, b"").expect("written");
        let error = write(&file.join("below"), b"").expect_err("a file is no folder");
        assert!(error.to_string().contains("below"), "{error}");
    }
}
