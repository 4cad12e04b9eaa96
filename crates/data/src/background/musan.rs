//! MUSAN's music and noise, as its authors publish it: `music/` and `noise/` with folders of .wav files, and `speech/`, which
//! is not used; other formats are read as well.

use std::path::{Path, PathBuf};

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_audio::{Audio, is_recording};

use super::Kind;
use crate::folder::{self, entries};
use crate::{Error, Result};

/// The files of each kind, in the order of their names.
pub struct Musan {
    folder: PathBuf,
    files: [Vec<PathBuf>; 2],
}

/// A recording.
pub struct Clip {
    /// Its path in MUSAN's folder.
    pub name: String,
    /// Its sound.
    pub audio: Audio,
}

impl Musan {
    pub fn open(folder: &Path) -> Result<Musan> {
        let mut files = [Vec::new(), Vec::new()];
        for (kind, files) in Kind::ALL.into_iter().zip(&mut files) {
            let of_kind = folder.join(kind.name());
            if of_kind.is_dir() {
                find(&of_kind, files)?;
            }
            if files.is_empty() {
                let reason = format!(
                    "no {kind}/ with recordings; expected MUSAN as published, a folder of music/, noise/ and speech/ \
                     (https://www.openslr.org/17)"
                );
                return Err(Error::malformed(folder, reason));
            }
        }
        Ok(Musan {
            folder: folder.to_owned(),
            files,
        })
    }

    /// A text that changes when the files do: a hash of their names, and of what they say of their sizes and times.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for path in self.files.iter().flatten() {
            let name = path.strip_prefix(&self.folder).unwrap_or(path);
            // One that is gone is an error when it is drawn.
            let stamp = folder::stamp(path).unwrap_or_default();
            hash.update(format!("{} {stamp}\n", name.display()).as_bytes());
        }
        format!("MUSAN {}", hash.finalize().to_hex())
    }

    /// Any recording of a kind.
    pub fn draw(&self, kind: Kind, rng: &mut ChaCha8Rng) -> Result<Clip> {
        let path = self.files[kind as usize]
            .choose(rng)
            .expect("checked when opened");
        let audio = speechlens_audio::read(path).map_err(Error::Clip)?;
        if audio.rate == 0 {
            let reason = "has a sampling rate of 0 Hz; download it again";
            return Err(Error::malformed(path, reason));
        }
        let name = path.strip_prefix(&self.folder).unwrap_or(path);
        let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Clip {
            name: parts.join("/"),
            audio,
        })
    }
}

/// Every recording in a folder and those below it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        if path.is_dir() {
            find(&path, files)?;
        } else if is_recording(&path) {
            files.push(path);
        }
    }
    Ok(())
}
