//! Recordings from files. Uncompressed samples are read here, a file a container; all else by Symphonia, and Opus by libopus.

mod aiff;
mod au;
mod bytes;
mod caf;
mod coded;
mod edits;
mod gapless;
mod opus;
mod pcm;
mod riff;
mod sphere;
mod untagged;
mod webm;

use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek};
use std::{fs::File, path::Path, sync::Arc};

use symphonia::core::io::MediaSource;

use crate::{Audio, Error, Result};

/// The longest recording that [`read()`] takes, in seconds: two hours.
pub const LONGEST: f64 = 7200.0;

/// How the names of files that [`read()`] takes end, in small letters: what to look for in folders.
pub const ENDINGS: [&str; 26] = [
    "wav", "wave", "rf64", "bw64", "w64", "aif", "aiff", "aifc", "au", "snd", "sph", "nist", "wv1",
    "caf", "flac", "mp3", "m4a", "m4b", "mp4", "mov", "aac", "ogg", "oga", "opus", "webm", "mka",
];

/// Whether the name of a file ends in one of [`ENDINGS`], in letters of any case.
pub fn is_recording(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    ENDINGS.iter().any(|known| ending == *known)
}

/// Reads a recording of at most [`LONGEST`] and mixes it down to mono by the mean of its channels.
///
/// WAV in all its forms (RIFF, RF64, BW64, Wave64, RIFX; integers of 8 to 32 bits, 32 and 64-bit float, µ-law, A-law, ADPCM), AIFF
/// and AIFF-C, AU, CAF, NIST SPHERE, FLAC, MP3, AAC in MP4, MOV or by itself (ADTS), ALAC in MP4, Vorbis, Opus and FLAC in Ogg, and WebM are told apart by
/// content, not by name. Sizes that a program could not know, since it wrote to a pipe, are those of the file. What an encoder
/// adds at either end is cut, as edit lists, headers, and the tags of LAME and iTunes tell it; where nothing tells, as in MP3 without a
/// tag and in ADTS, all that is decoded stays, the coder's delay before it: LAME's 1105 samples, 1024 or more of AAC. FLAC is checked against its own checksum. Opus in Ogg comes at the
/// rate that its header names, if that is one of libopus's, else at 48 kHz.
///
/// # Errors
/// If the file cannot be opened, is empty, is of no format that is read, ends early, is too long, has channels that cancel
/// each other, or holds samples that are not finite.
pub fn read(path: impl AsRef<Path>) -> Result<Audio> {
    read_at_most(path, LONGEST)
}

/// [`read()`], of at most so many seconds: no more than these are ever decoded.
///
/// # Errors
/// As [`read()`].
pub fn read_at_most(path: impl AsRef<Path>, seconds: f64) -> Result<Audio> {
    let path = path.as_ref();
    read_source(path, seconds, &|| Ok(Box::new(File::open(path)?)))
}

/// [`read_at_most`], from memory. Errors call the recording by `name`.
///
/// # Errors
/// As [`read()`].
pub fn read_bytes(name: &str, bytes: &[u8], seconds: f64) -> Result<Audio> {
    let bytes: Arc<[u8]> = bytes.into();
    read_source(Path::new(name), seconds, &|| {
        Ok(Box::new(Cursor::new(bytes.clone())))
    })
}

/// Opens the file once more, at its beginning.
type Open<'a> = &'a dyn Fn() -> io::Result<Box<dyn MediaSource>>;

fn read_source(path: &Path, seconds: f64, open: Open) -> Result<Audio> {
    let unreadable = |source| Error::Open {
        path: path.into(),
        source,
    };
    let mut magic = Vec::new();
    let mut file = open().map_err(unreadable)?;
    file.by_ref()
        .take(16)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;
    if magic.is_empty() {
        return Err(Error::Empty { path: path.into() });
    }
    file.rewind().map_err(unreadable)?;

    let mono = decode(&magic, file, open, seconds).map_err(|fault| match fault {
        Fault::Format(reason) => Error::Format {
            path: path.into(),
            reason,
        },
        Fault::Unread(format) => Error::Unread {
            path: path.into(),
            format,
        },
        Fault::Damaged(reason) => Error::Damaged {
            path: path.into(),
            reason,
        },
        Fault::Empty => Error::Empty { path: path.into() },
        Fault::TooLong => Error::TooLongFile {
            path: path.into(),
            seconds,
        },
    })?;
    if mono.samples.is_empty() {
        return Err(Error::Empty { path: path.into() });
    }
    if let Some(index) = mono.samples.iter().position(|s| !s.is_finite()) {
        return Err(Error::NonFinite {
            path: path.into(),
            index,
        });
    }
    if mono.cancels() {
        return Err(Error::Cancels { path: path.into() });
    }
    Ok(Audio {
        samples: mono.samples,
        rate: mono.rate,
    })
}

/// What a container holds.
enum Opened {
    /// Samples as they are.
    Pcm(pcm::Pcm),
    /// Samples that Symphonia decodes.
    Coded,
    /// The same, once the file is so.
    Rewritten(Vec<u8>),
}

fn decode(
    magic: &[u8],
    mut file: Box<dyn MediaSource>,
    open: Open,
    seconds: f64,
) -> std::result::Result<Mono, Fault> {
    let at = |offset: usize, what: &[u8]| magic.get(offset..).is_some_and(|m| m.starts_with(what));
    let opened = if at(0, b"RIFF") && (at(8, b"WAVE") || magic.len() < 12)
        || [b"RIFX", b"RF64", b"BW64", b"riff"]
            .iter()
            .any(|m| at(0, *m))
    {
        riff::open(&mut file)?
    } else if at(0, b"FORM") && at(8, b"AIF") {
        aiff::open(&mut file)?
    } else if at(0, b".snd") || at(0, b"dns.") {
        au::open(&mut file)?
    } else if at(0, b"NIST_1A") {
        sphere::open(&mut file)?
    } else if at(0, b"caff") {
        caf::open(&mut file)?
    } else if let Some((.., name)) = UNREAD.iter().find(|(offset, m, _)| at(*offset, m)) {
        return Err(Fault::Unread((*name).to_owned()));
    } else {
        Opened::Coded
    };
    match opened {
        Opened::Pcm(pcm) => pcm.read(file, seconds),
        Opened::Rewritten(bytes) => {
            Ok(coded::decode(Box::new(Cursor::new(bytes)), false, seconds)?.mono)
        }
        Opened::Coded => {
            let again = || open().map_err(Fault::io);
            let edits = match at(4, b"ftyp") {
                true => edits::read(again()?),
                false => None,
            };
            let padding = match at(0, EBML) {
                true => webm::padding(BufReader::new(again()?)),
                false => 0.0,
            };
            let untagged = Box::new(untagged::Untagged::new(file).map_err(Fault::io)?);
            let decoded = coded::decode(untagged, at(0, b"OggS"), seconds);
            let is_known = CODED.iter().any(|(offset, m)| at(*offset, m));
            // An MP3 may begin anyhow; what is none must not be called a damaged one.
            let decoded = decoded.map_err(|fault| match fault {
                Fault::TooLong => fault,
                _ if is_known => fault,
                _ => Fault::Format("it is of no format that is read".into()),
            });
            let coded::Decoded {
                mut mono,
                track,
                added,
            } = decoded?;
            if !edits.is_some_and(|edits| edits.apply(track, &mut mono)) {
                added.cut(&mut mono);
            }
            let kept = mono.samples.len() as f64 - (padding * f64::from(mono.rate)).round();
            mono.samples.truncate(kept as usize);
            Ok(mono)
        }
    }
}

/// How WebM and Matroska begin.
const EBML: &[u8] = b"\x1A\x45\xDF\xA3";

/// How files begin that Symphonia decodes, and where.
const CODED: [(usize, &[u8]); 19] = [
    (0, b"RIFF"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"caff"),
    (0, b"ID3"),
    (0, EBML),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"\xFF\xFB"),
    (0, b"\xFF\xFA"),
    (0, b"\xFF\xF3"),
    (0, b"\xFF\xF2"),
    (0, b"\xFF\xE3"),
    (0, b"\xFF\xE2"),
    (0, b"\xFF\xF1"),
    (0, b"\xFF\xF9"),
    (0, b"\xFF\xF0"),
    (0, b"\xFF\xF8"),
];

/// How files begin that are sound but not read.
const UNREAD: [(usize, &[u8], &str); 15] = [
    (8, b"AVI ", "an AVI film"),
    (8, b"8SVX", "IFF 8SVX"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA", "True Audio"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"#!AMR", "AMR"),
    (0, b"DSD ", "DSD"),
    (0, b"FRM8", "DSDIFF"),
    (0, b"MThd", "MIDI, which has notes and no sound"),
    (0, b"Creative Voice File", "Creative Voice"),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "Windows Media"),
    (0, b".RMF", "RealMedia"),
];

/// A sampling rate that a header has as a number with fractions.
fn rate(claimed: f64) -> std::result::Result<u32, Fault> {
    match (1.0..=f64::from(u32::MAX)).contains(&claimed) {
        true => Ok(claimed.round() as u32),
        false => Err(Fault::Format(format!("it claims a rate of {claimed} Hz"))),
    }
}

/// A recording as its channels are mixed down: frame by frame, so that many channels take no more memory than one.
struct Mono {
    samples: Vec<f32>,
    rate: u32,
    channels: usize,
    /// The most samples that are taken.
    most: usize,
    /// The sums of squares of what went in, a channel's share each, and of what came out.
    power: [f64; 2],
}

impl Mono {
    fn new(channels: usize, rate: u32, seconds: f64) -> std::result::Result<Mono, Fault> {
        match rate > 0 && channels > 0 {
            true => Ok(Mono {
                samples: Vec::new(),
                rate,
                channels,
                most: (f64::from(rate) * seconds) as usize,
                power: [0.0; 2],
            }),
            false => Err(Fault::Format(format!(
                "it claims {channels} channels at {rate} Hz"
            ))),
        }
    }

    /// So many frames will come.
    fn expect(&mut self, frames: u64) -> std::result::Result<(), Fault> {
        if frames > self.most as u64 {
            return Err(Fault::TooLong);
        }
        self.samples.reserve(frames as usize);
        Ok(())
    }

    /// Takes whole frames, channel beside channel.
    fn extend(&mut self, samples: &[f32]) -> std::result::Result<(), Fault> {
        if samples.len() / self.channels > self.most - self.samples.len() {
            return Err(Fault::TooLong);
        }
        if self.channels == 1 {
            self.samples.extend_from_slice(samples);
            return Ok(());
        }
        let share = 1.0 / self.channels as f64;
        self.samples
            .extend(samples.chunks_exact(self.channels).map(|frame| {
                let mean = frame.iter().sum::<f32>() / frame.len() as f32;
                let power: f64 = frame.iter().map(|s| f64::from(s * s)).sum();
                self.power[0] += power * share;
                self.power[1] += f64::from(mean * mean);
                mean
            }));
        Ok(())
    }

    /// Whether the channels have sound and their mean has none: 60 dB less.
    fn cancels(&self) -> bool {
        self.channels > 1 && self.power[0] > 0.0 && self.power[1] < 1e-6 * self.power[0]
    }
}

/// Why a file gives no sound.
enum Fault {
    /// It makes no sense as what it claims to be.
    Format(String),
    /// It is of a format that is known and not read.
    Unread(String),
    Damaged(String),
    /// It has no samples.
    Empty,
    TooLong,
}

impl Fault {
    fn early() -> Fault {
        Fault::Damaged("it ends early".into())
    }

    fn io(error: io::Error) -> Fault {
        match error.kind() {
            ErrorKind::UnexpectedEof => Fault::early(),
            _ => Fault::Damaged(error.to_string()),
        }
    }
}
