//! A corpus on a disk in memory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Makes a folder with a table, the input up to the first NUL, and an empty file of each of the names that follow.
pub fn with(table: &str, bytes: &[u8], open: impl FnOnce(&Path)) {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mut parts = bytes.split(|byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let _ = std::fs::write(folder.path().join(table), text);
    for name in parts.take(16) {
        let name = Path::new(OsStr::from_bytes(name));
        let mut steps = name.components();
        if steps.all(|step| matches!(step, Component::Normal(_))) {
            let path = folder.path().join(name);
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = std::fs::File::create(path);
        }
    }
    open(folder.path());
}
