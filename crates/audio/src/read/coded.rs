//! Compressed recordings, by Symphonia.

use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe};

use symphonia::core::{
    codecs::audio::{
        AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO, well_known,
    },
    errors::Error as Symphonia,
    formats::{TrackType, probe::Hint, well_known::FORMAT_ID_MP3},
    io::{MediaSource, MediaSourceStream},
    packet::Packet,
};

use super::gapless::{self, Added};
use super::opus::Opus;
use super::{Fault, Mono};

/// A recording with what its coder added.
pub(super) struct Decoded {
    pub mono: Mono,
    /// Which of the file's tracks it is.
    pub track: u32,
    pub added: Added,
}

/// Decodes a recording. Opus comes at the rate that its header names, if `at_named_rate`.
pub(super) fn decode(
    file: Box<dyn MediaSource>,
    at_named_rate: bool,
    seconds: f64,
) -> Result<Decoded, Fault> {
    // Symphonia panics at some damage, as at codes of Vorbis longer than 32 bits: one file must not end the reading of many.
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| {
        decode_or_panic(file, at_named_rate, seconds)
    }));
    decoded.unwrap_or_else(|_| Err(Fault::Damaged("its decoder failed".into())))
}

fn decode_or_panic(
    file: Box<dyn MediaSource>,
    at_named_rate: bool,
    seconds: f64,
) -> Result<Decoded, Fault> {
    let stream = MediaSourceStream::new(file, Default::default());
    let mut container = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(|error| match error {
            // Before its first sample.
            Symphonia::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Fault::Empty,
            error => Fault::Format(error.to_string()),
        })?;
    let no_sound = || Fault::Format("it has no sound track".into());
    let track = container
        .default_track(TrackType::Audio)
        .or_else(|| container.first_track(TrackType::Audio))
        .ok_or_else(no_sound)?
        .clone();
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio());
    let is_mp3 = container.format_info().format == FORMAT_ID_MP3;
    // Symphonia would cut at the end what it expects MP3 not to have: by an estimate, where no tag tells.
    let mut decoder = Decoder::new(parameters.ok_or_else(no_sound)?, at_named_rate, !is_mp3)?;

    let (mut mono, mut packet_samples) = (None::<Mono>, Vec::<f32>::new());
    while let Some(packet) = container.next_packet().map_err(fault)? {
        if packet.track_id != track.id {
            continue;
        }
        let (channels, rate) = decoder.decode(&packet, &mut packet_samples)?;
        let mono = match &mut mono {
            Some(mono) => mono,
            None => mono.insert(Mono::new(channels, rate, seconds)?),
        };
        if (mono.channels, mono.rate) != (channels, rate) {
            return Err(Fault::Format(
                "its channels or its sampling rate change on the way".into(),
            ));
        }
        mono.extend(&packet_samples)?;
    }
    decoder.check()?;
    let mono = mono.ok_or(match track.num_frames {
        None | Some(0) => Fault::Empty,
        Some(_) => Fault::early(),
    })?;
    let found = mono.samples.len() as u64;
    let mut by_itunes = || Added::by_itunes(&gapless::itunes(&mut *container)?, is_mp3, found);
    let added = match &decoder {
        Decoder::Opus(opus) => Some(opus.added()),
        _ if is_mp3 => Added::by_lame(&track, found).or_else(&mut by_itunes),
        _ => by_itunes(),
    };
    Ok(Decoded {
        mono,
        track: track.id,
        added: added.unwrap_or_default(),
    })
}

/// What decodes a track.
enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Opus),
}

impl Decoder {
    fn new(
        parameters: &AudioCodecParameters,
        at_named_rate: bool,
        gapless: bool,
    ) -> Result<Self, Fault> {
        if parameters.codec == well_known::CODEC_ID_OPUS {
            let head = parameters.extra_data.as_deref().unwrap_or_default();
            return Ok(Decoder::Opus(Opus::new(head, at_named_rate)?));
        }
        if let Some(name) = unread(parameters) {
            return Err(Fault::Unread(name));
        }
        let options = AudioDecoderOptions::default().verify(true).gapless(gapless);
        symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &options)
            .map(Decoder::Symphonia)
            .map_err(|error| Fault::Format(error.to_string()))
    }

    /// The channels and the rate of a packet, and its samples, channel beside channel.
    fn decode(&mut self, packet: &Packet, samples: &mut Vec<f32>) -> Result<(usize, u32), Fault> {
        match self {
            Decoder::Symphonia(decoder) => {
                let buffer = decoder.decode(packet).map_err(fault)?;
                buffer.copy_to_vec_interleaved(samples);
                Ok((buffer.spec().channels().count(), buffer.spec().rate()))
            }
            Decoder::Opus(opus) => opus.decode(packet, samples),
        }
    }

    /// Holds the sound against its checksum, if it has one.
    fn check(&mut self) -> Result<(), Fault> {
        let Decoder::Symphonia(decoder) = self else {
            return Ok(());
        };
        match decoder.finalize().verify_ok {
            Some(false) => Err(Fault::Damaged(
                "its checksum does not match its sound".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// What a coding is called that Symphonia finds in containers and does not decode, or not rightly.
fn unread(parameters: &AudioCodecParameters) -> Option<String> {
    use well_known::*;
    let channels = parameters.channels.as_ref().map_or(0, |c| c.count());
    Some(match parameters.codec {
        CODEC_ID_AAC if is_high_efficiency(parameters) => "HE-AAC".into(),
        CODEC_ID_AAC if channels > 2 => format!("AAC of {channels} channels"),
        // Symphonia undoes the coupling of channels in the order in which it was done: only a single pair comes out right.
        CODEC_ID_VORBIS if channels > 2 => format!("Vorbis of {channels} channels"),
        CODEC_ID_NULL_AUDIO => "a container of a coding that is not known".into(),
        CODEC_ID_AC3 => "AC-3".into(),
        CODEC_ID_EAC3 => "E-AC-3".into(),
        CODEC_ID_SPEEX => "Speex".into(),
        CODEC_ID_MUSEPACK => "Musepack".into(),
        CODEC_ID_WAVPACK => "WavPack".into(),
        CODEC_ID_WMA => "Windows Media Audio".into(),
        CODEC_ID_DCA => "DTS".into(),
        CODEC_ID_AC4 => "AC-4".into(),
        _ => return None,
    })
}

/// Whether AAC has its upper half coded by replication (ISO/IEC 14496-3: object type 5 or 29, or the extension 0x2B7 behind
/// another type), of which Symphonia decodes the lower half alone.
fn is_high_efficiency(parameters: &AudioCodecParameters) -> bool {
    let Some(config) = parameters.extra_data.as_deref() else {
        return false;
    };
    if config.is_empty() {
        return false;
    }
    let bits = |from: usize, count: usize| {
        let bit = |at: usize| {
            let byte = config.get(at / 8).copied().unwrap_or(0);
            u32::from(byte >> (7 - at % 8) & 1)
        };
        (from..from + count).fold(0, |value, at| value << 1 | bit(at))
    };
    let object = bits(0, 5);
    // Of the low-complexity type 16 bits come before the extension, if its rate is one of the table.
    let replicated = bits(16, 11) == 0x2B7 && bits(27, 5) == 5 && bits(32, 1) == 1;
    object == 5 || object == 29 || (object == 2 && bits(5, 4) != 15 && replicated)
}

pub(super) fn fault(error: Symphonia) -> Fault {
    match error {
        Symphonia::IoError(error) => Fault::io(error),
        Symphonia::DecodeError(_) => Fault::Damaged(error.to_string()),
        Symphonia::ResetRequired => Fault::Format("it is a chain of several recordings".into()),
        _ => Fault::Format(error.to_string()),
    }
}
