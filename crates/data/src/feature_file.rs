//! What the feature stores share: a file that is computed once, by a key that says from what, and the recordings in it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group};
use rayon::prelude::*;

use crate::corpus::{Corpus, Recording, Sex};
use crate::hdf5_file::{Failure, attribute, column, write_atomically, write_attribute, write_text};
use crate::{Error, Result};

/// A hash over texts and where they end.
pub(crate) fn hash(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        let part = part.as_ref();
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// Recordings of a corpus, for which features are computed.
pub(crate) struct Job<'a> {
    pub corpus: &'a dyn Corpus,
    pub indices: &'a [usize],
    /// Hears the number of recordings computed so far.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

impl Job<'_> {
    fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let recordings = self.corpus.recordings();
        self.indices.iter().map(|&index| &recordings[index])
    }

    /// A hash over everything that a file's content depends on, and over no path.
    pub fn key(&self, format: &str, parameters: &[String]) -> Result<String> {
        let mut parts = vec![format.to_owned()];
        parts.extend_from_slice(parameters);
        parts.push(self.corpus.name().to_owned());
        for (&index, recording) in self.indices.iter().zip(self.recordings()) {
            parts.push(recording.id.clone());
            parts.push(recording.speaker.clone());
            parts.push(recording.sex.map_or("unknown", Sex::name).to_owned());
            parts.push(self.corpus.fingerprint(index)?);
        }
        Ok(hash(parts))
    }

    /// Computes the features of every recording, so many in memory at a time, and gives each to `keep` with its place in
    /// `indices`.
    pub fn compute<T: Send, E: From<Error>>(
        &self,
        at_a_time: usize,
        one: impl Fn(&Recording, usize) -> Result<T> + Sync,
        mut keep: impl FnMut(usize, T) -> Result<(), E>,
    ) -> Result<(), E> {
        let done = AtomicUsize::new(0);
        let one = |&place: &usize| -> Result<T> {
            let index = self.indices[place];
            let features = one(&self.corpus.recordings()[index], index)?;
            (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(features)
        };
        // In the corpus's order: neighbours may come from one file, which is decoded once.
        let mut order: Vec<usize> = (0..self.indices.len()).collect();
        order.sort_by_key(|&place| self.indices[place]);
        for places in order.chunks(at_a_time) {
            let features = places.par_iter().map(one).collect::<Result<Vec<_>>>()?;
            for (&place, features) in places.iter().zip(features) {
                keep(place, features)?;
            }
        }
        Ok(())
    }

    /// [`write`] for the job's recordings.
    pub fn write(
        &self,
        path: &Path,
        format: &str,
        key: &str,
        features: impl FnOnce(&File) -> Result<(), Failure>,
    ) -> Result<()> {
        let recordings: Vec<&Recording> = self.recordings().collect();
        write(path, format, key, &recordings, features)
    }
}

/// Writes a file with its format and key, the recordings (`id`, `speaker`, `label`: 0 male, 1 female, −1 unknown, `digit`: −1 for
/// none), and what `features` writes.
pub(crate) fn write(
    path: &Path,
    format: &str,
    key: &str,
    recordings: &[&Recording],
    features: impl FnOnce(&File) -> Result<(), Failure>,
) -> Result<()> {
    write_atomically(path, |file| {
        write_attribute(file, "format", format)?;
        write_attribute(file, "key", key)?;
        write_text(file, "id", recordings.iter().map(|r| r.id.as_str()))?;
        let speakers = recordings.iter().map(|r| r.speaker.as_str());
        write_text(file, "speaker", speakers)?;
        let labels = recordings.iter().map(|r| r.sex.map_or(-1, |sex| sex as i8));
        let digits = recordings.iter().map(|r| r.digit.map_or(-1, |d| d as i8));
        write_column(file, "label", &labels.collect::<Vec<_>>())?;
        write_column(file, "digit", &digits.collect::<Vec<_>>())?;
        features(file)
    })
}

pub(crate) fn write_column<T: hdf5::H5Type>(
    file: &Group,
    name: &str,
    values: &[T],
) -> hdf5::Result<()> {
    file.new_dataset_builder().with_data(values).create(name)?;
    Ok(())
}

/// The recordings of a file that holds so many.
pub(crate) fn read_recordings(file: &Group, count: usize) -> hdf5::Result<Vec<Recording>> {
    let ids = column::<VarLenUnicode>(file, "id", count)?;
    let speakers = column::<VarLenUnicode>(file, "speaker", count)?;
    let labels = column::<i8>(file, "label", count)?;
    let digits = column::<i8>(file, "digit", count)?;
    let sex = |label: i8| match label {
        -1 => Ok(None),
        0 => Ok(Some(Sex::Male)),
        1 => Ok(Some(Sex::Female)),
        _ => Err("a label is neither 0 nor 1"),
    };
    (0..count)
        .map(|i| {
            Ok(Recording {
                id: ids[i].to_string(),
                speaker: speakers[i].to_string(),
                sex: sex(labels[i])?,
                digit: u8::try_from(digits[i]).ok(),
            })
        })
        .collect()
}

/// Opens a file of this format; `read` gets the file and its key.
pub(crate) fn open<S>(
    path: &Path,
    format: &str,
    read: impl FnOnce(&File, String) -> hdf5::Result<S>,
) -> Result<S> {
    if !path.exists() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io(path)(missing));
    }
    let open = || -> hdf5::Result<S> {
        let file = File::open(path)?;
        if attribute(&file, "format")? != format {
            return Err("another format".into());
        }
        let key = attribute(&file, "key")?;
        read(&file, key)
    };
    open().map_err(|e| {
        let reason = format!(
            "not a whole SpeechLens feature store ({e}); delete it, and it will be computed again"
        );
        Error::malformed(path, reason)
    })
}

/// Opens the file at `path` if it has the key. If there is none, or if it has another, it is computed.
pub(crate) fn open_or_compute<S>(
    path: &Path,
    key: &str,
    open: impl Fn(&Path) -> Result<S>,
    key_of: impl Fn(&S) -> &str,
    compute: impl FnOnce() -> Result<()>,
) -> Result<S> {
    if path.exists() {
        let store = open(path)?;
        if key_of(&store) == key {
            return Ok(store);
        }
    }
    compute()?;
    open(path)
}
