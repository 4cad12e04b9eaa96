//! Files that appear whole or not at all.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("new/answers.txt");
//! use std::io::{Error, Write};
//!
//! speechlens_atomic::write(&path, |file| file.write_all(b"42"))?;
//! let failed = speechlens_atomic::write(&path, |file| {
//!     file.write_all(b"half")?;
//!     Err(Error::other("the power went out"))
//! });
//! assert!(failed.is_err());
//! assert_eq!(std::fs::read(&path)?, b"42");
//! # Ok(())
//! # }
//! ```

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// What the names end in of files that are being written.
const PARTIAL: &str = ".partial";

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Lets `fill` write another file beside `path`, in its folder, which is made if need be, and moves it there when it is whole and on
/// the disk. It has the rights of any new file. A kill at any moment leaves the old file or the new one, and perhaps one that
/// [`remove_partial`] finds.
///
/// # Errors
/// Those of `fill`; or the folder cannot be made, or the file not written.
pub fn write<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    let prefix = prefix_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PARTIAL);
    // A temporary file is private by default.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    fill(&mut file)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes what kills in the middle of writing `path` left beside it. What a living process has locked, as HDF5 does, stays; of
/// others nobody may be writing it.
///
/// # Errors
/// If the folder cannot be read, or a file not removed.
pub fn remove_partial(path: &Path) -> io::Result<()> {
    remove(folder_of(path), &prefix_of(path), false)
}

/// [`remove_partial`] of all files of a folder.
///
/// # Errors
/// If the folder cannot be read, or a file not removed.
pub fn remove_all_partial(folder: &Path) -> io::Result<()> {
    remove(folder, ".", true)
}

fn prefix_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.")
}

fn remove(folder: &Path, prefix: &str, is_any: bool) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        let middle = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(PARTIAL));
        // With a dot it is of another file, whose name only begins so.
        if middle.is_some_and(|middle| is_any || !middle.contains('.')) && is_left() {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn replaces_a_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/er/file.txt");
        for text in [&b"one"[..], b"two"] {
            write(&path, |file| file.write_all(text)).expect("written");
        }
        assert_eq!(std::fs::read(&path).expect("read"), b"two");
        let beside = folder_of(&path).read_dir().expect("listed");
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn what_a_kill_left_is_found_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.h5");
        write(&path, |file| file.write_all(b"whole")).expect("written");
        let left = [
            ".a.h5.x1.partial",
            ".b.h5.x1.partial",
            ".a.h5.x2.partial",
            ".a.h5.h5.x1.partial",
        ];
        for left in left {
            std::fs::write(folder.path().join(left), "half").expect("written");
        }
        let living = File::open(folder.path().join(".a.h5.x2.partial")).expect("there");
        living.lock().expect("locked");
        remove_partial(&path).expect("removed");
        let names = || {
            let names = folder.path().read_dir().expect("listed");
            let mut names: Vec<_> = names
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            names.sort();
            names
        };
        let stay = [
            ".a.h5.h5.x1.partial",
            ".a.h5.x2.partial",
            ".b.h5.x1.partial",
            "a.h5",
        ];
        assert_eq!(names(), stay);
        drop(living);
        remove_all_partial(folder.path()).expect("removed");
        assert_eq!(names(), ["a.h5"]);
    }
}
