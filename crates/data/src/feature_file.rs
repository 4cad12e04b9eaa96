//! What the feature stores share: a file that is computed once, by a key that says from what, the recordings in it, and those
//! that could not be used.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group};
use rayon::prelude::*;
use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording, Sex};
use crate::folder::has_ending;
use crate::hdf5_file::{
    Failure, attribute, column, dataset, write_atomically, write_attribute, write_text,
};
use crate::left_out::{LeftOut, sound, usable};
use crate::split::Part;
use crate::{Error, Result};

/// How every HDF5 file begins.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

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
    /// A hash over everything that a file's content depends on, and over no path.
    pub fn key(&self, format: &str, parameters: &[String]) -> String {
        let mut parts = vec![format.to_owned()];
        parts.extend_from_slice(parameters);
        parts.push(self.corpus.name().to_owned());
        for &index in self.indices {
            let recording = &self.corpus.recordings()[index];
            parts.push(recording.id.clone());
            parts.push(recording.speaker.clone());
            parts.push(recording.sex.map_or("unknown", Sex::name).to_owned());
            let fingerprint = self.corpus.fingerprint(index);
            // What has none cannot be read either.
            parts.push(fingerprint.unwrap_or_else(|error| error.to_string()));
            let part = recording.part.map(Part::name);
            parts.extend(
                recording
                    .class
                    .as_deref()
                    .map(|class| format!("class {class}")),
            );
            parts.extend(part.map(|part| format!("part {part}")));
        }
        hash(parts)
    }

    /// Computes the features of every recording that can be used, so many in memory at a time, and gives each to `keep` with its
    /// place in `indices`. Errors of `one` name the recording.
    pub fn compute<T: Send, E: From<Error>>(
        &self,
        at_a_time: usize,
        one: impl Fn(&Recording, &Audio) -> Result<T> + Sync,
        mut keep: impl FnMut(usize, T) -> Result<(), E>,
    ) -> Result<Content<'_>, E> {
        let done = AtomicUsize::new(0);
        let recording = |place: usize| &self.corpus.recordings()[self.indices[place]];
        let one = |&place: &usize| -> Result<_> {
            let recording = recording(place);
            let made = sound(self.corpus, self.indices[place]);
            let made = made.and_then(|audio| one(recording, &audio));
            (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1);
            usable(self.corpus, recording, made)
        };
        // In the corpus's order: neighbours may come from one file, which is decoded once.
        let mut order: Vec<usize> = (0..self.indices.len()).collect();
        order.sort_by_key(|&place| self.indices[place]);
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for places in order.chunks(at_a_time) {
            let made: Vec<Result<_>> = places.par_iter().map(one).collect();
            for (&place, made) in places.iter().zip(made) {
                match made? {
                    Ok(features) => {
                        keep(place, features)?;
                        kept.push(place);
                    }
                    Err(unusable) => left_out.push((place, unusable)),
                }
            }
        }
        left_out.sort_by_key(|(place, _)| *place);
        let left_out: Vec<LeftOut> = left_out.into_iter().map(|(_, one)| one).collect();
        if kept.is_empty() && !left_out.is_empty() {
            return Err(Error::NothingUsable(left_out).into());
        }
        kept.sort_unstable();
        Ok(Content {
            recordings: kept.iter().map(|place| recording(*place)).collect(),
            kept,
            left_out,
        })
    }
}

/// What a file holds the features of.
pub(crate) struct Content<'a> {
    /// Places among those that were asked for, in their order.
    pub kept: Vec<usize>,
    /// The recordings there.
    pub recordings: Vec<&'a Recording>,
    /// What of those that were asked for cannot be used.
    pub left_out: Vec<LeftOut>,
}

impl Content<'_> {
    /// Of a column over all that were asked for, what belongs to those that are kept.
    pub fn of<T: Clone>(&self, column: &[T]) -> Vec<T> {
        self.kept
            .iter()
            .map(|place| column[*place].clone())
            .collect()
    }

    /// Writes the recordings (`id`, `speaker`, `label`: 0 male, 1 female, −1 unknown, `digit`: −1 for none; of a task `class` and
    /// `part`, which may be empty), and what is left out
    /// (`left_out_id`, `left_out_reason`, `left_out_message`).
    fn write(&self, file: &File) -> hdf5::Result<()> {
        let recordings = || self.recordings.iter();
        write_text(file, "id", recordings().map(|r| r.id.as_str()))?;
        write_text(file, "speaker", recordings().map(|r| r.speaker.as_str()))?;
        let labels = recordings().map(|r| r.sex.map_or(-1, |sex| sex as i8));
        let digits = recordings().map(|r| r.digit.map_or(-1, |d| d as i8));
        write_column(file, "label", &labels.collect::<Vec<_>>())?;
        write_column(file, "digit", &digits.collect::<Vec<_>>())?;
        if recordings().any(|r| r.class.is_some()) {
            let classes = recordings().map(|r| r.class.as_deref().unwrap_or_default());
            write_text(file, "class", classes)?;
            let parts = recordings().map(|r| r.part.map_or("", Part::name));
            write_text(file, "part", parts)?;
        }
        let left_out = || self.left_out.iter();
        write_text(file, "left_out_id", left_out().map(|one| one.id.as_str()))?;
        let reasons = left_out().map(|one| one.reason.words());
        write_text(file, "left_out_reason", reasons)?;
        let messages = left_out().map(|one| one.message.as_str());
        write_text(file, "left_out_message", messages)
    }
}

/// Writes a file with its format and key, where it comes from, what `features` writes, and the recordings.
pub(crate) fn write<'a>(
    path: &Path,
    [format, key, origin]: [&str; 3],
    features: impl FnOnce(&File) -> Result<Content<'a>, Failure>,
) -> Result<()> {
    write_atomically(path, |file| {
        write_attribute(file, "format", format)?;
        write_attribute(file, "key", key)?;
        write_attribute(file, "origin", origin)?;
        features(file)?.write(file)?;
        Ok(())
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
    let of_task = |name: &str| match file.link_exists(name) {
        true => column::<VarLenUnicode>(file, name, count),
        false => Ok(Vec::new()),
    };
    let (classes, parts) = (of_task("class")?, of_task("part")?);
    let told = |texts: &[VarLenUnicode], i: usize| {
        let text = texts.get(i).map(|text| text.to_string());
        text.filter(|text| !text.is_empty())
    };
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
                class: told(&classes, i),
                part: told(&parts, i).map(|part| part.parse()).transpose()?,
            })
        })
        .collect()
}

/// What of the recordings that a file was made of could not be used.
pub(crate) fn read_left_out(file: &Group) -> hdf5::Result<Vec<LeftOut>> {
    let count = dataset(file, "left_out_id")?.size();
    let read = |name: &str| column::<VarLenUnicode>(file, name, count);
    let (ids, reasons) = (read("left_out_id")?, read("left_out_reason")?);
    let messages = read("left_out_message")?;
    (0..count)
        .map(|i| {
            Ok(LeftOut {
                id: ids[i].to_string(),
                reason: reasons[i].parse()?,
                message: messages[i].to_string(),
            })
        })
        .collect()
}

/// Opens a file of one of these formats; `read` gets the file and its key.
pub(crate) fn open<S>(
    path: &Path,
    formats: &[&str],
    read: impl FnOnce(&File, String) -> hdf5::Result<S>,
) -> Result<S> {
    let mut signature = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            file.take(SIGNATURE.len() as u64)
                .read_to_end(&mut signature)
        })
        .map_err(Error::io(path))?;
    let open = || -> hdf5::Result<S> {
        if signature != SIGNATURE {
            return Err("no HDF5 file".into());
        }
        let file = File::open(path)?;
        let found = attribute(&file, "format")?;
        if !formats.contains(&found.as_str()) {
            let known = formats.join("` or `");
            return Err(format!("of the format `{found}`, not `{known}`").into());
        }
        let key = attribute(&file, "key")?;
        read(&file, key)
    };
    open().map_err(|e| Error::NoStore {
        path: path.to_owned(),
        reason: e.to_string(),
    })
}

/// Digits of a key that are in a file's name.
const DIGITS: usize = 16;

/// Where the store that is called so and has the key lies in a folder of many.
pub(crate) fn in_cache(folder: &Path, name: &str, key: &str) -> PathBuf {
    folder.join(format!("{name}-{}.h5", &key[..DIGITS]))
}

/// Whether a file is named as [`in_cache`] names them.
pub(crate) fn is_cached(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let digits = stem.rsplit_once('-').map_or("", |(_, digits)| digits);
    has_ending(path, "h5")
        && digits.len() == DIGITS
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}
