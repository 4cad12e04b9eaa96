//! Opus, by libopus.

use opusic_c::{Channels, Decoder, SampleRate};
use symphonia::core::packet::Packet;

use super::Fault;
use super::gapless::Added;

/// The rate of time stamps and of the header's numbers, whatever sound is decoded at.
const CLOCK: u32 = 48_000;
/// The longest packet, in samples of [`CLOCK`]: 120 ms.
const PACKET: usize = 5760;

/// A decoder with what its header says.
pub(super) struct Opus {
    decoder: Decoder,
    channels: usize,
    rate: u32,
    /// Samples of [`CLOCK`] at the start and at the end that the encoder added.
    added: [u64; 2],
}

impl Opus {
    /// From an identification header (RFC 7845, section 5.1; in MP4 that of the encapsulation of Opus in ISO media, section 4.3.2).
    pub fn new(head: &[u8], at_named_rate: bool) -> Result<Self, Fault> {
        let broken = || Fault::Damaged("its Opus header is broken".into());
        let field = |range: std::ops::Range<usize>| head.get(range).ok_or_else(broken);
        // MP4 has another version of it, the bytes of its numbers in another order.
        let is_mp4 = field(8..9)? == [0];
        let number = |range: std::ops::Range<usize>| {
            let bytes = field(range)?.iter();
            let place = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
            Ok(match is_mp4 {
                true => bytes.fold(0, place),
                false => bytes.rev().fold(0, place),
            })
        };
        let channels = usize::from(field(9..10)?[0]);
        let delay = number(10..12)?;
        let named = number(12..16)?;
        let gain = number(16..18)? as u16 as i16;
        let rate = match named {
            8_000 => SampleRate::Hz8000,
            12_000 => SampleRate::Hz12000,
            16_000 => SampleRate::Hz16000,
            24_000 => SampleRate::Hz24000,
            _ => SampleRate::Hz48000,
        };
        let rate = if at_named_rate {
            rate
        } else {
            SampleRate::Hz48000
        };
        let layout = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            _ => return Err(Fault::Unread(format!("Opus of {channels} channels"))),
        };
        let failed = |error: opusic_c::ErrorCode| Fault::Damaged(error.message().to_owned());
        let mut decoder = Decoder::new(layout, rate).map_err(failed)?;
        decoder.set_gain(gain.into()).map_err(failed)?;
        Ok(Opus {
            decoder,
            channels,
            rate: rate as u32,
            added: [delay.into(), 0],
        })
    }

    /// The channels and the rate of a packet, and its samples, channel beside channel.
    pub fn decode(
        &mut self,
        packet: &Packet,
        samples: &mut Vec<f32>,
    ) -> Result<(usize, u32), Fault> {
        samples.clear();
        samples.resize(PACKET * self.channels, 0.0);
        let decoded = self
            .decoder
            .decode_float_to_slice(&packet.data, samples, false);
        let frames = decoded.map_err(|error| Fault::Damaged(error.message().to_owned()))?;
        samples.truncate(frames * self.channels);
        self.added[1] += packet.trim_end.get();
        Ok((self.channels, self.rate))
    }

    /// What the encoder added.
    pub fn added(&self) -> Added {
        let own = |samples: u64| samples * u64::from(self.rate) / u64::from(CLOCK);
        let [start, end] = self.added.map(own);
        Added { start, end }
    }
}
