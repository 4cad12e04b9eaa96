//! A corpus of files, a recording each: what every layout is read as.

use std::path::{Path, PathBuf};

use speechlens_audio::Audio;

use crate::corpus::{Corpus, Recording};
use crate::left_out::LeftOut;
use crate::{Result, folder};

/// The corpus in a folder, or that a table tells.
pub struct Files {
    name: String,
    origin: PathBuf,
    /// Of each recording.
    paths: Vec<PathBuf>,
    recordings: Vec<Recording>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Files {
    /// Without recordings. `origin` is the folder or the table.
    pub(crate) fn new(name: impl Into<String>, origin: &Path) -> Files {
        Files {
            name: name.into(),
            origin: origin.to_owned(),
            paths: Vec::new(),
            recordings: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, path: PathBuf, recording: Recording) {
        self.paths.push(path);
        self.recordings.push(recording);
    }
}

impl Corpus for Files {
    fn name(&self) -> &str {
        &self.name
    }

    fn recordings(&self) -> &[Recording] {
        &self.recordings
    }

    fn audio(&self, index: usize) -> Result<Audio> {
        Ok(speechlens_audio::read(&self.paths[index])?)
    }

    fn fingerprint(&self, index: usize) -> Result<String> {
        folder::stamp(&self.paths[index])
    }

    /// The path as the system knows it.
    fn origin(&self) -> String {
        let whole = self.origin.canonicalize();
        let path = whole.as_deref().unwrap_or(&self.origin);
        path.display().to_string()
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }
}
