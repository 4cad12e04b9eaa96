//! What can go wrong with data.

use std::path::{Path, PathBuf};

use crate::left_out::{LeftOut, summary};

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
    /// A front end makes nothing of a recording.
    #[error("recording {id}: {source}")]
    FrontEnd {
        /// The recording.
        id: String,
        /// What the front end says.
        source: speechlens_frontend::Error,
    },
    /// All samples of a recording are 0: spectrograms are relative to the loudest bin, and there is none.
    #[error("recording {0}: silent throughout; record it again, or leave it out")]
    Silent(String),
    /// A recording has no piece.
    #[error("recording {0}: holds no sound of a quarter of a second; give longer ones")]
    NoPiece(String),
    /// A recording of music or noise cannot be read.
    #[error(transparent)]
    Clip(speechlens_audio::Error),
    /// HDF5 cannot read or write a file.
    #[error("{}: {source}; check the free space, and that the file is whole", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What the HDF5 library says.
        source: hdf5::Error,
    },
    /// A file is no feature store, or not a whole one.
    #[error("{}: not a whole SpeechLens feature store ({reason}); give the recordings themselves", path.display())]
    NoStore {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The corpus has not the speakers or recordings that were asked for.
    #[error("{0}")]
    TooFew(String),
    /// Speakers of whom the corpus does not tell what a task is about.
    #[error("{} of the speakers have no sex ({}): give the table that tells it (SPEAKERS.TXT, audioMNIST_meta.txt, vox1_meta.csv or \
             vox2_meta.csv) beside the recordings", .0.len(), few(.0))]
    UnknownSex(Vec<String>),
    /// Of the recordings that were asked for none can be used.
    #[error("none can be used of {}; the first: {}", summary(.0), .0.first().map_or("", |first| &first.message))]
    NothingUsable(Vec<LeftOut>),
    /// Something cannot be used, where that is not to be passed over.
    #[error("{}", .0.message)]
    Unusable(Box<LeftOut>),
    /// A recording is not what it was when its corpus was opened.
    #[error("recording {0}: shorter than when the corpus was opened; open it again")]
    Changed(String),
    /// The system has no folder for caches.
    #[error("there is no folder to keep features in: name one in the variable SPEECHLENS_CACHE")]
    NoCache,
    /// What the windows of a derived store were to be made by.
    #[error(transparent)]
    Derived(Box<dyn std::error::Error + Send + Sync>),
    /// A source that is neither a word we know nor a folder.
    #[error(
        "{0}: no such folder; give the folder of AudioMNIST, LibriSpeech, LibriTTS or VoxCeleb, or the word `synthetic` for the built-in voices"
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
    /// What cannot be used, where the error is about that.
    pub fn left_out(&self) -> Vec<LeftOut> {
        match self {
            Error::NothingUsable(left_out) => left_out.clone(),
            Error::Unusable(one) => vec![(**one).clone()],
            Error::FrontEnd { id, .. } => LeftOut::about(id, self).into_iter().collect(),
            _ => Vec::new(),
        }
    }

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
