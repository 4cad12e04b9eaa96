//! Folders and tables as people have them: what systems put beside one's files is passed over, the case of endings does not
//! matter, and text comes from any editor.

use std::path::{Path, PathBuf};

use encoding_rs::{UTF_8, WINDOWS_1252};
use speechlens_audio::is_recording;

use crate::{Error, Result};

/// Names, beside those that begin with a dot, of what archives, file managers and servers leave in folders.
const CLUTTER: [&str; 6] = [
    "@eaDir",
    "__MACOSX",
    "Thumbs.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "System Volume Information",
];

/// Whether a file or folder is none of its owner's: hidden (`._speech.wav`, `.DS_Store`), or put there by a system (`@eaDir`,
/// `__MACOSX`, `Thumbs.db`).
pub fn is_clutter(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || CLUTTER.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a name ends so, in any case.
pub(crate) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// What is in a folder, in the order of the names, without clutter.
///
/// # Errors
/// If the folder cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .map_err(Error::io(folder))?;
    paths.retain(|path| !is_clutter(path));
    paths.sort();
    Ok(paths)
}

/// The folders in a folder.
pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = entries(folder)?;
    entries.retain(|path| path.is_dir());
    Ok(entries)
}

/// The recordings in a folder, by their endings.
pub(crate) fn recordings(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = entries(folder)?;
    entries.retain(|path| is_recording(path) && !path.is_dir());
    Ok(entries)
}

/// The file of this name in a folder, in any case.
pub(crate) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    let same = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    let mut entries = entries(folder).ok()?.into_iter();
    entries.find(|path| same(path) && path.is_file())
}

/// The name of a file or folder, without blanks around it.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().trim().to_owned()
}

/// The name of a file without its ending.
pub(crate) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().trim().to_owned()
}

/// Size and modification time of a file, as a fingerprint.
pub(crate) fn stamp(path: &Path) -> Result<String> {
    let metadata = path.metadata().map_err(Error::io(path))?;
    let modified = metadata.modified().map_err(Error::io(path))?;
    let since_epoch = modified
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    Ok(format!("{} bytes, {since_epoch} ns", metadata.len()))
}

/// The text of a file: UTF-8 or, if a byte order mark says so, UTF-16; what is neither is Windows-1252, which holds Latin-1.
pub(crate) fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (text, _, is_other) = UTF_8.decode(&bytes);
    Ok(match is_other {
        true => WINDOWS_1252
            .decode_without_bom_handling(&bytes)
            .0
            .into_owned(),
        false => text.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b.WAV",
            "a.wav",
            "._a.wav",
            ".hidden.wav",
            "Thumbs.db",
            "c.txt",
            "C.Flac",
        ] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        for name in ["@eaDir", "__MACOSX", ".git", "d", "e.wav"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let names = |paths: Vec<PathBuf>| paths.iter().map(|p| name(p)).collect::<Vec<_>>();
        let all = entries(root.path()).unwrap();
        assert_eq!(
            names(all),
            ["C.Flac", "a.wav", "b.WAV", "c.txt", "d", "e.wav"]
        );
        assert_eq!(names(folders(root.path()).unwrap()), ["d", "e.wav"]);
        assert_eq!(
            names(recordings(root.path()).unwrap()),
            ["C.Flac", "a.wav", "b.WAV"]
        );
        assert_eq!(name(&find(root.path(), "c.FLAC").unwrap()), "C.Flac");
        assert_eq!(find(root.path(), "D"), None);
    }

    #[test]
    fn text_comes_from_any_editor() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("table.txt");
        let utf16 = |text: &str| -> Vec<u8> {
            let units = [0xfeff].into_iter().chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect()
        };
        for bytes in [
            "José".as_bytes().to_vec(),
            [b"\xef\xbb\xbf", "José".as_bytes()].concat(),
            b"Jos\xe9".to_vec(),
            utf16("José"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(text(&path).unwrap(), "José");
        }
    }
}
