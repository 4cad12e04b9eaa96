//! Recordings from files: WAV by hound, the others by Symphonia.

use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek};
use std::{fs::File, path::Path, sync::Arc};

use hound::{SampleFormat, WavReader};
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    errors::Error as Symphonia,
    formats::{TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream},
};

use crate::{Audio, Error, Result};

/// The longest recording that [`read()`] takes, in seconds: two hours.
pub const LONGEST: f64 = 7200.0;

/// Reads a recording of at most [`LONGEST`] and mixes it down to mono by the mean of its channels.
///
/// WAV (8, 16, 24 and 32-bit integers, 32 and 64-bit float), FLAC, MP3, AAC in MP4 (`.m4a`) and Ogg Vorbis are told apart by
/// content, not by name. FLAC is checked against its own checksum.
///
/// # Errors
/// If the file cannot be opened, is empty, is no such format, ends early, is too long, or holds samples that are not finite.
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

fn read_source(
    path: &Path,
    seconds: f64,
    open: &dyn Fn() -> io::Result<Box<dyn MediaSource>>,
) -> Result<Audio> {
    let unreadable = |source| Error::Open {
        path: path.into(),
        source,
    };
    let mut file = open().map_err(unreadable)?;
    let mut magic = Vec::new();
    file.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;

    let sound = match magic.as_slice() {
        b"" => return Err(Error::Empty { path: path.into() }),
        // hound reads no 64-bit float; Symphonia does.
        b"RIFF" => match (read_wav(file, seconds), open()) {
            (Err(Fault::Format(reason)), Ok(again)) => {
                decode(again, seconds).map_err(|fault| match fault {
                    Fault::TooLong => Fault::TooLong,
                    _ => Fault::Format(reason),
                })
            }
            (sound, _) => sound,
        },
        _ => decode(file, seconds),
    };
    let Mono { samples, rate } = sound.map_err(|fault| match fault {
        Fault::Format(reason) => Error::Format {
            path: path.into(),
            reason,
        },
        Fault::Damaged(reason) => Error::Damaged {
            path: path.into(),
            reason,
        },
        Fault::TooLong => Error::TooLongFile {
            path: path.into(),
            seconds,
        },
    })?;
    if samples.is_empty() {
        return Err(Error::Empty { path: path.into() });
    }
    match samples.iter().position(|s| !s.is_finite()) {
        Some(index) => Err(Error::NonFinite {
            path: path.into(),
            index,
        }),
        None => Ok(Audio { samples, rate }),
    }
}

/// A recording as its channels are mixed down: packet by packet, so that many channels take no more memory than one.
struct Mono {
    samples: Vec<f32>,
    rate: u32,
}

enum Fault {
    Format(String),
    Damaged(String),
    TooLong,
}

/// How many samples the seconds have, if the file's own claims make sense.
fn most_samples(channels: usize, rate: u32, seconds: f64) -> std::result::Result<usize, Fault> {
    match rate > 0 && channels > 0 {
        true => Ok((f64::from(rate) * seconds) as usize),
        false => Err(Fault::Format(format!(
            "it claims {channels} channels at {rate} Hz"
        ))),
    }
}

fn mean(frame: &[f32]) -> f32 {
    match frame {
        [one] => *one,
        frame => frame.iter().sum::<f32>() / frame.len() as f32,
    }
}

fn read_wav(file: Box<dyn MediaSource>, seconds: f64) -> std::result::Result<Mono, Fault> {
    let wav_fault = |e| match e {
        hound::Error::IoError(e) => Fault::Damaged(e.to_string()),
        e => Fault::Format(e.to_string()),
    };
    let bytes = file.byte_len().unwrap_or(u64::MAX);
    let mut reader = WavReader::new(BufReader::new(file)).map_err(wav_fault)?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    let most = most_samples(channels, spec.sample_rate, seconds)?;
    // What a header claims beyond the file's end is not there.
    let frame_bytes = (u64::from(spec.bits_per_sample.div_ceil(8)) * channels as u64).max(1);
    if u64::from(reader.duration()).min(bytes / frame_bytes) > most as u64 {
        return Err(Fault::TooLong);
    }
    let mut samples = Vec::new();
    let mut frame = Vec::with_capacity(channels);
    let mut take = |sample: f32| {
        frame.push(sample);
        if frame.len() == channels {
            samples.push(mean(&frame));
            frame.clear();
        }
    };
    match spec.sample_format {
        SampleFormat::Float => {
            for sample in reader.samples::<f32>() {
                take(sample.map_err(wav_fault)?);
            }
        }
        SampleFormat::Int => {
            let scale = 0.5f64.powi(i32::from(spec.bits_per_sample) - 1);
            for sample in reader.samples::<i32>() {
                take((f64::from(sample.map_err(wav_fault)?) * scale) as f32);
            }
        }
    }
    Ok(Mono {
        samples,
        rate: spec.sample_rate,
    })
}

fn decode(file: Box<dyn MediaSource>, seconds: f64) -> std::result::Result<Mono, Fault> {
    let stream = MediaSourceStream::new(file, Default::default());
    let mut container = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(|e| Fault::Format(e.to_string()))?;
    let no_sound = || Fault::Format("it has no sound track".into());
    let track = container
        .default_track(TrackType::Audio)
        .ok_or_else(no_sound)?;
    let id = track.id;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|p| p.audio())
        .ok_or_else(no_sound)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default().verify(true))
        .map_err(|e| Fault::Format(e.to_string()))?;

    let (mut samples, mut packet_samples) = (Vec::<f32>::new(), Vec::<f32>::new());
    let mut shape = None;
    while let Some(packet) = container.next_packet().map_err(fault)? {
        if packet.track_id != id {
            continue;
        }
        let buffer = decoder.decode(&packet).map_err(fault)?;
        let this = (buffer.spec().channels().count(), buffer.spec().rate());
        if *shape.get_or_insert(this) != this {
            return Err(Fault::Format(
                "its channels or its sampling rate change on the way".into(),
            ));
        }
        let (channels, rate) = this;
        let most = most_samples(channels, rate, seconds)?;
        buffer.copy_to_vec_interleaved(&mut packet_samples);
        samples.extend(packet_samples.chunks_exact(channels).map(mean));
        if samples.len() > most {
            return Err(Fault::TooLong);
        }
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(Fault::Damaged(
            "its checksum does not match its sound".into(),
        ));
    }
    let (_, rate) = shape.ok_or_else(|| Fault::Damaged("nothing in it could be decoded".into()))?;
    Ok(Mono { samples, rate })
}

fn fault(error: Symphonia) -> Fault {
    match error {
        Symphonia::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Fault::Damaged("it ends early".into())
        }
        Symphonia::IoError(_) | Symphonia::DecodeError(_) => Fault::Damaged(error.to_string()),
        Symphonia::ResetRequired => Fault::Format("it is a chain of several recordings".into()),
        _ => Fault::Format(error.to_string()),
    }
}
