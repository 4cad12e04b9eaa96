//! MUSAN's music and noise, as its authors publish it: `music/` and `noise/` with folders of .wav files, and `speech/`, which
//! is not used; other formats are read as well.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use speechlens_audio::{Audio, is_recording};

use super::Backdrop;
use crate::folder::{self, entries};
use crate::left_out::{LeftOut, Reason, reasons};
use crate::{Error, Result};

/// The files of each kind, in the order of their names.
pub struct Musan {
    folder: PathBuf,
    files: [Vec<PathBuf>; 2],
    /// Whether a file that cannot be read is an error.
    strict: bool,
    /// The files that were drawn and could not be read: what is drawn does not depend on them being known.
    unreadable: Mutex<BTreeMap<PathBuf, LeftOut>>,
}

/// A recording.
pub struct Clip {
    /// Its path in MUSAN's folder.
    pub name: String,
    /// Its sound.
    pub audio: Audio,
}

impl Musan {
    pub fn open(folder: &Path, strict: bool) -> Result<Musan> {
        let mut files = [Vec::new(), Vec::new()];
        for (kind, files) in Backdrop::ALL.into_iter().zip(&mut files) {
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
            strict,
            unreadable: Mutex::default(),
        })
    }

    /// The files that were drawn and passed over, as they cannot be read.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.unreadable().values().cloned().collect()
    }

    fn unreadable(&self) -> MutexGuard<'_, BTreeMap<PathBuf, LeftOut>> {
        let lock = self.unreadable.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of each kind in two: every fifth, or the last of fewer, is of the second.
    pub fn split(self) -> Result<[Musan; 2]> {
        let mut parts = [(); 2].map(|()| Musan {
            folder: self.folder.clone(),
            files: Default::default(),
            strict: self.strict,
            unreadable: Mutex::default(),
        });
        for (kind, files) in Backdrop::ALL.into_iter().zip(self.files) {
            let count = files.len();
            if count < 2 {
                let reason = format!(
                    "one recording in {kind}/, and training and test need one each; give all of MUSAN \
                     (https://www.openslr.org/17)"
                );
                return Err(Error::malformed(&self.folder, reason));
            }
            for (place, file) in files.into_iter().enumerate() {
                let held_out = place % 5 == count.min(5) - 1;
                parts[usize::from(held_out)].files[kind as usize].push(file);
            }
        }
        Ok(parts)
    }

    /// A text that changes when the files do: a hash of their names, and of what they say of their sizes and times.
    pub fn fingerprint(&self) -> String {
        let mut hash = blake3::Hasher::new();
        for path in self.files.iter().flatten() {
            let name = path.strip_prefix(&self.folder).unwrap_or(path);
            // One that is gone is passed over when it is drawn.
            let stamp = folder::stamp(path).unwrap_or_default();
            hash.update(format!("{} {stamp}\n", name.display()).as_bytes());
        }
        format!("MUSAN {}", hash.finalize().to_hex())
    }

    /// Any recording of a kind that can be read.
    pub fn draw(&self, kind: Backdrop, rng: &mut ChaCha8Rng) -> Result<Clip> {
        loop {
            let path = self.files[kind as usize]
                .choose(rng)
                .expect("checked when opened");
            if self.unreadable().contains_key(path) {
                self.has_others(kind)?;
                continue;
            }
            let name = path.strip_prefix(&self.folder).unwrap_or(path);
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            let name = parts.join("/");
            match speechlens_audio::read(path) {
                Ok(audio) => return Ok(Clip { name, audio }),
                Err(error) if self.strict => return Err(Error::Clip(error)),
                Err(error) => {
                    let left_out = LeftOut {
                        id: name,
                        reason: Reason::of(&error),
                        message: error.to_string(),
                    };
                    self.unreadable().insert(path.clone(), left_out);
                }
            }
        }
    }

    /// Fails if all of a kind were drawn and could not be read.
    fn has_others(&self, kind: Backdrop) -> Result<()> {
        let files = &self.files[kind as usize];
        let unreadable = self.unreadable();
        let of_kind = files.iter().filter_map(|path| unreadable.get(path));
        let of_kind: Vec<LeftOut> = of_kind.cloned().collect();
        match of_kind.len() == files.len() {
            true => Err(Error::malformed(
                &self.folder.join(kind.name()),
                format!(
                    "none of the {} recordings to draw from can be used: {}; give all of MUSAN (https://www.openslr.org/17)",
                    files.len(),
                    reasons(&of_kind)
                ),
            )),
            false => Ok(()),
        }
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
