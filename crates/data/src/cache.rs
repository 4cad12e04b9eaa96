//! Where features are kept that were computed once, so that they need not be again.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdf5::File;
use speechlens_frontend::FrontEnd;

use crate::folder::entries;
use speechlens_atomic::remove_all_partial;

use crate::hdf5_file::{attribute, dataset};
use crate::{Error, Result, feature_file, feature_store};

/// The variable that names the folder.
pub const VARIABLE: &str = "SPEECHLENS_CACHE";

/// A folder of stores that are beside each other, whatever they were made of and how.
pub struct Cache {
    folder: PathBuf,
}

/// A store in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What it holds; nothing if it is damaged.
    pub content: Option<Content>,
    /// Its size.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// `spectrograms`, `filterbanks`, or the name of a front end, `features` if it has none.
    pub features: &'static str,
    /// How many recordings.
    pub recordings: usize,
    /// Where they come from and what was done to them, in words.
    pub origin: String,
}

impl Cache {
    /// The cache in a folder, which need not be there.
    pub fn at(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// The user's: the folder that `$SPEECHLENS_CACHE` names, or `speechlens` in the system's folder of caches (`~/.cache`, on
    /// macOS `~/Library/Caches`).
    ///
    /// # Errors
    /// If there is no such folder, as where there is no home.
    pub fn of_user() -> Result<Cache> {
        let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let folder = named
            .map(PathBuf::from)
            .or_else(|| Some(dirs::cache_dir()?.join("speechlens")));
        folder.map(Cache::at).ok_or(Error::NoCache)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its stores, in the order of their names. Files that no store of a cache is called like are none of its own.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let paths = entries(&self.folder)?.into_iter();
        let stores = paths.filter(|path| feature_file::is_cached(path) && path.is_file());
        stores
            .map(|path| {
                let about = path.metadata().map_err(Error::io(&path))?;
                Ok(Entry {
                    content: content(&path).ok(),
                    bytes: about.len(),
                    used: about.modified().map_err(Error::io(&path))?,
                    path,
                })
            })
            .collect()
    }

    /// Removes its stores, or those that were not used for so long, and what was left of any that were being written; gives those
    /// that are gone.
    ///
    /// # Errors
    /// If the folder cannot be read, or a store cannot be removed.
    pub fn clear(&self, unused_for: Duration) -> Result<Vec<Entry>> {
        let now = SystemTime::now();
        let mut gone = self.entries()?;
        gone.retain(|entry| {
            let unused = now.duration_since(entry.used).unwrap_or_default();
            unused >= unused_for
        });
        for entry in &gone {
            std::fs::remove_file(&entry.path).map_err(Error::io(&entry.path))?;
        }
        if self.folder.exists() {
            remove_all_partial(&self.folder).map_err(Error::io(&self.folder))?;
        }
        Ok(gone)
    }
}

fn content(path: &Path) -> hdf5::Result<Content> {
    let file = File::open(path)?;
    let features = match attribute(&file, "format")?.as_str() {
        feature_store::SPECTROGRAMS => "spectrograms",
        feature_store::FILTERBANKS => "filterbanks",
        feature_store::FORMAT => FrontEnd::parse(&attribute(&file, "frontend")?)
            .ok()
            .and_then(|front_end| front_end.name())
            .unwrap_or("features"),
        _ => return Err("another format".into()),
    };
    Ok(Content {
        features,
        recordings: dataset(&file, "id")?.size(),
        origin: attribute(&file, "origin")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeatureStore, Synthetic};

    #[test]
    fn stores_of_all_kinds_are_beside_each_other_until_they_are_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        assert_eq!(cache.entries().unwrap(), []);
        assert_eq!(cache.clear(Duration::ZERO).unwrap(), []);
        let words = Synthetic::new(1, 3, 1);
        let cached = |indices: &[usize], seed| {
            let front_end = FrontEnd::load("thesis-spectrogram").unwrap();
            let computed = std::sync::atomic::AtomicUsize::new(0);
            let count = |_| {
                computed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            };
            let place = (cache.folder(), "words");
            let store = FeatureStore::cached(place, &words, indices, (&front_end, seed), &count);
            drop(store.unwrap());
            computed.into_inner()
        };
        // Whatever differs, none takes another's place.
        for _ in 0..2 {
            for (indices, seed) in [(&[0, 1][..], 1), (&[0, 1, 2], 1), (&[0, 1], 2)] {
                cached(indices, seed);
            }
        }
        assert_eq!([cached(&[0, 1], 1), cached(&[1, 0], 1)], [0, 2]);
        let voices = Synthetic::utterances(1, 1, 1);
        let front_end = FrontEnd::load("thesis-fbank").unwrap();
        let place = (cache.folder(), "voices");
        FeatureStore::cached(place, &voices, &[0], (&front_end, 1), &|_| ()).unwrap();
        let entries = cache.entries().unwrap();
        let about: Vec<_> = entries
            .iter()
            .map(|entry| entry.content.clone().unwrap())
            .map(|content| (content.features, content.recordings, content.origin))
            .collect();
        let of = |features, recordings| (features, recordings, "synthetic, seed 1".to_owned());
        assert_eq!(about.len(), 5);
        assert!(about[0] == of("thesis-fbank", 1) && about.contains(&of("thesis-spectrogram", 3)));

        // What is damaged is computed again.
        let damaged = entries.iter().find(|entry| {
            let content = entry.content.as_ref();
            content.is_some_and(|content| content.recordings == 3)
        });
        let damaged = &damaged.unwrap().path;
        std::fs::write(damaged, "half").unwrap();
        assert!(
            cache
                .entries()
                .unwrap()
                .iter()
                .any(|entry| entry.content.is_none())
        );
        assert_eq!([cached(&[0, 1, 2], 1), cached(&[0, 1, 2], 1)], [3, 0]);

        // Only what is its own is removed, and what was not used for longer.
        let day = Duration::from_secs(24 * 3600);
        let old = std::fs::File::options().append(true).open(damaged).unwrap();
        old.set_modified(SystemTime::now() - 3 * day).unwrap();
        for name in ["mine.h5", "notes.txt", ".words.h5.x.partial"] {
            std::fs::write(cache.folder().join(name), "mine").unwrap();
        }
        let gone = cache.clear(2 * day).unwrap();
        assert_eq!(gone.iter().map(|e| &e.path).collect::<Vec<_>>(), [damaged]);
        assert_eq!(cache.clear(Duration::ZERO).unwrap().len(), 4);
        let left = entries_of(cache.folder());
        assert_eq!(left, ["mine.h5", "notes.txt"]);
    }

    fn entries_of(folder: &Path) -> Vec<String> {
        let names = folder.read_dir().unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
