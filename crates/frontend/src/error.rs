use std::io;
use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with a front end, and with a recording that it is given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a named front end nor a file.
    #[error("`{name}` is no front end and no file; there are {}, or give a TOML file", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The named front ends.
        known: Vec<&'static str>,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read ({source}); check the path and its permissions", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// It is no TOML, or does not have the fields of a front end.
    #[error("is no front end: {0}")]
    Toml(String),
    /// A stage that is not there, or has other parameters, or cannot follow the one before.
    #[error("stage {number} (`{op}`): {problem}")]
    Stage {
        /// Its place, from 1.
        number: usize,
        /// Its name.
        op: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A rate or a length that cannot be.
    #[error("{0}")]
    Setting(String),
    /// The recording itself.
    #[error(transparent)]
    Audio(#[from] speechlens_audio::Error),
    /// A recording that does not fit.
    #[error("the recording {0}")]
    Recording(String),
}
