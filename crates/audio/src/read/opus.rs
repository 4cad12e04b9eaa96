//! Opus, by libopus.

use opusic_c::{Channels, Decoder, SampleRate};
use symphonia::core::packet::Packet;

use super::{Fault, Mono};

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
    /// From an identification header (RFC 7845, section 5.1).
    pub fn new(head: &[u8], at_named_rate: bool) -> Result<Self, Fault> {
        let broken = || Fault::Damaged("its Opus header is broken".into());
        let field = |range: std::ops::Range<usize>| head.get(range).ok_or_else(broken);
        let channels = usize::from(field(9..10)?[0]);
        let delay = field(10..12)?;
        let named = field(12..16)?;
        let gain = field(16..18)?;
        let gain = i16::from_le_bytes([gain[0], gain[1]]);
        let named = u32::from_le_bytes([named[0], named[1], named[2], named[3]]);
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
            added: [u16::from_le_bytes([delay[0], delay[1]]).into(), 0],
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

    /// Cuts what the encoder added.
    pub fn cut(&self, mono: &mut Mono) {
        let own = |samples: u64| (samples * u64::from(self.rate) / u64::from(CLOCK)) as usize;
        let [start, end] = self.added.map(own);
        let samples = &mut mono.samples;
        samples.truncate(samples.len().saturating_sub(end));
        samples.drain(..start.min(samples.len()));
    }
}
