//! What can go wrong with data.

use std::path::{Path, PathBuf};

/// An error that names the file or the source, and the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}; check the path, its permissions and the free space", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A corpus, or a file of one, is not as its authors publish it.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A sound file cannot be read.
    #[error(transparent)]
    Audio(#[from] speechlens_audio::Error),
    /// A recording has no features.
    #[error("recording {id}: {source}")]
    Features {
        /// The recording.
        id: String,
        /// What the audio crate says.
        source: speechlens_audio::Error,
    },
    /// HDF5 cannot read or write a file.
    #[error("{}: {source}; check the free space, and that the file is whole", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What the HDF5 library says.
        source: hdf5::Error,
    },
    /// The corpus has not the speakers or recordings that were asked for.
    #[error("{0}")]
    TooFew(String),
    /// Speakers of whom the corpus does not tell what a task is about.
    #[error("{} of the speakers have no sex ({}): give the table that tells it (VoxCeleb's vox1_meta.csv or vox2_meta.csv) beside \
             the recordings", .0.len(), few(.0))]
    UnknownSex(Vec<String>),
    /// A recording is not what it was when its corpus was opened.
    #[error("recording {0}: shorter than when the corpus was opened; open it again")]
    Changed(String),
    /// What spectrograms were to be derived by.
    #[error(transparent)]
    Derived(Box<dyn std::error::Error + Send + Sync>),
    /// A source that is neither a word we know nor a folder.
    #[error(
        "{0}: no such folder; give the folder of AudioMNIST, LibriSpeech or VoxCeleb, or the word `synthetic` for the built-in voices"
    )]
    UnknownSource(String),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The first names of a list.
fn few(names: &[String]) -> String {
    let more = if names.len() > 3 { ", …" } else { "" };
    names[..names.len().min(3)].join(", ") + more
}

impl Error {
    /// For `map_err`: names the file of an [`std::io::Error`].
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        |source| Error::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// For `map_err`: names the file of an HDF5 error.
    pub(crate) fn hdf5(path: &Path) -> impl Fn(hdf5::Error) -> Error + '_ {
        |source| Error::Hdf5 {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Error {
        Error::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
