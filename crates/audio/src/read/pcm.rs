//! Uncompressed samples, as every container of them holds them.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use super::{Fault, Mono};

/// Where a container's samples lie, and how they are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pcm {
    pub channels: usize,
    /// Samples a second.
    pub rate: u32,
    pub coding: Coding,
    pub order: Order,
    /// The bytes of the file that hold them.
    pub data: Range<u64>,
}

/// How a sample is written. Integers of fewer bits than their bytes are justified to the left, so that full scale is that of the
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Signed integers of 1 to 4 bytes.
    Signed(usize),
    /// Bytes with 128 for zero.
    Unsigned,
    /// 4 bytes.
    Single,
    /// 8 bytes.
    Double,
    /// ITU-T G.711's µ-law.
    MuLaw,
    /// ITU-T G.711's A-law.
    ALaw,
}

/// The order of a sample's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Coding {
    /// Bytes a sample.
    pub fn bytes(self) -> usize {
        match self {
            Coding::Signed(bytes) => bytes,
            Coding::Unsigned | Coding::MuLaw | Coding::ALaw => 1,
            Coding::Single => 4,
            Coding::Double => 8,
        }
    }

    /// A sample from its bytes, the most significant one first. Full scale is ±1.
    fn decode(self, bytes: &[u8]) -> f32 {
        match self {
            Coding::Signed(count) => {
                let mut whole = [0; 4];
                whole[..count].copy_from_slice(bytes);
                (f64::from(i32::from_be_bytes(whole)) / 2f64.powi(31)) as f32
            }
            Coding::Unsigned => f32::from(i16::from(bytes[0]) - 128) / 128.0,
            Coding::Single => {
                let mut whole = [0; 4];
                whole.copy_from_slice(bytes);
                f32::from_be_bytes(whole)
            }
            Coding::Double => {
                let mut whole = [0; 8];
                whole.copy_from_slice(bytes);
                f64::from_be_bytes(whole) as f32
            }
            Coding::MuLaw => f32::from(mu_law(bytes[0])) / 32768.0,
            Coding::ALaw => f32::from(a_law(bytes[0])) / 32768.0,
        }
    }
}

/// G.711, in steps of 16 bits: the 14 bits of the standard times 4.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((i16::from(byte & 0x0F) << 3) + 0x84) << ((byte >> 4) & 7);
    match byte & 0x80 {
        0 => magnitude - 0x84,
        _ => 0x84 - magnitude,
    }
}

/// G.711, in steps of 16 bits: the 13 bits of the standard times 8.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let magnitude = (i16::from(byte & 0x0F) << 4) + 8;
    let magnitude = match (byte >> 4) & 7 {
        0 => magnitude,
        segment => (magnitude + 0x100) << (segment - 1),
    };
    match byte & 0x80 {
        0 => -magnitude,
        _ => magnitude,
    }
}

impl Pcm {
    /// The frames from `start` on: as many as the header claims, or all that there are where it claims no number that a finished
    /// file has ([`is_open`]).
    pub fn bytes(start: u64, claimed: u64, end: u64) -> Result<Range<u64>, Fault> {
        if is_open(claimed) {
            return Ok(start..end.max(start));
        }
        match start.checked_add(claimed) {
            Some(last) if last <= end => Ok(start..last),
            _ => Err(Fault::early()),
        }
    }

    /// Reads them, mixed down.
    pub fn read(&self, mut file: impl Read + Seek, seconds: f64) -> Result<Mono, Fault> {
        let mut mono = Mono::new(self.channels, self.rate, seconds)?;
        let size = self.coding.bytes();
        let frame_bytes = size * self.channels;
        let frames = (self.data.end - self.data.start) / frame_bytes as u64;
        if frames == 0 && !self.data.is_empty() {
            return Err(Fault::Format(format!(
                "it claims {} channels, and has not a sample of each",
                self.channels
            )));
        }
        mono.expect(frames)?;
        file.seek(SeekFrom::Start(self.data.start))
            .map_err(Fault::io)?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let (mut bytes, mut frame) = (vec![0; frame_bytes], vec![0.0; self.channels]);
        for _ in 0..frames {
            file.read_exact(&mut bytes).map_err(Fault::io)?;
            for (sample, bytes) in frame.iter_mut().zip(bytes.chunks_exact_mut(size)) {
                if self.order == Order::Little {
                    bytes.reverse();
                }
                *sample = self.coding.decode(bytes);
            }
            mono.push(&frame)?;
        }
        Ok(mono)
    }
}

/// Whether a size is one that programs write when they cannot know it, as to a pipe: ffmpeg FFFFFFFF, sox 7FFFF000 and a little
/// more.
pub(super) fn is_open(size: u64) -> bool {
    size == u64::from(u32::MAX) || size == u64::MAX || (0x7FFF_0000..=0x7FFF_FFFF).contains(&size)
}
