//! Recordings from files: WAV by hound, the others by Symphonia.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek},
    path::Path,
};

use hound::{SampleFormat, WavReader};
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    errors::Error as Symphonia,
    formats::{TrackType, probe::Hint},
    io::MediaSourceStream,
};

use crate::{Audio, Error, Result};

/// Reads a recording and mixes it down to mono by the mean of its channels.
///
/// WAV (8, 16, 24 and 32-bit integers, 32 and 64-bit float), FLAC, MP3, AAC in MP4 (`.m4a`) and Ogg Vorbis are told apart by
/// content, not by name. FLAC is checked against its own checksum.
///
/// # Errors
/// If the file cannot be opened, is empty, is no such format, ends early, or holds samples that are not finite.
pub fn read(path: impl AsRef<Path>) -> Result<Audio> {
    let path = path.as_ref();
    let open = |source| Error::Open {
        path: path.into(),
        source,
    };
    let mut file = File::open(path).map_err(open)?;
    let mut magic = Vec::new();
    file.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(open)?;
    file.rewind().map_err(open)?;

    let sound = match magic.as_slice() {
        b"" => return Err(Error::Empty { path: path.into() }),
        // hound reads no 64-bit float; Symphonia does.
        b"RIFF" => match (read_wav(file), File::open(path)) {
            (Err(Fault::Format(reason)), Ok(again)) => {
                decode(again).map_err(|_| Fault::Format(reason))
            }
            (sound, _) => sound,
        },
        _ => decode(file),
    };
    let Interleaved {
        samples,
        channels,
        rate,
    } = sound.map_err(|fault| match fault {
        Fault::Format(reason) => Error::Format {
            path: path.into(),
            reason,
        },
        Fault::Damaged(reason) => Error::Damaged {
            path: path.into(),
            reason,
        },
    })?;
    if rate == 0 || channels == 0 {
        let reason = format!("it claims {channels} channels at {rate} Hz");
        return Err(Error::Format {
            path: path.into(),
            reason,
        });
    }
    let samples = mix(samples, channels);
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

struct Interleaved {
    samples: Vec<f32>,
    channels: usize,
    rate: u32,
}

enum Fault {
    Format(String),
    Damaged(String),
}

fn mix(samples: Vec<f32>, channels: usize) -> Vec<f32> {
    if channels == 1 {
        return samples;
    }
    samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().sum::<f32>() / channels as f32)
        .collect()
}

fn read_wav(file: File) -> std::result::Result<Interleaved, Fault> {
    let mut reader = WavReader::new(BufReader::new(file)).map_err(|e| match e {
        hound::Error::IoError(e) => Fault::Damaged(e.to_string()),
        e => Fault::Format(e.to_string()),
    })?;
    let spec = reader.spec();
    let samples = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<hound::Result<Vec<f32>>>(),
        SampleFormat::Int => {
            let scale = 0.5f64.powi(i32::from(spec.bits_per_sample) - 1);
            reader
                .samples::<i32>()
                .map(|s| Ok((f64::from(s?) * scale) as f32))
                .collect()
        }
    };
    let samples = samples.map_err(|e| match e {
        hound::Error::IoError(e) => Fault::Damaged(e.to_string()),
        e => Fault::Format(e.to_string()),
    })?;
    Ok(Interleaved {
        samples,
        channels: spec.channels.into(),
        rate: spec.sample_rate,
    })
}

fn decode(file: File) -> std::result::Result<Interleaved, Fault> {
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
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
        buffer.copy_to_vec_interleaved(&mut packet_samples);
        samples.extend_from_slice(&packet_samples);
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(Fault::Damaged(
            "its checksum does not match its sound".into(),
        ));
    }
    let (channels, rate) =
        shape.ok_or_else(|| Fault::Damaged("nothing in it could be decoded".into()))?;
    Ok(Interleaved {
        samples,
        channels,
        rate,
    })
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
