//! What can go wrong, and what to do about it.

use std::{io, path::PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Minutes where there are some.
fn duration(seconds: f64) -> String {
    match seconds >= 120.0 {
        true => format!("{:.0} minutes", seconds / 60.0),
        false => format!("{seconds:.0} s"),
    }
}

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, or may not be read.
    #[error("{}: cannot be read ({source}); check the path and its permissions", path.display())]
    Open {
        /// The recording.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file, or the sound in it, has no samples at all.
    #[error("{}: holds no sound; record or download it again", path.display())]
    Empty {
        /// The recording.
        path: PathBuf,
    },
    /// Not a format, or not a variant of it, that can be decoded.
    #[error(
        "{}: not a recording that can be decoded ({reason}); \
         convert it with `ffmpeg -i INPUT OUTPUT.wav`", path.display()
    )]
    Format {
        /// The recording.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A format that is known and cannot be decoded.
    #[error("{}: is {format}, which is not read; convert it with `ffmpeg -i INPUT OUTPUT.wav`", path.display())]
    Unread {
        /// The recording.
        path: PathBuf,
        /// What it is.
        format: String,
    },
    /// Channels with sound whose mean has none.
    #[error(
        "{}: its channels cancel each other when they are mixed to one; give one of them, as `sox INPUT OUTPUT.wav remix 1` does",
        path.display()
    )]
    Cancels {
        /// The recording.
        path: PathBuf,
    },
    /// The file ends early or its content is broken.
    #[error("{}: truncated or damaged ({reason}); copy or download it again", path.display())]
    Damaged {
        /// The recording.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The file lasts longer than it may.
    #[error("{}: lasts longer than {}; cut it into parts", path.display(), duration(*seconds))]
    TooLongFile {
        /// The recording.
        path: PathBuf,
        /// The longest that is read, in seconds.
        seconds: f64,
    },
    /// A sample is infinite or not a number.
    #[error("{}: sample {index} is not a finite number; export it again", path.display())]
    NonFinite {
        /// The recording.
        path: PathBuf,
        /// The first such sample.
        index: usize,
    },
    /// A file could not be written.
    #[error("{}: cannot be written ({source}); check the folder, its permissions and the free space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The recording is longer than what is made of one.
    #[error("the recording lasts {seconds:.3} s, but {most} s is the most; cut it")]
    TooLong {
        /// Its length in seconds.
        seconds: f64,
        /// The longest, in seconds.
        most: f64,
    },
    /// The recording does not fill a frame of a filterbank.
    #[error("the recording lasts {seconds:.3} s, but a frame takes 0.025 s; use a longer one")]
    TooShort {
        /// Its length in seconds.
        seconds: f64,
    },
    /// Features of nothing.
    #[error("the recording holds no samples; use one that does")]
    NoSamples,
    /// A sampling rate of zero.
    #[error("the recording's sampling rate is 0 Hz; give the true one")]
    NoRate,
    /// A sample of the recording is infinite or not a number.
    #[error("sample {0} of the recording is not a finite number; export it again")]
    NonFiniteSample(usize),
    /// A view whose windows leave samples out.
    #[error(
        "a window of {window} samples every {hop} leaves samples unseen; let windows overlap, as 512 every 128 do"
    )]
    View {
        /// The window's length, in samples.
        window: usize,
        /// From one window to the next, in samples.
        hop: usize,
    },
}
